// A store of values outside of this process, behind the one in memory: on a disk, on a server.
//
// What every tier promises
//   1. What Get() returns was stored under that key by someone who has the tier's secret, whole and
//      unchanged: Record::Open() has checked it. Anything wrong is a miss, and the tier removes it.
//   2. Nothing throws, and no fault of the tier is more than a miss, or a value that is not kept.
//   3. Get() comes back by its deadline, as far as the system lets it. It is called by threads that
//      compute, several at a time. Put() and Remove() may take long: they are called by the one
//      thread of the tier's WriteQueue.
//   4. It is usable in a child made by fork() after ReopenInForkedChild(), and uses nothing there
//      that belongs to its parent.
#ifndef ACTCACHE_TIER_TIER_H_
#define ACTCACHE_TIER_TIER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "hash/digest.h"
#include "tier/record.h"

namespace actcache {

// What became of what was asked of a tier, since it was opened. In values, but for bytes.
struct TierStats {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;   // all that was asked for and not returned, faults included
  std::uint64_t damaged = 0;  // of them: something was there, and it was no sound record
  std::uint64_t late = 0;     // of them: not there by the deadline, or the tier was busy
  std::uint64_t stored = 0;
  std::uint64_t refused = 0;  // Put() in vain: no room, a fault
  std::uint64_t evicted = 0;  // by this process
  std::uint64_t errors = 0;   // faults of the system or the server
  std::uint64_t fetched_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t entries = 0;       // in the tier now, whoever stored them; 0 where it cannot tell
  std::uint64_t bytes = 0;         // likewise
  std::uint64_t budget_bytes = 0;  // likewise
  bool available = true;           // false: nothing is asked of it at present
};

class Tier {
 public:
  virtual ~Tier() = default;
  Tier() = default;
  Tier(const Tier&) = delete;
  Tier& operator=(const Tier&) = delete;

  // "disk", "remote": as statistics and the audit log call it. Lives as long as the process.
  virtual const char* name() const noexcept = 0;

  // What keys all hashes of a process that uses this tier.
  virtual const DigestKey& secret() const noexcept = 0;

  // Whether it makes sense to ask now; cheap. False while a server is known to be gone, say.
  virtual bool available() const noexcept = 0;

  // Whether it makes sense to put anything now; cheap. False for a store that may only be read.
  virtual bool writable() const noexcept { return available(); }

  // Looks `count` different keys up at once. Sets found[i] to the record of keys[i], or to a false
  // one. `deadline_ns` is SteadyNow()'s: what is not there by then is a miss. REQUIRES: found has
  // `count` false records.
  virtual void Get(const TierKey* keys, std::size_t count, std::uint64_t deadline_ns,
                   Record* found) noexcept = 0;
  // The same, for who knows about how many bytes one of the records has.
  virtual void GetOfSize(const TierKey* keys, std::size_t count, std::size_t /*expected_bytes*/,
                         std::uint64_t deadline_ns, Record* found) noexcept {
    Get(keys, count, deadline_ns, found);
  }

  // Keeps sealed records, each under its key, if there is room. One that is there already stays.
  virtual void Put(const Record* records, std::size_t count) noexcept = 0;

  virtual void Remove(const TierKey* keys, std::size_t count) noexcept = 0;

  // Called by the writing thread about every second, and after the last Put(): time for what nobody
  // waits for (checkpoints, notes on what was used, a look whether a server is back).
  virtual void Maintain() noexcept {}

  virtual TierStats stats() const noexcept = 0;
  // Why it is not asked, or not written to, at present, for the user; "" if it is.
  virtual std::string problem() const { return {}; }

  // Around fork(), in the parent before: ends what must not be going on meanwhile, and lets nobody
  // begin; in the parent after; in the child after, where no other thread is.
  virtual void LockForFork() noexcept = 0;
  virtual void UnlockAfterFork() noexcept = 0;
  virtual void ReopenInForkedChild() noexcept = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_TIER_H_
