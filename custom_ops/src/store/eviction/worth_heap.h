// The entries of a shard by worth, smallest first.
#ifndef ACTCACHE_STORE_EVICTION_WORTH_HEAP_H_
#define ACTCACHE_STORE_EVICTION_WORTH_HEAP_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "store/entry.h"
#include "store/eviction/array_heap.h"

namespace actcache {

// A place in the order of eviction. Of equal worth, what was made first goes first; so the order
// does not depend on how entries are sharded.
struct Rank {
  double worth = std::numeric_limits<double>::infinity();
  std::uint32_t sequence = 0;

  bool Before(const Rank& other) const noexcept {
    if (worth != other.worth) return worth < other.worth;
    return static_cast<std::int32_t>(sequence - other.sequence) < 0;
  }
};

// Borrows the entries. Not thread-safe.
//
// An entry's worth only grows, and it grows at every hit; so a hit leaves the heap alone, and the
// heap moves an entry to its new place when it comes up as the smallest. The heap is ordered by
// heap_worth_, which is worth_ as of the entry's last move and never above it.
class WorthHeap {
 public:
  // Makes room for `count` entries in all; false if there is no memory for it.
  bool Reserve(std::size_t count) noexcept { return heap_.Reserve(count); }
  void Shrink(std::size_t count) noexcept { heap_.Shrink(count); }

  // REQUIRES: in no heap, and room was reserved.
  void Push(Entry* entry) noexcept {
    entry->heap_worth_ = entry->worth_;
    heap_.Push({entry});
  }

  // The entry with the smallest worth, or null. It stays. Amortised O(log n) per hit since.
  Entry* Smallest() noexcept {
    while (!heap_.empty()) {
      Entry* const entry = heap_.top().entry;
      if (entry->heap_worth_ == entry->worth_) return entry;
      entry->heap_worth_ = entry->worth_;
      heap_.SinkTop();
    }
    return nullptr;
  }

  static bool Holds(const Entry& entry) noexcept { return entry.heap_slot_ != kNoSlot; }
  // REQUIRES: in this heap.
  void Remove(Entry* entry) noexcept { heap_.Remove(entry->heap_slot_); }

 private:
  struct Item {
    Entry* entry;
    bool Before(const Item& other) const noexcept {
      return Rank{entry->heap_worth_, entry->sequence_}.Before(
          {other.entry->heap_worth_, other.entry->sequence_});
    }
    void MoveTo(std::uint32_t slot) const noexcept { entry->heap_slot_ = slot; }
  };

  ArrayHeap<Item> heap_;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_EVICTION_WORTH_HEAP_H_
