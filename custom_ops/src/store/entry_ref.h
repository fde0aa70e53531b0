// A reader's share of an entry.
#ifndef ACTCACHE_STORE_ENTRY_REF_H_
#define ACTCACHE_STORE_ENTRY_REF_H_

#include <utility>

#include "store/entry.h"

namespace actcache {

class Store;

// Shared ownership of a published entry. Null or not; a reader keeps the bytes alive (and charged
// against the budget) even if the entry is removed meanwhile. Let go soon: the operators hold one
// only inside a kernel call. Each EntryRef belongs to one thread at a time. REQUIRES: gone before
// its store is.
class EntryRef {
 public:
  EntryRef() = default;
  EntryRef(const EntryRef& other) noexcept : entry_(other.entry_), store_(other.store_) {
    if (entry_ != nullptr) entry_->Ref();
  }
  EntryRef(EntryRef&& other) noexcept
      : entry_(std::exchange(other.entry_, nullptr)), store_(other.store_) {}
  EntryRef& operator=(EntryRef other) noexcept {
    std::swap(entry_, other.entry_);
    std::swap(store_, other.store_);
    return *this;
  }
  ~EntryRef() {
    if (entry_ != nullptr && entry_->Unref()) Destroy();
  }

  explicit operator bool() const noexcept { return entry_ != nullptr; }
  const Entry* get() const noexcept { return entry_; }
  const Entry& operator*() const noexcept { return *entry_; }
  const Entry* operator->() const noexcept { return entry_; }

 private:
  friend class Store;
  EntryRef(Entry* adopted, Store* store) noexcept : entry_(adopted), store_(store) {}
  void Destroy() noexcept;  // frees the entry and returns its charge to the store

  Entry* entry_ = nullptr;
  Store* store_ = nullptr;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_ENTRY_REF_H_
