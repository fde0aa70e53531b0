// The tiers of the process, in the order in which they are asked.
#ifndef ACTCACHE_TIER_TIERS_H_
#define ACTCACHE_TIER_TIERS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "hash/key.h"
#include "tier/fetch_times.h"
#include "tier/region_use.h"
#include "tier/settings.h"
#include "tier/tier.h"
#include "tier/write_queue.h"

namespace actcache {

// The name outside of the process of what has the key inside of it: both halves of its hash.
TierKey TierKeyOf(const Key& key, const KeyTail& tail) noexcept;

// The most that a call waits for tiers.
inline constexpr std::uint64_t kMostFetchNs = 50'000'000;

// All methods but Configure(), Open() and Use() are without exceptions. Thread-safe.
class Tiers {
 private:
  struct Attached;
  using List = std::vector<std::shared_ptr<Attached>>;

 public:
  Tiers() = default;
  Tiers(const Tiers&) = delete;
  Tiers& operator=(const Tiers&) = delete;

  // The ones of the process; never destroyed. A process that ends normally writes what waits.
  static Tiers& Process();

  // Opens and closes tiers so that they are as the settings say; what waits for one that is closed
  // is written first. The secret of hashes becomes the tiers' (hash/secret.h). Throws
  // std::runtime_error that says what is wrong, and changes nothing then.
  void Configure(const TierSettings& settings) { Use(Open(settings)); }

  // The two steps of Configure(), for who has more to switch that may fail. Tiers that were opened
  // and are never used are closed again.
  class Opened {
    friend class Tiers;
    TierSettings settings_;
    std::shared_ptr<const List> list_;  // null: the settings are those in use
  };
  // Throws as Configure(), and changes nothing in any case.
  Opened Open(const TierSettings& settings) ACTCACHE_EXCLUDES(configure_mutex_);
  // Throws std::bad_alloc, and changes nothing then.
  void Use(Opened opened) ACTCACHE_EXCLUDES(configure_mutex_);

  // Whether there is any. Cheap, so that all the work for them can be left out if not.
  bool on() const noexcept { return on_.load(std::memory_order_relaxed); }

  struct Found {
    Record record;
    std::size_t tier = 0;  // its number; for true records
  };
  // Asks for `count` different keys of one region, of which each takes `recompute_ns` to compute
  // (0: not known), those tiers that are worth it. REQUIRES: found has `count` false ones.
  void Get(RegionUse* region, const TierKey* keys, std::size_t count, std::uint64_t recompute_ns,
           Found* found) noexcept;

  // Asks all tiers, whether or not it is worth it, for as long as it takes: for a replay.
  void Fetch(const TierKey* keys, std::size_t count, Found* found) noexcept;

  // Writes the payloads of a record that was made for the specs.
  using Fill = std::function<void(Record* record)>;
  // Writes a value, soon, to those tiers that are worth it. `fields` says what computing it took.
  // With `replace` it takes the place of what is there.
  void Put(RegionUse* region, const RecordFields& fields, const std::vector<TensorSpec>& specs,
           const Fill& fill, bool replace) noexcept;
  // Writes what one tier had to the other, if it is worth it there: soon, and only while little
  // waits to be written.
  void Promote(Found found) noexcept;
  void Remove(const TierKey& key) noexcept;

  // Whether some tier would take values of the region.
  bool Wants(const RegionUse& region) const noexcept;

  // Writes what waits, for at most `patience_ns` each. False if that did not suffice.
  bool Flush(std::uint64_t patience_ns) noexcept;

  // For the end of the process: likewise, and nothing is written any more.
  void Finish(std::uint64_t patience_ns) noexcept;

  struct State {
    std::string name;
    std::string problem;  // Tier::problem()
    TierStats tier;
    WriteQueueStats queue;
  };
  std::vector<State> states() const;
  // "disk", "remote": of a tier's number. Lives as long as the process.
  static const char* NameOf(std::size_t tier) noexcept;

  // For host/fork.h.
  void LockForFork() noexcept;
  void UnlockAfterFork() noexcept;
  void ReopenInForkedChild() noexcept;

 private:
  // A tier with what belongs to it. Shared by the calls that use it: it ends after them.
  struct Attached {
    Attached(std::size_t number_in, std::unique_ptr<Tier> tier_in)
        : number(number_in), tier(std::move(tier_in)), queue(tier.get()) {}
    const std::size_t number;
    const std::unique_ptr<Tier> tier;
    WriteQueue queue;
    FetchTimes times;

    // Whether it would take such a value. What is fetched no faster than computed is of no use to
    // anybody.
    bool Takes(std::size_t bytes, std::uint64_t cost_ns) const noexcept {
      return tier->writable() && 2 * times.Found(bytes) <= cost_ns;
    }
  };

  // What a call still asks for.
  struct Wanted {
    Wanted(const TierKey* keys_in, std::size_t count);
    std::vector<TierKey> keys;
    std::vector<std::size_t> places;  // theirs, in what the call asked for
  };
  struct Answer {
    std::size_t hits = 0;
    std::size_t bytes = 0;  // of all hits
    std::uint64_t elapsed_ns = 0;
  };
  // Asks one tier, sets found at the places of what it has, and leaves the rest in `wanted`.
  static Answer Ask(Attached* one, std::size_t expected_bytes, std::uint64_t deadline_ns,
                    Wanted* wanted, Found* found);

  std::shared_ptr<const List> list() const noexcept ACTCACHE_EXCLUDES(mutex_);
  void SetList(std::shared_ptr<const List> list) noexcept ACTCACHE_EXCLUDES(mutex_);
  static void Close(std::shared_ptr<Attached> attached) noexcept;

  std::atomic<bool> on_{false};
  Mutex configure_mutex_;  // held to open and close
  TierSettings settings_ ACTCACHE_GUARDED_BY(configure_mutex_);
  mutable Mutex mutex_;
  std::shared_ptr<const List> list_ ACTCACHE_GUARDED_BY(mutex_);
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_TIERS_H_
