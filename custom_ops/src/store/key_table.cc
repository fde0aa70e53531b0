#include "store/key_table.h"

#include <algorithm>

#include "base/memory.h"

namespace actcache {

KeyTable::~KeyTable() {
  if (buckets_ != first_) Free(buckets_);
}

Entry* KeyTable::Find(const Key& key) const noexcept {
  Entry* entry = *BucketOf(key);
  while (entry != nullptr && entry->key_ != key) entry = entry->chain_;
  return entry;
}

void KeyTable::Insert(Entry* entry) noexcept {
  if (size_ >= bucket_count_ * kMeanChain) Rehash(2 * bucket_count_);
  Entry** bucket = BucketOf(entry->key_);
  entry->chain_ = *bucket;
  *bucket = entry;
  ++size_;
}

void KeyTable::Remove(Entry* entry) noexcept {
  Entry** link = BucketOf(entry->key_);
  while (*link != entry) link = &(*link)->chain_;
  *link = entry->chain_;
  --size_;
}

void KeyTable::Shrink() noexcept {
  std::size_t count = bucket_count_;
  while (count > kFirstBuckets && size_ < count / 2) count /= 2;
  if (count < bucket_count_) Rehash(count);
}

void KeyTable::Rehash(std::size_t count) noexcept {
  auto** grown = static_cast<Entry**>(Allocate(count * sizeof(Entry*)));
  if (grown == nullptr) return;
  std::fill_n(grown, count, nullptr);
  Entry** const old = buckets_;
  const std::size_t old_count = bucket_count_;
  buckets_ = grown;
  bucket_count_ = count;
  for (std::size_t i = 0; i < old_count; ++i) {
    for (Entry* entry = old[i]; entry != nullptr;) {
      Entry* const next = entry->chain_;
      Entry** const bucket = BucketOf(entry->key_);
      entry->chain_ = *bucket;
      *bucket = entry;
      entry = next;
    }
  }
  if (old != first_) Free(old);
}

}  // namespace actcache
