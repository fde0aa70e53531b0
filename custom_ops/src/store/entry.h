// What the store keeps: the tensors of one key in one block of memory.
#ifndef ACTCACHE_STORE_ENTRY_H_
#define ACTCACHE_STORE_ENTRY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hash/key.h"
#include "store/dims_view.h"
#include "store/eviction/array_heap.h"
#include "store/offer.h"
#include "store/tick.h"

namespace actcache {

// One allocation: this header, a few bytes per tensor, then the payloads. A payload of 64 KiB
// or more starts on a cache line (64 bytes); a smaller one at a multiple of 16, because there the
// padding would cost more than it brings. Immutable once published, except for the bookkeeping,
// which is the store's. Reached through an EntryRef (or, while it is filled, a Draft).
//
// The fields are as small as they may be: with one tensor of up to three dimensions, header and
// record take 96 bytes. With malloc's header and the index's share an entry takes 128 beside its
// payload, if that is a multiple of 16 or up to 8 more; other sizes malloc rounds up, by 7 at most.
// (Memory of the pool is no different.)
class Entry {
 public:
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  const Key& key() const noexcept { return key_; }
  EntryTag tag() const noexcept { return {name_space_, region_}; }
  // The offer's.
  std::uint16_t origin() const noexcept { return origin_; }
  // What computing it took, to seven digits.
  std::uint64_t cost_ns() const noexcept { return static_cast<std::uint64_t>(cost_ns_); }
  // Bytes counted against the budget: the whole allocation and its share of the index. Takes as
  // long as reading every tensor's record.
  std::size_t charge() const noexcept;

  KeyScope scope() const noexcept { return Is(kShared) ? KeyScope::kShared : KeyScope::kProcess; }

  // Not less than its age, and at most two ticks more.
  std::uint64_t AgeAtMost(std::uint64_t now_ns) const noexcept {
    const std::int64_t ticks = TicksBetween(created_, TickOf(now_ns));
    return static_cast<std::uint64_t>(ticks < 0 ? 1 : ticks + 1) << kTickBits;
  }
  // What is left of its time to live, as Offer::ttl_ns: 0 if it never expires; at most a tick
  // more than it is. With the age, this dates the entry on any clock. REQUIRES: not expired.
  std::uint64_t TimeToLive(std::uint64_t now_ns) const noexcept {
    if (!Is(kExpires)) return 0;
    return static_cast<std::uint64_t>(TicksBetween(TickOf(now_ns), expires_)) << kTickBits;
  }

  // Whether types, sizes and shapes of all its tensors are those of another entry.
  bool SameTensors(const Entry& other) const noexcept;

  std::size_t tensor_count() const noexcept;
  // REQUIRES, for all: i < tensor_count(). Time grows with i. Pointers live as long as the entry.
  std::int32_t dtype(std::size_t i) const noexcept;
  DimsView dims(std::size_t i) const noexcept;
  const void* data(std::size_t i) const noexcept;
  std::size_t bytes(std::size_t i) const noexcept;
  // data(i) of all tensors, into as many places. Takes as long as the last data(i) alone.
  void AllData(const void** out) const noexcept;

 private:
  friend class Draft;
  friend class EntryList;
  friend class EntryRef;
  friend class KeyTable;
  friend class NamespaceHeaps;
  friend class Shard;
  friend class Store;
  friend class WorthHeap;

  // Sizes of an entry for these tensors; false if they do not fit in a size_t or the records'
  // fields, which a caller treats as "too large".
  struct Layout {
    std::size_t allocation;
    std::size_t bare;  // of it, what stands before the payloads
    std::size_t charge;
  };
  static bool Measure(const TensorSpec* specs, std::size_t count, Layout* layout) noexcept;

  // A new entry with one reference and uninitialised payloads, or null. REQUIRES: `layout` comes
  // from Measure() of the offer's tensors; its tag is within the ledger's limits.
  static Entry* Make(const Offer& offer, const Layout& layout) noexcept;
  static void Free(Entry* entry) noexcept;

  Entry(const Offer& offer, std::size_t charge) noexcept;

  static constexpr std::size_t kHeaderBytes = 81;  // up to the records
  class RecordReader;
  unsigned char* records() noexcept;
  const unsigned char* records() const noexcept;
  const unsigned char* RecordsEnd() const noexcept;
  std::uintptr_t PayloadsBegin() const noexcept;

  // Hits are worth this much per byte each; 0 if fetching costs as much as computing.
  double gain() const noexcept { return gain_; }
  // References keep the memory and its charge. The store's own is one; an entry whose count is 1
  // while its shard is locked is used by nobody, and nobody can start.
  void Ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  // Whether it was the last one; the caller then destroys the entry.
  bool Unref() noexcept { return refs_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  bool idle() const noexcept { return refs_.load(std::memory_order_acquire) == 1; }

  bool Is(std::uint8_t flag) const noexcept {
    return (flags_.load(std::memory_order_relaxed) & flag) != 0;
  }
  void Set(std::uint8_t flag, bool on) noexcept {
    const std::uint8_t flags = flags_.load(std::memory_order_relaxed);
    flags_.store(static_cast<std::uint8_t>(on ? flags | flag : flags & ~flag),
                 std::memory_order_relaxed);
  }
  static constexpr std::uint8_t kPinned = 1;
  static constexpr std::uint8_t kExpires = 2;  // expires_ counts
  static constexpr std::uint8_t kUsed = 4;     // found since it was taken out of the heap
  static constexpr std::uint8_t kShared = 8;   // its KeyScope
  static constexpr std::uint8_t kPooled = 16;  // where its memory is from (Block)

  bool Expired(std::uint64_t now_ns) const noexcept {
    return Is(kExpires) && TicksBetween(expires_, TickOf(now_ns)) >= 0;
  }

  // Bookkeeping is guarded by the mutex of the entry's shard once published, but for refs_,
  // flags_ and what is const. Ordered so that a lookup reads the first cache line or two.
  const Key key_;
  Entry* chain_ = nullptr;  // next in its bucket of the KeyTable
  // GreedyDual-Size-Frequency's H, as of the last use; before it is published: the most it may be.
  double worth_ = 0;
  std::atomic<std::uint32_t> refs_{1};
  Tick expires_ = 0;
  const Tick created_;
  const float gain_;
  std::uint16_t frequency_ = 1;
  const std::uint16_t region_;
  const std::uint16_t name_space_;
  const std::uint16_t origin_;
  const float cost_ns_;
  std::uint32_t sequence_ = 0;  // order of making, modulo 2^32; the tie-breaker
  union {
    double heap_worth_ = 0;  // in the WorthHeap: H as of its last move; never above worth_
    Entry* next_;            // in an EntryList
  };
  std::uint32_t heap_slot_ = kNoSlot;   // in the WorthHeap
  std::uint32_t quota_slot_ = kNoSlot;  // in its namespace's heap; guarded by the eviction mutex
  std::atomic<std::uint8_t> flags_{0};  // read by anyone
  // Records of the tensors begin here: varints of their count, then for each of dtype, rank, bytes
  // and dims. The payloads follow at the next aligned addresses.
  [[maybe_unused]] unsigned char first_record_byte_ = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_ENTRY_H_
