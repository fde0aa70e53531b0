// The entries of a shard by worth, smallest first.
#ifndef ACTCACHE_STORE_WORTH_HEAP_H_
#define ACTCACHE_STORE_WORTH_HEAP_H_

#include "store/entry.h"

namespace actcache {

// A pairing heap (Fredman et al. 1986) whose links are in the entries, so that it never allocates.
// Borrows the entries. Not thread-safe.
//
// An entry's worth only grows, and it grows at every hit; so a hit leaves the heap alone, and the
// heap moves an entry to its new place when it comes up as the smallest. Invariant: heap_worth_ of
// an entry in the heap is at least its parent's and at most its worth_.
class WorthHeap {
 public:
  // REQUIRES: not in a heap.
  void Push(Entry* entry) noexcept;
  // The entry with the smallest worth, or null. It stays. Amortised O(log n) per hit since.
  Entry* Smallest() noexcept;
  // Takes out what Smallest() returned. REQUIRES: no Push() and no hit since then.
  void PopSmallest() noexcept;
  // Forgets all entries. Those that stay must be pushed again.
  void Reset() noexcept { root_ = nullptr; }

 private:
  static Entry* Meld(Entry* a, Entry* b) noexcept;
  static Entry* MeldSiblings(Entry* first) noexcept;

  Entry* root_ = nullptr;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_WORTH_HEAP_H_
