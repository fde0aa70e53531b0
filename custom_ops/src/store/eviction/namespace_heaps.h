// The entries of every namespace by worth: what a quota evicts from.
#ifndef ACTCACHE_STORE_EVICTION_NAMESPACE_HEAPS_H_
#define ACTCACHE_STORE_EVICTION_NAMESPACE_HEAPS_H_

#include <cstdint>

#include "store/entry.h"
#include "store/eviction/array_heap.h"
#include "store/eviction/worth_heap.h"
#include "store/id_table.h"

namespace actcache {

// Kept only while a quota is set; takes another 16 bytes per entry then, which are not charged.
// Borrows the entries. Guarded by the store's eviction mutex; reads the worth of no entry, which
// are their shards' to guard, but is told it.
class NamespaceHeaps {
 public:
  // Makes room for one more entry of the namespace; false if there is no memory for it.
  bool Reserve(std::uint32_t name_space) noexcept {
    return heaps_.Ensure(name_space) && heaps_[name_space].Reserve(heaps_[name_space].size() + 1);
  }

  // REQUIRES: room was reserved (an entry that was taken out leaves its room); not in it.
  void Add(Entry* entry, double worth) noexcept { heaps_[entry->name_space_].Push({entry, worth}); }
  // Does nothing if the entry is not in it.
  void Remove(Entry* entry) noexcept {
    if (entry->quota_slot_ != kNoSlot) heaps_[entry->name_space_].Remove(entry->quota_slot_);
  }

  // The entry of the namespace that was told the smallest worth, and that worth; null if none.
  Entry* Smallest(std::uint32_t name_space, double* worth) noexcept {
    if (name_space >= heaps_.size() || heaps_[name_space].empty()) return nullptr;
    *worth = heaps_[name_space].top().worth;
    return heaps_[name_space].top().entry;
  }
  // Tells the worth of what Smallest() returned anew. REQUIRES: it has grown.
  void Raise(std::uint32_t name_space, double worth) noexcept {
    heaps_[name_space].top().worth = worth;
    heaps_[name_space].SinkTop();
  }

  // Namespaces that may have entries are below this.
  std::uint32_t size() const noexcept { return heaps_.size(); }
  // Forgets everything, and takes no memory after. REQUIRES: the entries are still there.
  void Clear() noexcept {
    for (std::uint32_t i = 0; i < heaps_.size(); ++i) {
      while (!heaps_[i].empty()) heaps_[i].Remove(static_cast<std::uint32_t>(heaps_[i].size() - 1));
    }
    heaps_.Clear();
  }

 private:
  struct Item {
    Entry* entry;
    double worth;
    bool Before(const Item& other) const noexcept {
      return Rank{worth, entry->sequence_}.Before({other.worth, other.entry->sequence_});
    }
    void MoveTo(std::uint32_t slot) const noexcept { entry->quota_slot_ = slot; }
  };

  IdTable<ArrayHeap<Item>> heaps_;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_EVICTION_NAMESPACE_HEAPS_H_
