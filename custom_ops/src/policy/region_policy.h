// Whether a region looks its rows up: a cache that does not pay switches itself off.
//
// What is weighed, in nanoseconds and per region, is what looking up adds to a call (hashing,
// searching, copying found rows, publishing computed ones) against the recompute time of the rows
// that were found. What a call pays either way, the copies that the graph's shape demands, does not
// count.
//
// ACTIVE. Each call's overhead minus its saving is added to a loss that never falls below 0: the
// sum since the worst moment, so that what was earned long ago does not pay for what is lost now
// (CUSUM, Page 1954). At the overhead of 64 average calls, or at what two hits save if that is
// more, or at a second, the region is bypassed. All calls missing, that takes 64 calls and costs
// exactly that; a call's average is exponentially weighted over the last 64. Of a region whose
// overhead is a small share r of computing, 64 misses prove little, as one hit in 1/r rows pays: of
// streams with twice as many hits, 2 % have none in the 2/r rows that this takes. Where every
// measured kind of row costs more to find than to compute, seven calls suffice.
//
// BYPASSED. Nothing is hashed, looked up or stored. The rows' signatures are watched instead (cheap
// samples of their bytes; different ones prove different rows) and the regret is summed up
// likewise: for each row whose signature was seen lately what a hit would have saved, minus half as
// much again as looking all rows up would have cost. Once it is worth 16 calls' overhead and rests
// on several rows, the region is tried. It is also tried without such evidence, once in a while, as
// signatures do not see everything; and only so where a hit costs more than recomputing, or where
// watching would cost a noticeable share of the recompute time.
//
// With a store that other processes read (a tier), a bypassed region is fed now and then: a call is
// looked up and stored as if it were active, so often that this takes a fiftieth of the recompute
// time at most. What repeats may do so elsewhere, or after a restart. What is found by such calls
// is evidence.
//
// TRIED. Active, until it has saved as much as it was allowed to lose. If it loses instead, the
// signatures were wrong, or what repeats is gone before it comes again. Each failure in a row lets
// the next trial wait longer and need more evidence, but also lets it last longer, up to a limit;
// so all trials together cost a vanishing share of what always looking up would.
#ifndef ACTCACHE_POLICY_REGION_POLICY_H_
#define ACTCACHE_POLICY_REGION_POLICY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "policy/bypass_setting.h"
#include "policy/first_sight.h"
#include "policy/row_costs.h"

namespace actcache {

// What a call does with its rows.
enum class Mode : std::uint8_t {
  kLookUp,         // hash, look up, store
  kLookUpAndNote,  // likewise, and note the signatures: what comes next may be kPassAndWatch
  kPass,           // compute everything and store nothing
  kPassAndWatch,   // likewise, and note the signatures
};
constexpr bool Passes(Mode mode) { return mode >= Mode::kPass; }
constexpr bool Notes(Mode mode) {
  return mode == Mode::kLookUpAndNote || mode == Mode::kPassAndWatch;
}

enum class BypassReason : std::uint8_t { kNone, kOverhead, kHitCost };

// As a sentence's end for the user; null for kNone.
const char* BypassReasonText(BypassReason reason) noexcept;

// One region of the process. Thread-safe. What a call reports is taken in only where no other
// thread is just reporting, so that no call ever waits for another: the sums are samples of a busy
// region and complete for a quiet one.
class RegionPolicy {
 public:
  // How the next call goes. What was decided is void where `setting` has changed since the last
  // call, be it twice.
  Mode Begin(BypassSetting setting) noexcept {
    if (setting != setting_.load(std::memory_order_relaxed)) Turn(setting);
    return mode_.load(std::memory_order_relaxed);
  }

  // Whether the next call of a bypassed region is looked up and stored all the same, as others may
  // read what it stores.
  bool Feeds() noexcept {
    const std::uint32_t period = feed_period_.load(std::memory_order_relaxed);
    return period != 0 && passes_.fetch_add(1, std::memory_order_relaxed) % period == 0;
  }

  // A lookup of `rows` > 0 rows. Durations are in nanoseconds, here and below.
  struct LookupCosts {
    ShapeClass shape;
    std::size_t rows;
    std::size_t found;         // unique rows, copied out of the store
    std::size_t verified;      // rows found, but computed again to be compared, as was asked for
    std::uint64_t lookup_ns;   // hashing and searching, all rows
    std::uint64_t fetch_ns;    // copying those found
    std::uint64_t saved_ns;    // recompute time of the rows found
    bool handed_over = false;  // those found are copied later: CopiedOut() says how long it took
  };
  void LookedUp(const LookupCosts& lookup) noexcept;
  // Copying `found` > 0 unique rows that a lookup had handed over; `looked_ns` is what LookedUp()
  // was told of the same rows.
  void CopiedOut(ShapeClass shape, std::size_t found, std::uint64_t fetch_ns,
                 std::uint64_t looked_ns) noexcept;

  // The costs of one row of an entry that is about to be stored, after `elapsed` for `rows` > 0
  // rows: what is usual for this shape, as a single measurement is anything.
  struct EntryCost {
    std::uint64_t recompute_ns;
    std::uint64_t fetch_ns;
  };
  EntryCost Computed(ShapeClass shape, std::size_t rows, std::uint64_t elapsed_ns) noexcept;

