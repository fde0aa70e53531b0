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

// In a replay, whoever made what the log says was not trusted.
constexpr Digest kStranger{1};

// By the machine's clock. One that is set back makes values look new; so what was made in the
// future is as old as can be.
std::uint64_t AgeOf(const RecordFields& fields, std::uint64_t unix_ns) noexcept {
  return fields.made_ns > unix_ns ? kOldNs : unix_ns - fields.made_ns;
}

// Until it expires; 0: never. REQUIRES: it has not yet.
std::uint64_t TtlOf(const RecordFields& fields, std::uint64_t unix_ns) noexcept {
  return fields.expires_ns == 0 ? 0 : fields.expires_ns - unix_ns;
}

}  // namespace

EntryRef TierSearch::Enter(const Owner& owner, const Key& key, const Record& record,
                           const FetchedUnit& unit, Origin origin, bool replace) {
  if (record.fields().fingerprint != owner.region.fingerprint) return {};
  Offer offer{};
  offer.key = key;
  offer.tag = EntryTag{owner.name_space, owner.region.number};
  offer.specs = record.specs().data();
  offer.count = record.tensor_count();
  offer.cost_ns = unit.cost_ns;
  offer.now_ns = owner.now_ns;
  offer.ttl_ns = unit.ttl_ns;
  offer.age_ns = unit.age_ns;
  offer.scope = KeyScope::kShared;
  offer.origin = origin;
  offer.replace = replace;
  Store& store = Store::Process();
  if (Draft draft = store.Reserve(offer)) {
    Fill(record, &draft);
    store.Publish(std::move(draft));
    if (EntryRef entry = store.Peek(key)) return entry;
  }
  return Store::MakeBeside(offer, [&](Draft* draft) { Fill(record, draft); });
}

std::optional<FetchedUnit> TierSearch::Taken(std::size_t unit, const Tiers::Found& found,
                                             const FindLimits& limits) {
  const std::uint64_t unix_ns = UnixNow();
  const RecordFields& fields = found.record.fields();
  if (found.record.Expired(unix_ns) || AgeOf(fields, unix_ns) > limits.max_age_ns) {
    return std::nullopt;
  }
  FetchedUnit taken;
  taken.unit = unit;
  taken.tier = found.tier;
  taken.cost_ns = fields.cost_ns;
  taken.age_ns = AgeOf(fields, unix_ns);
  taken.ttl_ns = TtlOf(fields, unix_ns);
  return taken;
}

void TierSearch::Add(EntryRef entry, const FetchedUnit& unit) {
  fetched_.push_back(unit);
  tiers_.emplace_back(entry.get(), unit.tier);
  entries_.push_back(std::move(entry));
}

void TierSearch::Run(Region& region, std::uint32_t name_space, const LookupRules& rules,
                     const Match& match, const UnitNames& names) noexcept {
  const std::uint64_t start = SteadyNow();
  try {
    std::vector<std::size_t> places;  // in match.missing
    std::vector<TierKey> keys;
    for (std::size_t i = 0; i < match.missing.size(); ++i) {
      if ((match.missing_flags[i] & (kVerify | kKept)) != 0) continue;
      places.push_back(i);
      keys.push_back(names.Of(match.missing[i]));
    }
    if (keys.empty()) return;
    const std::uint64_t recompute_ns = region.recompute_time.Expected(keys.size()) / keys.size();
    std::vector<Tiers::Found> found(keys.size());
    Tiers::Process().Get(&region.tiers, keys.data(), keys.size(), recompute_ns, found.data());
    const Owner owner{region, name_space, SteadyNow()};
    Origins& origins = Origins::Process();
    for (std::size_t i = 0; i < found.size(); ++i) {
      const Record& record = found[i].record;
      if (!record) continue;
      std::optional<FetchedUnit> unit = Taken(match.missing[places[i]], found[i], rules.limits);
      if (!unit) continue;
      const Origin origin = origins.Of(record.fields().identity);
      unit->trusted = origins.ClassOf(origin) == origins.ClassOf(rules.origin);
      const bool replace = (match.missing_flags[places[i]] & kReplace) != 0;
      EntryRef entry = Enter(owner, match.missing_keys[places[i]], record, *unit, origin, replace);
      if (!entry) continue;
      Add(std::move(entry), *unit);
      found[i].record.Follow(names.Before(unit->unit));
      Tiers::Process().Promote(std::move(found[i]));
    }
  } catch (...) {
    // No memory: what was found so far is found.
  }
  std::sort(tiers_.begin(), tiers_.end());
  elapsed_ns_ = SteadyNow() - start;
}

void TierSearch::RunLogged(Region& region, std::uint32_t name_space, const LookupRules& rules,
                           const Match& match, const UnitNames& names,
                           const std::vector<FetchedUnit>& logged) noexcept {
  try {
    const Owner owner{region, name_space, rules.limits.now_ns};
    for (FetchedUnit unit : logged) {
      const auto* const place = std::find(match.missing.begin(), match.missing.end(),
                                          static_cast<std::uint32_t>(unit.unit));
      if (place == match.missing.end()) continue;
      const auto i = static_cast<std::size_t>(place - match.missing.begin());
      const TierKey key = names.Of(unit.unit);
      Tiers::Found found;
      Tiers::Process().Fetch(&key, 1, &found);
      if (!found.record) continue;
      if (unit.cost_ns == 0) unit.cost_ns = found.record.fields().cost_ns;
      const bool replace = (match.missing_flags[i] & kReplace) != 0;
      const Origin origin = unit.trusted ? rules.origin : Origins::Process().Of(kStranger);
      EntryRef entry = Enter(owner, match.missing_keys[i], found.record, unit, origin, replace);
      if (entry) Add(std::move(entry), unit);
    }
  } catch (...) {
    // No memory: the rest is computed.
  }
  std::sort(tiers_.begin(), tiers_.end());
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
