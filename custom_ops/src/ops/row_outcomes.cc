#include "ops/row_outcomes.h"

#include <algorithm>
#include <cstring>

#include "audit/audit_log.h"
#include "audit/outcomes.h"
#include "base/clock.h"

namespace actcache {
namespace {

constexpr LookupOutcome kTierOutcomes[kMostTiers] = {LookupOutcome::kDisk, LookupOutcome::kRemote};

LookupOutcome OutcomeOf(const Match& match, const Sources& first, const TierSearch& tiers,
                        bool refresh, std::size_t row) {
  const RowSource source = match.sources[row];
  const std::size_t tier = tiers.TierOf(match, row);
  if (tier != TierSearch::kNoTier) return kTierOutcomes[tier];
  if (source.cached())
    return Joined(match, first, row) ? LookupOutcome::kJoined : LookupOutcome::kHit;
  if (match.missing[source.index()] != row) return LookupOutcome::kDuplicate;
  if (refresh) return LookupOutcome::kRefreshed;
  const std::uint8_t flags = match.missing_flags[source.index()];
  if ((flags & kVerify) != 0) return LookupOutcome::kVerified;
  if ((flags & kKept) != 0) return LookupOutcome::kAgain;
  return (flags & kExpired) != 0 ? LookupOutcome::kExpired : LookupOutcome::kMiss;
}

std::uint32_t Milliseconds(std::uint64_t ns) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(ns / 1'000'000, kNoAge - 1));
}

std::uint32_t AgeOf(const Match& match, std::uint64_t now_ns, std::size_t row) {
  const RowSource source = match.sources[row];
  if (!source.cached()) return kNoAge;
  return Milliseconds(match.hits[source.index()]->AgeAtMost(now_ns));
}

}  // namespace

void WriteRowOutcomes(const Match& match, const Keys& keys, const Sources& first,
                      const TierSearch& tiers, bool refresh, std::uint64_t now_ns,
                      std::byte* rest) {
  const std::size_t rows = match.sources.size();
  std::byte* const ages = rest + 8 * rows;
  std::byte* const outcomes = ages + 4 * rows;
  for (std::size_t row = 0; row < rows; ++row) {
    std::memcpy(rest + 8 * row, &keys[row].words[0], 8);
    const std::uint32_t age = AgeOf(match, now_ns, row);
    std::memcpy(ages + 4 * row, &age, 4);
    outcomes[row] = static_cast<std::byte>(OutcomeOf(match, first, tiers, refresh, row));
  }
  std::byte* fetched = outcomes + rows;
  for (const FetchedUnit& unit : tiers.fetched()) {
    const FetchedRow row{unit.cost_ns,
                         static_cast<std::uint32_t>(unit.unit),
                         static_cast<std::uint32_t>(unit.tier),
                         Milliseconds(unit.age_ns),
                         unit.ttl_ns == 0 ? kNoAge : Milliseconds(unit.ttl_ns),
                         unit.trusted ? 1U : 0U};
    std::memcpy(fetched, &row, sizeof(row));
    fetched += sizeof(row);
  }
}

void AuditRegionState(Region& region) noexcept {
  AuditLog& log = AuditLog::Process();
  if (!log.on()) return;
  const RegionState state = region.state();
  if (state == region.audited_state.load(std::memory_order_relaxed)) return;
  if (state == region.audited_state.exchange(state, std::memory_order_relaxed)) return;
  const AuditLog::Slot<PolicyRecord> slot(log);
  if (!slot) return;
  slot->now_ns = SteadyNow();
  slot->region = region.number;
  slot->state = RegionStateText(state);
  slot->reason = state == RegionState::kDisabled ? "an entry differed from what was computed"
                                                 : BypassReasonText(region.policy.stats().reason);
}

}  // namespace actcache
