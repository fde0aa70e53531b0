// What waits to be written to a tier, and the thread that writes it.
#ifndef ACTCACHE_TIER_WRITE_QUEUE_H_
#define ACTCACHE_TIER_WRITE_QUEUE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "tier/tier.h"

namespace actcache {

struct WriteQueueStats {
  std::uint64_t queued_bytes = 0;  // waiting now
  std::uint64_t dropped = 0;       // values that found no room
  std::uint64_t promoted = 0;      // taken out of another tier
};

// Who computes adds and goes on: nothing here waits for the tier. What finds no room is dropped and
// counted. The thread starts with the first value and seals records before it hands them on.
class WriteQueue {
 public:
  // Memory that waiting values may take, beside the store's budget.
  static constexpr std::size_t kRoomBytes = std::size_t{32} << 20;

  // `tier` outlives the queue.
  explicit WriteQueue(Tier* tier, std::size_t room_bytes = kRoomBytes)
      : tier_(*tier), room_bytes_(room_bytes) {}
  // Gives up what is still waiting. REQUIRES: Finish() has returned true, or no thread was started.
  ~WriteQueue() = default;
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;

  // Whether a record of this size would be taken now; if not, it counts as dropped. So that who has
  // a value to write need not copy it in vain.
  bool HasRoom(std::size_t bytes) noexcept ACTCACHE_EXCLUDES(mutex_);
  // Takes a record that need not be sealed; with `replace` it takes the place of one with its key.
  void Put(Record record, bool replace) noexcept ACTCACHE_EXCLUDES(mutex_);
  // Takes a record of another tier, while half of the room is free: what was computed goes first.
  void Promote(Record record) noexcept ACTCACHE_EXCLUDES(mutex_);
  void Remove(const TierKey& key) noexcept ACTCACHE_EXCLUDES(mutex_);

  // Has the tier maintained from now on, also where nothing is written: who reads leaves notes.
  void Start() noexcept ACTCACHE_EXCLUDES(mutex_);

  // Returns when all that was added before is written, but not later than in `patience_ns`: then
  // false.
  bool Flush(std::uint64_t patience_ns) noexcept ACTCACHE_EXCLUDES(mutex_);
  // Likewise, and ends the thread. False: it goes on, and the queue has to live as long.
  bool Finish(std::uint64_t patience_ns) noexcept ACTCACHE_EXCLUDES(mutex_);

  WriteQueueStats stats() const noexcept ACTCACHE_EXCLUDES(mutex_);

  // For host/fork.h, after the tier's own: a child writes nothing of what its parent will write.
  void LockForFork() noexcept ACTCACHE_ACQUIRE(mutex_) { mutex_.Lock(); }
  void UnlockAfterFork() noexcept ACTCACHE_RELEASE(mutex_) { mutex_.Unlock(); }
  void ResetInForkedChild() noexcept;

 private:
  struct Item {
    TierKey key;
    Record record;  // false: only remove what has the key
    bool remove;
  };

  void Add(Item item) noexcept ACTCACHE_EXCLUDES(mutex_);
  // False, and nothing is changed, if more than `room_bytes` would wait.
  bool AddWithin(std::size_t room_bytes, Item item) noexcept ACTCACHE_REQUIRES(mutex_);
  // May throw.
  void StartThread() ACTCACHE_REQUIRES(mutex_);
  void Run() noexcept;
  // Takes out what one turn writes.
  std::vector<Item> Take() noexcept ACTCACHE_EXCLUDES(mutex_);
  void Write(std::vector<Item>* items) noexcept;

  Tier& tier_;
  const std::size_t room_bytes_;
  std::atomic<bool> started_{false};
  mutable Mutex mutex_;
  Condition wake_;
  Condition done_;
  std::deque<Item> items_ ACTCACHE_GUARDED_BY(mutex_);
  std::size_t bytes_ ACTCACHE_GUARDED_BY(mutex_) = 0;  // of items_ and of what is being written
  bool writing_ ACTCACHE_GUARDED_BY(mutex_) = false;
  bool stopping_ ACTCACHE_GUARDED_BY(mutex_) = false;
  bool stopped_ ACTCACHE_GUARDED_BY(mutex_) = false;
  std::uint64_t dropped_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::uint64_t promoted_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<std::thread> thread_ ACTCACHE_GUARDED_BY(mutex_);
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_WRITE_QUEUE_H_
