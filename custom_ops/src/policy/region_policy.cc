#include "policy/region_policy.h"

#include <algorithm>
#include <cmath>

namespace actcache {
namespace {

// Losses and evidence are counted in average calls' overhead, so that they mean the same for a
// region of microseconds and one of seconds.
constexpr double kAveragedCalls = 64;

// What an active region may lose before it is bypassed: the overhead of so many calls, or what so
// many hits save if that is more; less where it was tried without evidence.
constexpr double kLossCalls = 64;
constexpr double kLossHits = 2;
constexpr double kProbeCalls = 16;
constexpr double kMaxLossNs = 1e9;
constexpr std::uint64_t kMinCalls = 8;

// What a bypassed region must have missed before it is tried, and from how many rows. Both double
// with each failed trial in a row, of which at most kMaxFailures count.
constexpr double kRegretCalls = 16;
constexpr std::uint64_t kMinRegretted = 3;
constexpr unsigned kMaxFailures = 4;

// Calls that a region stays bypassed after one failed trial, whatever it sees; four times as many
// after each further one.
constexpr std::uint64_t kFirstQuietCalls = 256;

// Calls until a bypassed region is tried without evidence; twice as many after each failed trial.
constexpr std::uint64_t kFirstProbeCalls = 4096;

// Evidence has to be clear: what looking up would have cost is taken for more than it is.
constexpr double kCaution = 1.5;

// The largest share of the recompute time that watching may take, and that feeding may.
constexpr double kMaxWatchShare = 0.01;
constexpr double kMaxFeedShare = 0.02;
constexpr double kMaxFeedPeriod = 65536;

double PerRow(std::uint64_t ns, std::size_t rows) {
  return static_cast<double>(ns) / static_cast<double>(rows);
}

}  // namespace

const char* BypassReasonText(BypassReason reason) noexcept {
  switch (reason) {
    case BypassReason::kOverhead:
      return "overhead exceeds saving";
    case BypassReason::kHitCost:
      return "hit costs more than recomputing";
    case BypassReason::kNone:
      break;
  }
  return nullptr;
}

void RegionPolicy::LookedUp(const LookupCosts& lookup) noexcept {
  if (!mutex_.TryLock()) return;
  costs_.Add(lookup.shape, &RowCosts::lookup, PerRow(lookup.lookup_ns, lookup.rows));
  if (lookup.found > 0 && !lookup.handed_over) {
    costs_.Add(lookup.shape, &RowCosts::fetch, PerRow(lookup.fetch_ns, lookup.found));
  }
  if (weighing()) {
    ++calls_;
    recent_overhead_ -= recent_overhead_ / kAveragedCalls;
    recent_calls_ += 1 - recent_calls_ / kAveragedCalls;
    first_sight_.Saved(static_cast<double>(lookup.saved_ns) - static_cast<double>(lookup.fetch_ns));
    // That hits are verified is no reason against the region.
    const double verified =
        static_cast<double>(lookup.verified) * costs_.estimate(lookup.shape).recompute.value();
    Weigh(static_cast<double>(lookup.lookup_ns + lookup.fetch_ns),
          static_cast<double>(lookup.saved_ns) + verified);
  } else if (bypassed()) {
    Feed(lookup);
  }
  mutex_.Unlock();
}

void RegionPolicy::CopiedOut(ShapeClass shape, std::size_t found, std::uint64_t fetch_ns,
                             std::uint64_t looked_ns) noexcept {
  if (!mutex_.TryLock()) return;
  costs_.Add(shape, &RowCosts::fetch, PerRow(fetch_ns + looked_ns, found));
  if (weighing()) {
    first_sight_.Saved(-static_cast<double>(fetch_ns));
    Weigh(static_cast<double>(fetch_ns), 0);
  }
  mutex_.Unlock();
}

RegionPolicy::EntryCost RegionPolicy::Computed(ShapeClass shape, std::size_t rows,
                                               std::uint64_t elapsed_ns) noexcept {
  if (!mutex_.TryLock()) return EntryCost{elapsed_ns / rows, 0};
  costs_.Add(shape, &RowCosts::recompute, PerRow(elapsed_ns, rows));
  hit_saves_ = costs_.all().known() ? costs_.all().saving() : 0;
  const RowCosts& costs = costs_.of(shape);
  const EntryCost cost{static_cast<std::uint64_t>(costs.recompute.value()),
                       static_cast<std::uint64_t>(costs.fetch_estimate())};
  mutex_.Unlock();
  return cost;
}

void RegionPolicy::Published(const Publication& publication) noexcept {
  if (!mutex_.TryLock()) return;
  if (!publication.spared) NoteStored(publication);
  share_.Add(PerRow(publication.shared_ns, publication.rows));
  if (weighing()) {
    Weigh(static_cast<double>(publication.publish_ns + publication.shared_ns),
          static_cast<double>(publication.saved_ns));
    if (weighing() && HitsNeverPay(publication.shape)) Bypass(BypassReason::kHitCost);
  }
  mutex_.Unlock();
}

void RegionPolicy::NoteStored(const Publication& publication) noexcept {
  costs_.Add(publication.shape, &RowCosts::publish,
             PerRow(publication.publish_ns, publication.rows));
  if (!weighing()) return;
  const RowCosts& costs = costs_.estimate(publication.shape);
  first_sight_.Stored(static_cast<double>(publication.publish_ns),
                      costs.publish.value() / std::max(1.0, costs.recompute.value()), hit_saves_);
  stores_first_sights_.store(first_sight_.stores(), std::memory_order_relaxed);
}

bool RegionPolicy::Repeats(ShapeClass shape, std::size_t rows, std::size_t seen) noexcept {
  if (!mutex_.TryLock()) return false;
  const RowCosts& costs = costs_.estimate(shape);
  const double hit_saves = costs.recompute.value() - costs.fetch_estimate();
  first_sight_.Repeats(static_cast<double>(seen) * std::max(0.0, hit_saves),
                       static_cast<double>(rows) * costs.publish.value());
  stores_first_sights_.store(first_sight_.stores(), std::memory_order_relaxed);
  const bool stores = first_sight_.stores();
  mutex_.Unlock();
  return stores;
}

void RegionPolicy::Passed(const Pass& pass) noexcept {
  if (!mutex_.TryLock()) return;
  if (Passes(mode_.load(std::memory_order_relaxed))) {
    ++calls_;
    if (pass.rows > 0) Watch(pass);
    Reconsider();
  }
  mutex_.Unlock();
}

void RegionPolicy::Reconsider() noexcept {
  if (HasEvidence()) {
    Activate(Trial::kEvidence);
  } else if (IsDueForProbe()) {
    Activate(Trial::kProbe);
  }
}

RegionPolicy::Stats RegionPolicy::stats() const noexcept {
  const MutexLock lock(&mutex_);
  return Stats{Passes(mode_.load(std::memory_order_relaxed)), reason_, switches_, probes_, fed_};
}

void RegionPolicy::Turn(BypassSetting setting) noexcept {
  const MutexLock lock(&mutex_);
  setting_.store(setting, std::memory_order_relaxed);
  failures_ = 0;
  Activate(Trial::kNone);
}

// A call that began before the last switch may still report after it; it only tells costs.
bool RegionPolicy::weighing() const noexcept {
  return setting_.load(std::memory_order_relaxed).automatic &&
         !Passes(mode_.load(std::memory_order_relaxed));
}

double RegionPolicy::CallOverhead() const noexcept {
  return recent_calls_ > 0 ? recent_overhead_ / recent_calls_ : 0;
}

double RegionPolicy::AllowedLoss() const noexcept {
  if (trial_ == Trial::kProbe) return std::min(kProbeCalls * CallOverhead(), kMaxLossNs);
  const double longer =
      trial_ == Trial::kEvidence ? static_cast<double>(1U << std::min(failures_, 3U)) : 1;
  const double loss = std::max(kLossCalls * CallOverhead(), kLossHits * hit_saves_);
  return std::min(longer * loss, kMaxLossNs);
}

void RegionPolicy::Weigh(double overhead, double saving) noexcept {
  recent_overhead_ += overhead;
  loss_ = std::max(0.0, loss_ + overhead - saving);
  gain_ += saving - overhead;
  const double allowed = AllowedLoss();
  if (calls_ >= kMinCalls && loss_ >= allowed) {
    Bypass(BypassReason::kOverhead);
    return;
  }
  if (trial_ != Trial::kNone && gain_ >= allowed) {
    trial_ = Trial::kNone;
    failures_ = 0;
  }
  // What is seen while a region loses is what a bypassed one has to recognise at once.
  mode_.store(loss_ > allowed / 4 ? Mode::kLookUpAndNote : Mode::kLookUp,
              std::memory_order_relaxed);
}

bool RegionPolicy::HitsNeverPay(ShapeClass shape) const noexcept {
  // A region that is tried again is judged by what it costs now.
  if (calls_ < RecentMedian::kSamples) return false;
  const RowCosts& costs = costs_.of(shape);
  return costs.known() && costs.saving() <= 0 && costs_.HitsNeverPay();
}

void RegionPolicy::Bypass(BypassReason reason) noexcept {
  if (trial_ != Trial::kNone) failures_ = std::min(failures_ + 1, kMaxFailures);
  trial_ = Trial::kNone;
  reason_ = reason;
  calls_ = 0;
  regret_ = 0;
  regretted_ = 0;
  watch_ = RecentMedian();
  ++switches_;
  passes_.store(0, std::memory_order_relaxed);
  SetFeedPeriod();
  // No row that comes again changes that a hit costs more.
  mode_.store(reason == BypassReason::kHitCost ? Mode::kPass : Mode::kPassAndWatch,
              std::memory_order_relaxed);
}

void RegionPolicy::Activate(Trial trial) noexcept {
  if (trial != Trial::kNone) ++probes_;
  trial_ = trial;
  first_sight_ = FirstSight();
  stores_first_sights_.store(true, std::memory_order_relaxed);
  reason_ = BypassReason::kNone;
  calls_ = 0;
  loss_ = 0;
  gain_ = 0;
  feed_period_.store(0, std::memory_order_relaxed);
  mode_.store(Mode::kLookUp, std::memory_order_relaxed);
}

void RegionPolicy::SetFeedPeriod() noexcept {
  const RowCosts& costs = costs_.all();
  const double share = (costs.lookup.value() + costs.publish.value() + share_.value()) /
                       std::max(1.0, costs.recompute.value());
  // Nobody gains from what is found no faster than computed.
  const bool pays = reason_ != BypassReason::kHitCost && costs.saving() > 0;
  const double period = std::clamp(std::ceil(share / kMaxFeedShare), 1.0, kMaxFeedPeriod);
  feed_period_.store(pays ? static_cast<std::uint32_t>(period) : 0, std::memory_order_relaxed);
}

// A call that began before the region was bypassed may count as one that feeds.
void RegionPolicy::Feed(const LookupCosts& lookup) noexcept {
  ++calls_;
  ++fed_;
  SetFeedPeriod();
  const double cost = static_cast<double>(lookup.lookup_ns + lookup.fetch_ns) +
                      costs_.estimate(lookup.shape).publish.value() *
                          static_cast<double>(lookup.rows - lookup.found);
  AddRegret(static_cast<double>(lookup.saved_ns) - kCaution * cost, lookup.found);
  Reconsider();
}

void RegionPolicy::AddRegret(double regret, std::size_t seen) noexcept {
  regret_ += regret;
  regretted_ += seen;
  if (regret_ <= 0) {
    regret_ = 0;
    regretted_ = 0;
  }
  // What is waited for is a stream that repeats now, not one that did during a quiet time.
  regret_ = std::min(regret_, 4 * NeededRegret());
}

void RegionPolicy::Watch(const Pass& pass) noexcept {
  const RowCosts& costs = costs_.estimate(pass.shape);
  const double hit_saves = costs.recompute.value() - costs.fetch_estimate();
  const double row_costs = costs.lookup.value() + costs.publish.value();
  const double saving = static_cast<double>(pass.seen) * std::max(0.0, hit_saves);
  AddRegret(saving - kCaution * row_costs * static_cast<double>(pass.rows), pass.seen);

  watch_.Add(PerRow(pass.watch_ns, pass.rows));
  // The first calls touch the filter's pages for the first time.
  if (watch_.count() == RecentMedian::kSamples &&
      watch_.value() > kMaxWatchShare * costs.recompute.value()) {
    mode_.store(Mode::kPass, std::memory_order_relaxed);
  }
}

double RegionPolicy::NeededRegret() const noexcept {
  return kRegretCalls * static_cast<double>(1U << failures_) * CallOverhead();
}

bool RegionPolicy::HasEvidence() const noexcept {
  std::uint64_t quiet = 0;
  if (failures_ > 0) quiet = kFirstQuietCalls << (2 * (failures_ - 1));
  return calls_ >= quiet && regretted_ >= kMinRegretted << failures_ && regret_ >= NeededRegret();
}

bool RegionPolicy::IsDueForProbe() const noexcept {
  return calls_ >= kFirstProbeCalls << failures_;
}

}  // namespace actcache
