// Key -> entry: a hash table whose chains run through the entries, so that inserting cannot fail.
#ifndef ACTCACHE_STORE_KEY_TABLE_H_
#define ACTCACHE_STORE_KEY_TABLE_H_

#include <cstddef>

#include "hash/key.h"
#include "store/entry.h"

namespace actcache {

// Borrows the entries. Keys are unique. Not thread-safe. Buckets double when chains reach two
// entries on average; where there is no memory for that, chains grow longer
// instead.
class KeyTable {
 public:
  KeyTable() = default;
  ~KeyTable();
  KeyTable(const KeyTable&) = delete;
  KeyTable& operator=(const KeyTable&) = delete;

  Entry* Find(const Key& key) const noexcept;
  // REQUIRES: its key is not in the table.
  void Insert(Entry* entry) noexcept;
  // REQUIRES: the entry is in the table.
  void Remove(Entry* entry) noexcept;
  std::size_t size() const noexcept { return size_; }

  // Removes every entry for which take(entry) returns true; take() then owns its chain_ link.
  template <typename Take>
  void RemoveIf(Take take) noexcept {
    for (std::size_t i = 0; i < bucket_count_; ++i) {
      Entry** link = &buckets_[i];
      while (*link != nullptr) {
        Entry* entry = *link;
        Entry* next = entry->chain_;
        if (take(entry)) {
          *link = next;
          --size_;
        } else {
          link = &entry->chain_;
        }
      }
    }
  }

  // Calls visit(entry) for every entry.
  template <typename Visit>
  void ForEach(Visit visit) noexcept {
    RemoveIf([&visit](Entry* entry) {
      visit(entry);
      return false;
    });
  }

  // Gives back buckets after many entries were removed, if it can.
  void Shrink() noexcept;

 private:
  static constexpr std::size_t kFirstBuckets = 8;
  static constexpr std::size_t kMeanChain = 2;

  // Shards are chosen by the top bits of words[0]; buckets by another word.
  Entry** BucketOf(const Key& key) const noexcept {
    return &buckets_[static_cast<std::size_t>(key.words[1]) & (bucket_count_ - 1)];
  }
  // To `count` buckets, a power of two of at least kFirstBuckets, unless there is no memory.
  void Rehash(std::size_t count) noexcept;

  Entry* first_[kFirstBuckets] = {};
  Entry** buckets_ = first_;
  std::size_t bucket_count_ = kFirstBuckets;  // a power of two
  std::size_t size_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_KEY_TABLE_H_
