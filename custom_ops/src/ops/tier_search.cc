#include "ops/tier_search.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "policy/origins.h"

namespace actcache {
namespace {

void Fill(const Record& record, Draft* draft) noexcept {
  for (std::size_t i = 0; i < record.tensor_count(); ++i) {
    if (draft->bytes(i) != 0) std::memcpy(draft->data(i), record.payload(i), draft->bytes(i));
  }
}

// By the machine's clock. One that is set back makes values look new; so what was made in the
// future is as old as can be.
std::uint64_t AgeOf(const RecordFields& fields, std::uint64_t unix_ns) noexcept {
  return fields.made_ns > unix_ns ? kOldNs : unix_ns - fields.made_ns;
}

}  // namespace

EntryRef TierSearch::Enter(const Region& region, std::uint32_t name_space, const Key& key,
                           const Record& record, const FindLimits& limits, bool replace) {
  const RecordFields& fields = record.fields();
  const std::uint64_t unix_ns = UnixNow();
  const std::uint64_t age_ns = AgeOf(fields, unix_ns);
  if (fields.fingerprint != region.fingerprint || record.Expired(unix_ns) ||
      age_ns > limits.max_age_ns) {
    return {};
  }
  Offer offer{};
  offer.key = key;
  offer.tag = EntryTag{name_space, region.number};
  offer.specs = record.specs().data();
  offer.count = record.tensor_count();
  offer.cost_ns = fields.cost_ns;
  offer.now_ns = SteadyNow();
  offer.ttl_ns = fields.expires_ns == 0 ? 0 : fields.expires_ns - unix_ns;
  offer.age_ns = age_ns;
  offer.scope = KeyScope::kShared;
  offer.origin = Origins::Process().Of(fields.identity);
  offer.replace = replace;
  Store& store = Store::Process();
  if (Draft draft = store.Reserve(offer)) {
    Fill(record, &draft);
    store.Publish(std::move(draft));
    if (EntryRef entry = store.Peek(key)) return entry;
  }
  return Store::MakeBeside(offer, [&](Draft* draft) { Fill(record, draft); });
}

void TierSearch::Run(Region& region, std::uint32_t name_space, const FindLimits& limits,
                     const Match& match, const KeyTails& tails) noexcept {
  const std::uint64_t start = SteadyNow();
  try {
    std::vector<std::size_t> places;  // in match.missing
    std::vector<TierKey> keys;
    for (std::size_t i = 0; i < match.missing.size(); ++i) {
      if ((match.missing_flags[i] & (kVerify | kKept)) != 0) continue;
      places.push_back(i);
      keys.push_back(TierKeyOf(match.missing_keys[i], tails[match.missing[i]]));
    }
    if (keys.empty()) return;
    const std::uint64_t recompute_ns = region.recompute_time.Expected(keys.size()) / keys.size();
    std::vector<Tiers::Found> found(keys.size());
    Tiers::Process().Get(&region.tiers, keys.data(), keys.size(), recompute_ns, found.data());
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!found[i].record) continue;
      const bool replace = (match.missing_flags[places[i]] & kReplace) != 0;
      EntryRef entry = Enter(region, name_space, match.missing_keys[places[i]], found[i].record,
                             limits, replace);
      if (!entry) continue;
      tiers_.emplace_back(entry.get(), found[i].tier);
      entries_.push_back(std::move(entry));
      Tiers::Process().Promote(std::move(found[i]));
    }
  } catch (...) {
    // No memory: what was found so far is found.
  }
  std::sort(tiers_.begin(), tiers_.end());
  elapsed_ns_ = SteadyNow() - start;
}

std::size_t TierSearch::TierOf(const Match& match, std::size_t unit) const noexcept {
  const RowSource source = match.sources[unit];
  if (!source.cached()) return kNoTier;
  const Entry* const entry = match.hits[source.index()].get();
  const auto found =
      std::lower_bound(tiers_.begin(), tiers_.end(), std::make_pair(entry, std::size_t{0}));
  return found != tiers_.end() && found->first == entry ? found->second : kNoTier;
}

}  // namespace actcache
