// The entry store: one per process, a byte budget, eviction by measured worth.
//
// Promises
//   1. held bytes <= budget at every instant, drafts in flight included: bytes are reserved before
//      they are allocated and returned after they are freed. Only while SetBudget() lowers the
//      budget may more be held, and after it only what readers and drafts still hold.
//   2. An entry never changes after Publish(); its bytes live while an EntryRef points at it, and
//      stay charged as long, evicted or not.
//   3. Keys are compared in full. A miss is always a possible answer: no memory, no room and no
//      worth are refusals, never exceptions.
//
// Worth (GreedyDual-Size-Frequency, Cherkasova 1998, with measured cost)
//   H(entry) = L + frequency * cost_ns / charge        set when it is stored or found
//   L        = the largest H evicted so far, so that what is not used ages against what is
//   frequency  counts lookups of the key, recent ones before its admission included (a sketch
//              that remembers keys which are not stored)
// The entry with the smallest H of the whole store goes first, wherever it is sharded.
//
// Admission. With room to spare everything is stored. Otherwise a candidate with worth H may push
// out only idle entries whose H is not above its own; they are chosen first and dropped only if
// together they make room, so that a refused candidate costs nobody. Entries that a reader holds
// are passed over: dropping them would free nothing yet. A refused candidate ages the store as an
// admitted one of its size would, though by less: L moves the fraction charge / budget of its way
// to the smallest H. So a store full of things once dear gives way to a new load in time.
//
// Locks, in this order: eviction_mutex_ (whoever takes entries out, one at a time) -> one shard's
// mutex -> the ledger's. No two shards are ever locked together. Find() takes one shard's mutex,
// for a hash lookup and a few additions; entries are allocated and freed outside shard locks, and
// payload bytes are never touched by the store.
#ifndef ACTCACHE_STORE_STORE_H_
#define ACTCACHE_STORE_STORE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "hash/key.h"
#include "store/draft.h"
#include "store/entry.h"
#include "store/entry_list.h"
#include "store/ledger.h"
#include "store/shard.h"

namespace actcache {

// All methods are thread-safe, and none throws. REQUIRES: every EntryRef and Draft of a store is
// gone before the store is.
class Store {
 public:
  static constexpr std::size_t kDefaultBudget = std::size_t{256} << 20;

  explicit Store(std::size_t budget) noexcept;
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The one the operators share. Starts with kDefaultBudget; never destroyed.
  static Store& Process() noexcept;
  // Makes a new one for a forked child, and abandons the old. REQUIRES: no other thread exists, and
  // this one holds no entry or draft.
  static void ReplaceProcessStore() noexcept;

  // The entry of `key`, or null. Either way the key counts as used once more. The caller shares
  // ownership of the entry.
  EntryRef Find(const Key& key) noexcept;

  // Room for an entry with these `count` tensors, or a false Draft that says why. May evict. The
  // caller owns the draft. REQUIRES: tag.region < kMaxRegions (else refused as too large).
  Draft Reserve(const Key& key, EntryTag tag, const TensorSpec* specs, std::size_t count,
                std::uint64_t cost_ns) noexcept;

  // Makes a filled draft findable. False, and the draft's bytes are given back, if the key is
  // there already (which is kept) or the store was cleared or its budget lowered since
  // Reserve(). Takes the draft in either case. REQUIRES: `draft` is true, of this store, and all
  // of its payloads are written.
  bool Publish(Draft&& draft) noexcept;

  // Evicts down to a lower budget before it returns, and voids drafts in flight; 0 empties the
  // store and turns it off.
  void SetBudget(std::size_t bytes) noexcept;
  std::size_t budget() const noexcept;

  // Removes every entry, or those of one namespace; returns how many. Drafts reserved before are
  // never published after. What a reader holds lives on for that reader alone.
  std::size_t Clear() noexcept;
  std::size_t ClearNamespace(std::uint32_t name_space) noexcept;

  // One consistent snapshot; cheap.
  StoreStats stats() const noexcept;
  RegionUsage usage(std::uint32_t region) const noexcept;

 private:
  friend class Entry;  // Unref() ends in Destroy()

  static constexpr std::size_t kShardBits = 4;
  static constexpr std::size_t kShards = std::size_t{1} << kShardBits;

  Shard& ShardOf(const Key& key) noexcept {
    return shards_[static_cast<std::size_t>(key.words[0] >> (64 - kShardBits))];
  }

  // Frees an entry that nobody refers to any more and returns its charge.
  void Destroy(Entry* entry) noexcept;

  // Refuses and counts it.
  Draft Reject(Refusal refusal) noexcept;

  // Charges `charge` bytes after evicting idle entries worth at most L + `gain`, or returns false
  // and evicts nothing (unless others used up the room in between).
  bool MakeRoom(std::uint32_t region, std::size_t charge, double gain) noexcept
      ACTCACHE_EXCLUDES(eviction_mutex_);
  // Moves the least worthy entries into `chosen` until they sum up to `bytes`; false if those
  // worth at most `worth` do not suffice. Passes those in use over into `in_use`.
  bool Choose(std::size_t bytes, double worth, EntryList* chosen, EntryList* in_use) noexcept
      ACTCACHE_REQUIRES(eviction_mutex_);
  // Evicts those of `chosen` that were not used since they were chosen, frees them, and returns
  // their charges, which the ledger still counts. The others move into `in_use`.
  std::size_t Evict(EntryList* chosen, EntryList* in_use) noexcept
      ACTCACHE_REQUIRES(eviction_mutex_);
  // Takes the entry with the smallest worth out of its shard's heap (it stays findable); null if
  // none is worth at most `worth`.
  Entry* TakeSmallest(double worth) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  void PutBack(EntryList* entries) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  void EvictDownToBudget() noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  // Takes out all entries, or those of one namespace if it is not null.
  std::size_t Remove(const std::uint32_t* name_space) noexcept ACTCACHE_EXCLUDES(eviction_mutex_);

  void AgeTo(double worth) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  void AgeByRefusal(std::size_t charge) noexcept ACTCACHE_REQUIRES(eviction_mutex_);

  Mutex eviction_mutex_;
  std::atomic<double> age_{0};  // L; written under eviction_mutex_, read by anyone
  Ledger ledger_;
  std::array<Shard, kShards> shards_;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_STORE_H_
