// A queue of entries that are in no heap.
#ifndef ACTCACHE_STORE_ENTRY_LIST_H_
#define ACTCACHE_STORE_ENTRY_LIST_H_

#include "store/entry.h"

namespace actcache {

// First in, first out, linked through the entries' sibling_. Borrows them. Not thread-safe.
class EntryList {
 public:
  void Push(Entry* entry) noexcept {
    entry->sibling_ = nullptr;
    *(last_ == nullptr ? &first_ : &last_->sibling_) = entry;
    last_ = entry;
  }

  // The oldest, or null.
  Entry* Pop() noexcept {
    Entry* entry = first_;
    if (entry == nullptr) return nullptr;
    first_ = entry->sibling_;
    if (first_ == nullptr) last_ = nullptr;
    return entry;
  }

 private:
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_ENTRY_LIST_H_
