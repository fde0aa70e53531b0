// What the store keeps: the tensors of one key in one block of memory.
#ifndef ACTCACHE_STORE_ENTRY_H_
#define ACTCACHE_STORE_ENTRY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "hash/key.h"

namespace actcache {

class Store;

// What to reserve room for. `bytes` is the payload's size, whatever dtype and dims say (strings).
struct TensorSpec {
  std::int32_t dtype;  // onnx TensorProto.DataType
  std::vector<std::int64_t> dims;
  std::size_t bytes;
};

// Whose an entry is. Both are small ids given out from 0 by the caller.
struct EntryTag {
  std::uint32_t name_space;
  std::uint32_t region;
};

// Dimensions of a cached tensor; points into the entry.
struct DimsView {
  const std::int64_t* data;
  std::size_t rank;
  const std::int64_t* begin() const noexcept { return data; }
  const std::int64_t* end() const noexcept { return data + rank; }
};

// One allocation: this header, a record and the dims per tensor, then the payloads. A payload of
// 4 KiB or more starts on a cache line (64 bytes); a smaller one at a multiple of 16, because there
// the padding would cost more than it brings. Immutable once published, except for the bookkeeping
// at the end, which is the store's. Reached through an EntryRef (or, while it is filled, a Draft).
class Entry {
 public:
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  const Key& key() const noexcept { return key_; }
  EntryTag tag() const noexcept { return tag_; }
  // Bytes counted against the budget: the whole allocation and its share of the index.
  std::size_t charge() const noexcept { return charge_; }
  // What computing it took.
  std::uint64_t cost_ns() const noexcept { return cost_ns_; }

  std::size_t tensor_count() const noexcept { return tensor_count_; }
  // REQUIRES, for all: i < tensor_count(). Time grows with i. Pointers live as long as the entry.
  std::int32_t dtype(std::size_t i) const noexcept;
  DimsView dims(std::size_t i) const noexcept;
  const void* data(std::size_t i) const noexcept;
  std::size_t bytes(std::size_t i) const noexcept;

 private:
  friend class Draft;
  friend class EntryList;
  friend class EntryRef;
  friend class KeyTable;
  friend class Shard;
  friend class Store;
  friend class WorthHeap;

  // Sizes of an entry for these tensors; false if they do not fit in a size_t or the records'
  // fields, which a caller treats as "too large".
  struct Layout {
    std::size_t allocation;
    std::size_t charge;
  };
  static bool Measure(const TensorSpec* specs, std::size_t count, Layout* layout) noexcept;

  // A new entry with one reference and uninitialised payloads, or null. REQUIRES: `layout` comes
  // from Measure(specs, count).
  static Entry* Make(Store* store, const Key& key, EntryTag tag, const TensorSpec* specs,
                     std::size_t count, const Layout& layout, std::uint64_t cost_ns) noexcept;
  static void Free(Entry* entry) noexcept;

  Entry(Store* store, const Key& key, EntryTag tag, std::size_t count, std::size_t charge,
        std::uint64_t cost_ns) noexcept
      : key_(key),
        store_(store),
        charge_(charge),
        cost_ns_(cost_ns),
        tag_(tag),
        tensor_count_(static_cast<std::uint16_t>(count)) {}

  struct Record;  // per tensor: dtype, rank, bytes; its dims follow it
  const Record* record(std::size_t i) const noexcept;

  // A reference keeps the memory and its charge. The store's own is one; an entry whose count is 1
  // while its shard is locked is used by nobody, and nobody can start.
  void Ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() noexcept;  // the last one frees it and returns its charge to the store
  bool idle() const noexcept { return refs_.load(std::memory_order_acquire) == 1; }

  const Key key_;
  Store* const store_;
  const std::size_t charge_;
  const std::uint64_t cost_ns_;
  const EntryTag tag_;

  // Bookkeeping, guarded by the mutex of the entry's shard once published.
  Entry* chain_ = nullptr;    // next in its bucket of the KeyTable
  Entry* child_ = nullptr;    // first child in the WorthHeap
  Entry* sibling_ = nullptr;  // next child of its parent; outside the heap: next in an EntryList
  double worth_ = 0;          // GreedyDual-Size-Frequency's H, as of the last use
  double heap_worth_ = 0;     // H as of its last move in the heap; never above worth_
  std::atomic<std::uint32_t> refs_{1};
  std::uint16_t frequency_ = 1;
  const std::uint16_t tensor_count_;
};

// Shared ownership of a published entry. Null or not; a reader keeps the bytes alive (and charged
// against the budget) even if the entry is evicted meanwhile. Let go soon: the operators hold one
// only inside a kernel call. Each EntryRef belongs to one thread at a time. REQUIRES: gone before
// its store is.
class EntryRef {
 public:
  EntryRef() = default;
  EntryRef(const EntryRef& other) noexcept : entry_(other.entry_) {
    if (entry_ != nullptr) entry_->Ref();
  }
  EntryRef(EntryRef&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  EntryRef& operator=(EntryRef other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~EntryRef() {
    if (entry_ != nullptr) entry_->Unref();
  }

  explicit operator bool() const noexcept { return entry_ != nullptr; }
  const Entry* get() const noexcept { return entry_; }
  const Entry& operator*() const noexcept { return *entry_; }
  const Entry* operator->() const noexcept { return entry_; }

 private:
  friend class Store;
  explicit EntryRef(Entry* adopted) noexcept : entry_(adopted) {}

  Entry* entry_ = nullptr;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_ENTRY_H_