  // What CacheStore did about a call with `rows` > 0 computed rows.
  struct Publication {
    ShapeClass shape;
    std::size_t rows;
    std::uint64_t publish_ns;
    std::uint64_t saved_ns;       // recompute time of rows that equal a computed one
    std::uint64_t shared_ns = 0;  // beside publish_ns: handing rows to tiers
    bool spared = false;          // not all were offered: they were seen for the first time
  };
  void Published(const Publication& publication) noexcept;

  // Whether rows are stored that nobody is known to want again (first_sight.h).
  bool StoresFirstSights() const noexcept {
    return stores_first_sights_.load(std::memory_order_relaxed);
  }

  // Of a call whose first sights are not to be stored: of `rows` computed rows, `seen` were
  // computed before. Whether all are to be stored, from this call on.
  bool Repeats(ShapeClass shape, std::size_t rows, std::size_t seen) noexcept;

  // A call that passed because of Begin().
  struct Pass {
    ShapeClass shape;
    std::size_t rows;        // whose signatures were noted; 0 if they were not watched
    std::size_t seen;        // those of them that were there
    std::uint64_t watch_ns;  // spent on that
  };
  void Passed(const Pass& pass) noexcept;

  bool bypassed() const noexcept { return Passes(mode_.load(std::memory_order_relaxed)); }
  struct Stats {
    bool bypassed;
    BypassReason reason;     // kNone while active
    std::uint64_t switches;  // to bypassed
    std::uint64_t probes;    // trials of a bypassed region
    std::uint64_t fed;       // calls of a bypassed region that were looked up for other processes
  };
  Stats stats() const noexcept ACTCACHE_EXCLUDES(mutex_);

 private:
  // Why the region is active.
  enum class Trial : std::uint8_t { kNone, kEvidence, kProbe };

  void Turn(BypassSetting setting) noexcept ACTCACHE_EXCLUDES(mutex_);
  void NoteStored(const Publication& publication) noexcept ACTCACHE_REQUIRES(mutex_);
  bool weighing() const noexcept ACTCACHE_REQUIRES(mutex_);
  void Feed(const LookupCosts& lookup) noexcept ACTCACHE_REQUIRES(mutex_);
  void SetFeedPeriod() noexcept ACTCACHE_REQUIRES(mutex_);
  void Reconsider() noexcept ACTCACHE_REQUIRES(mutex_);
  void AddRegret(double regret, std::size_t seen) noexcept ACTCACHE_REQUIRES(mutex_);
  double CallOverhead() const noexcept ACTCACHE_REQUIRES(mutex_);
  double AllowedLoss() const noexcept ACTCACHE_REQUIRES(mutex_);
  void Weigh(double overhead, double saving) noexcept ACTCACHE_REQUIRES(mutex_);
  bool HitsNeverPay(ShapeClass shape) const noexcept ACTCACHE_REQUIRES(mutex_);
  void Bypass(BypassReason reason) noexcept ACTCACHE_REQUIRES(mutex_);
  void Activate(Trial trial) noexcept ACTCACHE_REQUIRES(mutex_);
  void Watch(const Pass& pass) noexcept ACTCACHE_REQUIRES(mutex_);
  double NeededRegret() const noexcept ACTCACHE_REQUIRES(mutex_);
  bool HasEvidence() const noexcept ACTCACHE_REQUIRES(mutex_);
  bool IsDueForProbe() const noexcept ACTCACHE_REQUIRES(mutex_);

  std::atomic<Mode> mode_{Mode::kLookUp};
  std::atomic<BypassSetting> setting_{BypassSetting{}};
  std::atomic<bool> stores_first_sights_{true};  // as first_sight_ says
  std::atomic<std::uint32_t> feed_period_{0};    // in calls; 0: never
  std::atomic<std::uint32_t> passes_{0};         // since the region became bypassed

  mutable Mutex mutex_;
  RowCostTable costs_ ACTCACHE_GUARDED_BY(mutex_);
  FirstSight first_sight_ ACTCACHE_GUARDED_BY(mutex_);  // since the region was last activated
  double hit_saves_ ACTCACHE_GUARDED_BY(mutex_) = 0;    // of one row, in ns; 0 until it is known
  RecentMedian watch_ ACTCACHE_GUARDED_BY(mutex_);      // per row, since the last switch
  RecentMedian share_ ACTCACHE_GUARDED_BY(mutex_);      // per row: handing it to tiers
  BypassReason reason_ ACTCACHE_GUARDED_BY(mutex_) = BypassReason::kNone;
  Trial trial_ ACTCACHE_GUARDED_BY(mutex_) = Trial::kNone;
  unsigned failures_ ACTCACHE_GUARDED_BY(mutex_) = 0;        // trials in a row that lost
  std::uint64_t calls_ ACTCACHE_GUARDED_BY(mutex_) = 0;      // since the last switch
  double loss_ ACTCACHE_GUARDED_BY(mutex_) = 0;              // while active
  double gain_ ACTCACHE_GUARDED_BY(mutex_) = 0;              // since the trial began
  double regret_ ACTCACHE_GUARDED_BY(mutex_) = 0;            // while bypassed
  std::uint64_t regretted_ ACTCACHE_GUARDED_BY(mutex_) = 0;  // rows seen that it rests on
  // Exponentially weighted over the calls looked up.
  double recent_overhead_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  double recent_calls_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::uint64_t switches_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::uint64_t probes_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::uint64_t fed_ ACTCACHE_GUARDED_BY(mutex_) = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_POLICY_REGION_POLICY_H_
