// The entry store: one per process, a byte budget, eviction by measured worth.
//
// Promises
//   1. held bytes <= budget at every instant, drafts in flight included: bytes are reserved before
//      they are allocated and returned after they are freed. Only while SetBudget() lowers the
//      budget may more be held, and after it only what readers and drafts still hold. The same
//      goes for every namespace's share and the quota.
//   2. An entry never changes after Publish(); its bytes live while an EntryRef points at it, and
//      stay charged as long, removed or not.
//   3. Keys are compared in full. A miss is always a possible answer: no memory, no room and no
//      worth are refusals, never exceptions.
//   4. An entry is never found after its time to live, nor by a reader who takes only younger ones.
//      Both err by up to two ticks (17 ms) on the side of a miss.
//
// Worth (GreedyDual-Size-Frequency, Cherkasova 1998, with measured times)
//   H(entry) = L + frequency * max(0, cost_ns - fetch_ns) / charge   set when stored or found
//   L        = the largest H evicted so far, so that what is not used ages against what is
//   frequency  counts lookups of the key, recent ones before its admission and from before its
//              last eviction included (a sketch that remembers keys which are not stored)
// The entry with the smallest H of the whole store goes first, wherever it is sharded; of equal
// ones the one that was made first. So the same operations in the same order, with the same times,
// decide the same, whatever the bits of the keys; but for frequencies of keys that are not stored,
// which are estimates: keys that collide in the sketch depend on their bits, and so does when a
// shard's sketch is halved.
//
// Admission. With room to spare everything is stored. Otherwise an offer with worth H may push
// out only idle entries whose H is not above its own; they are chosen first and dropped only if
// together they make room, so that a refused offer costs nobody. Entries that a reader holds
// are passed over: dropping them would free nothing yet. A refused offer ages the store as an
// admitted one of its size would, though by less: L moves the fraction charge / budget of its way
// to the smallest H (over its quota: charge / quota, to the smallest of its namespace). So a store
// full of things once dear gives way to a new load in time.
//   - What takes as long to fetch as to compute pushes out nothing.
//   - What takes more than an eighth of the budget pushes out nothing until its key was looked up
//     twice lately: one large value that never repeats would cost many that do.
//   - An offer over its namespace's quota pushes out entries of its own namespace only.
//   - A replacement takes the room of what it replaces first.
//
// Chains. Of a unit of a chain, of no use without the unit before it, H is bounded by next to less
// than that one's (eviction/chain_worth.h). So tails leave before what they follow, an offer pushes
// nothing out that it needs, and what is left of a chain is its beginning. A tail may lose what it
// follows all the same, where that expires or is removed; it is worth no more from then on.
//
// Pins hold for entries that exist: one that is pinned is not evicted for room or quota, but
// expires, can be invalidated, and hands its pin on to what replaces it. A lower budget evicts
// pinned entries after all others.
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
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "hash/key.h"
#include "store/draft.h"
#include "store/entry.h"
#include "store/entry_ref.h"
#include "store/eviction/entry_list.h"
#include "store/eviction/namespace_heaps.h"
#include "store/ledger.h"
#include "store/selection.h"
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
  // What host/fork.h does. REQUIRES: no other thread, and no entry or draft held by this one.
  static void ReplaceInForkedChild() noexcept;

  // The entry of `key`, or null; `why`, if given, says why. In any case the key counts as used once
  // more. An entry that has expired is removed. The caller shares ownership of the entry.
  // Of a unit of a chain `before` is what the unit before it is worth, and becomes what this one
  // is worth if it is found.
  EntryRef Find(const Key& key, const FindLimits& limits, Absence* why = nullptr,
                double* before = nullptr) noexcept;
  // What the entry of `key` is worth, for what follows it; none if there is none.
  std::optional<double> WorthOf(const Key& key) noexcept { return ShardOf(key).WorthOf(key); }
  // The entry of `key`, or null, whatever its age; not counted as a use. For verification.
  EntryRef Peek(const Key& key) noexcept;

  // Room for an entry, or a false Draft that says why. May evict. The caller owns the draft.
  Draft Reserve(const Offer& offer) noexcept;

  // An entry for the caller alone, that is never findable and counts against no budget: what a call
  // uses although the store has no room for it. `fill` writes all payloads. Null: no memory.
  template <typename Fill>
  static EntryRef MakeBeside(const Offer& offer, const Fill& fill) noexcept {
    Draft draft = ReserveBeside(offer);
    if (!draft) return {};
    fill(&draft);
    return std::move(draft.entry_);
  }

  // Makes a filled draft findable; with Offer::replace, in place of the entry with its key,
  // which readers of it keep. False, and the draft's bytes are given back, if without `replace`
  // the key is there already (which is kept), if there is no memory, or if since Reserve() entries
  // were invalidated, or the budget or the quota changed. Takes the draft in either case.
  // REQUIRES: `draft` is true, of this store, and all of its payloads are written.
  bool Publish(Draft&& draft) noexcept;

  // Removes the entry of `key`; false if there was none. A reader of it keeps it.
  bool Remove(const Key& key, Ledger::Removal why) noexcept;

  // Evicts down to a lower budget before it returns, and voids drafts in flight; 0 empties the
  // store and turns it off.
  void SetBudget(std::size_t bytes) noexcept;
  std::size_t budget() const noexcept;

  // The most that may be held for any one namespace; 0: as much as for all. Evicts down to a lower
  // one before it returns (not what is pinned), and voids drafts in flight.
  void SetNamespaceQuota(std::size_t bytes) noexcept;

  // All three take time proportional to the number of entries, and return how many they changed.
  // Invalidate() removes; drafts reserved before, if they may match, are never published after,
  // and what a reader holds lives on for that reader alone.
  std::size_t Invalidate(const Selection& selection, std::uint64_t now_ns) noexcept;
  std::size_t Pin(const Selection& selection, std::uint64_t now_ns) noexcept;
  std::size_t Unpin(const Selection& selection, std::uint64_t now_ns) noexcept;

  // Told of every entry that is findable no more, with the store's locks held: it must not call the
  // store. Null: nobody is told.
  using RemovalListener = void (*)(const Key& key, EntryTag tag, Ledger::Removal why) noexcept;
  void SetRemovalListener(RemovalListener listener) noexcept {
    removal_listener_.store(listener, std::memory_order_relaxed);
  }

  // Consistent snapshots; cheap.
  StoreStats stats() const noexcept;
  RegionUsage usage(std::uint32_t region) const noexcept;
  NamespaceUsage namespace_usage(std::uint32_t name_space) const noexcept;

 private:
  friend class EntryRef;  // the last one ends in Destroy()

  static constexpr std::size_t kShardBits = 6;
  static constexpr std::size_t kShards = std::size_t{1} << kShardBits;

  Shard& ShardOf(const Key& key) noexcept {
    return shards_[static_cast<std::size_t>(key.words[0] >> (64 - kShardBits))];
  }
  double age() const noexcept { return age_.load(std::memory_order_relaxed); }

  static Draft ReserveBeside(const Offer& offer) noexcept;
  // Frees an entry that nobody refers to any more and returns its charge.
  void Destroy(Entry* entry) noexcept;
  // Refuses and counts it.
  Draft Reject(Rejection rejection) noexcept;
  bool PublishIndexed(Entry* entry, std::uint64_t epoch, bool replace) noexcept
      ACTCACHE_EXCLUDES(eviction_mutex_);

  // What an offer may push out for: its worth above L (but for chains), or 0 for nothing.
  double GainOf(const Offer& offer, std::size_t charge, std::uint16_t frequency) const noexcept;
  // Charges `charge` bytes after evicting idle entries worth at most L + `gain`, if it is not
  // behind one that is worth less, or returns false and evicts nothing (unless others used up the
  // room in between).
  bool MakeRoom(const Offer& offer, std::size_t charge, double gain) noexcept
      ACTCACHE_EXCLUDES(eviction_mutex_);
  // Moves the least worthy entries, of one namespace if not null, into `chosen` until they sum up
  // to `bytes`; false if those worth at most `worth` do not suffice. Passes those in use over into
  // `in_use`.
  bool Choose(std::size_t bytes, double worth, const std::uint32_t* name_space, EntryList* chosen,
              EntryList* in_use) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  // Evicts those of `chosen` that were not used since they were chosen, frees them, and returns
  // their charges, which the ledger still counts. The others move into `in_use`.
  std::size_t Evict(Ledger::Removal why, EntryList* chosen, EntryList* in_use) noexcept
      ACTCACHE_REQUIRES(eviction_mutex_);
  // Evicts what an offer is to replace, if nobody uses it and it is not pinned; the same.
  std::size_t EvictReplaced(const Key& key) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  // Frees an entry that nobody refers to and returns its charge, which the ledger still counts.
  std::size_t Seize(Entry* entry, Ledger::Removal why) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  // Take the entry with the smallest worth, of all or of one namespace, out of the heaps (it stays
  // findable); null if none is worth at most `worth`.
  Entry* TakeSmallest(double worth) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  Entry* TakeSmallestOf(std::uint32_t name_space, double worth) noexcept
      ACTCACHE_REQUIRES(eviction_mutex_);
  void PutBack(EntryList* entries) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  void PutBack(Entry* entry) noexcept ACTCACHE_REQUIRES(eviction_mutex_);

  // Evicts until the budget, or the quota of one namespace if not null, is exceeded by no more than
  // the `leaving` bytes that readers still hold; returns how many those are then. Pinned entries do
  // not count unless they are exposed.
  std::size_t EvictDown(const std::uint32_t* name_space, std::size_t leaving) noexcept
      ACTCACHE_REQUIRES(eviction_mutex_);
  // Builds the heaps of all namespaces anew, or takes them down if there is no quota. What there is
  // no memory for is evicted.
  void RebuildNamespaceHeaps() noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  void EvictDownToBudget() noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  // Gives freed memory back to the system if the control functions have freed much since the last
  // time. `before` is what was held before.
  void ReturnMemory(std::size_t before) noexcept ACTCACHE_EXCLUDES(eviction_mutex_);
  std::size_t RemoveSelected(const Selection& selection, std::uint64_t now_ns,
                             Ledger::Removal why) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  std::size_t SetPinned(const Selection& selection, std::uint64_t now_ns, bool pinned) noexcept
      ACTCACHE_EXCLUDES(eviction_mutex_);

  // Counts that an entry is findable no more.
  void Count(const Entry& entry, Ledger::Removal why) noexcept;
  // Ends the life of entries that were taken out of their shards.
  void Bury(Entry* entry, Ledger::Removal why) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  std::size_t BuryAll(EntryList* entries, Ledger::Removal why) noexcept
      ACTCACHE_REQUIRES(eviction_mutex_);
  void RemoveExpired(const Key& key, std::uint64_t now_ns) noexcept
      ACTCACHE_EXCLUDES(eviction_mutex_);
  // Removes entries so old that ticks would soon take them for young. Cheap unless it is time.
  void ForgetOld(std::uint64_t now_ns) noexcept ACTCACHE_EXCLUDES(eviction_mutex_);

  void AgeTo(double worth) noexcept ACTCACHE_REQUIRES(eviction_mutex_);
  // For a refused offer of `charge` bytes, for lack of budget or of a namespace's quota.
  void AgeByRefusal(std::size_t charge, const std::uint32_t* name_space) noexcept
      ACTCACHE_REQUIRES(eviction_mutex_);
  // Of all that can be evicted; infinite if there is nothing.
  double SmallestWorth() noexcept ACTCACHE_REQUIRES(eviction_mutex_);

  Mutex eviction_mutex_;
  std::atomic<double> age_{0};  // L; written under eviction_mutex_, read by anyone
  std::atomic<RemovalListener> removal_listener_{nullptr};
  std::atomic<std::uint64_t> looked_for_old_ns_{0};
  std::atomic<std::size_t> freed_{0};   // by control functions, and not yet given back
  std::atomic<std::uint32_t> made_{0};  // entries so far
  // Whether namespace_heaps_ is kept. A draft with the epoch that began when this was set sees it.
  std::atomic<bool> has_quota_{false};
  NamespaceHeaps namespace_heaps_ ACTCACHE_GUARDED_BY(eviction_mutex_);
  Ledger ledger_;
  std::array<Shard, kShards> shards_;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_STORE_H_
