// A queue of entries that are in no heap.
#ifndef ACTCACHE_STORE_EVICTION_ENTRY_LIST_H_
#define ACTCACHE_STORE_EVICTION_ENTRY_LIST_H_

#include "store/entry.h"

namespace actcache {

// First in, first out, linked through the entries' next_, which shares its place with the order in
// the heap. Borrows them. Not thread-safe.
class EntryList {
 public:
  bool empty() const noexcept { return first_ == nullptr; }

  // REQUIRES: in no heap and no list.
  void Push(Entry* entry) noexcept {
    entry->next_ = nullptr;
    *(first_ == nullptr ? &first_ : &last_->next_) = entry;
    last_ = entry;
  }

  // The oldest, or null.
  Entry* Pop() noexcept {
    Entry* const entry = first_;
    if (entry != nullptr) first_ = entry->next_;
    return entry;
  }

 private:
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;  // meaningless while first_ is null
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_EVICTION_ENTRY_LIST_H_
