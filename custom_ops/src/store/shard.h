// One shard of the store: its own lock, key table, heap and sketch.
#ifndef ACTCACHE_STORE_SHARD_H_
#define ACTCACHE_STORE_SHARD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/mutex.h"
#include "hash/key.h"
#include "store/entry.h"
#include "store/entry_list.h"
#include "store/frequency_sketch.h"
#include "store/key_table.h"
#include "store/ledger.h"
#include "store/worth_heap.h"

namespace actcache {

// Thread-safe. Owns one reference of each entry in the table. Entries are taken out only by the
// holder of the store's eviction mutex; methods marked (eviction) REQUIRE it, which is why an
// entry that was taken from the heap stays valid until it is put back or dropped.
class alignas(64) Shard {
 public:
  // The entry with a reference added for the caller, or null. Counts the use; a found entry is
  // worth more from now on (`age` is the store's L).
  Entry* Find(const Key& key, double age) noexcept;

  // What a candidate for this key meets.
  struct Prospect {
    bool present;             // an entry has the key already
    std::uint16_t frequency;  // recent uses of the key, at least 1
    std::uint64_t epoch;      // for Insert()
  };
  Prospect Look(const Key& key) noexcept;

  // Takes over the caller's reference and counts the entry in the ledger; false, and nothing is
  // taken, if the key is there or drafts of that epoch are void.
  bool Insert(Entry* entry, double age, std::uint64_t epoch, Ledger* ledger) noexcept;

  // Drafts that looked before this are not inserted after it.
  void VoidDrafts() noexcept;

  // Not above the worth of any entry in the heap; infinite if there is none. Without the lock.
  double floor() const noexcept { return floor_.load(std::memory_order_relaxed); }

  // (eviction) Takes the smallest out of the heap if it is worth at most `worth`, else returns
  // null and brings floor() up to date. The entry stays in the table.
  Entry* TakeSmallest(double worth) noexcept;
  // (eviction) Back into the heap.
  void PutBack(Entry* entry) noexcept;
  // (eviction) Out of the table an entry that is out of the heap; the caller gets the shard's
  // reference. Only if nobody used it since it was taken, unless `even_in_use`.
  bool Drop(Entry* entry, bool even_in_use) noexcept;
  // (eviction) Out of everything all entries, or those of one namespace if not null, into `list`
  // with the shard's references; voids drafts. REQUIRES: no entry is out of the heap.
  void Remove(const std::uint32_t* name_space, EntryList* list) noexcept;

 private:
  static double WorthOf(const Entry& entry, double age) noexcept;
  void PushToHeap(Entry* entry) noexcept ACTCACHE_REQUIRES(mutex_);
  void UpdateFloor() noexcept ACTCACHE_REQUIRES(mutex_);

  Mutex mutex_;
  KeyTable table_ ACTCACHE_GUARDED_BY(mutex_);
  WorthHeap heap_ ACTCACHE_GUARDED_BY(mutex_);
  FrequencySketch sketch_ ACTCACHE_GUARDED_BY(mutex_);
  std::uint64_t epoch_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::atomic<double> floor_{std::numeric_limits<double>::infinity()};
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_SHARD_H_
