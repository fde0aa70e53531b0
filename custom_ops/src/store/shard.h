// One shard of the store: its own lock, key table, heap and sketch.
#ifndef ACTCACHE_STORE_SHARD_H_
#define ACTCACHE_STORE_SHARD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/mutex.h"
#include "hash/key.h"
#include "store/entry.h"
#include "store/eviction/entry_list.h"
#include "store/eviction/frequency_sketch.h"
#include "store/eviction/worth_heap.h"
#include "store/key_table.h"
#include "store/ledger.h"
#include "store/selection.h"

namespace actcache {

// The reader's side of freshness.
struct FindLimits {
  std::uint64_t now_ns;
  std::uint64_t max_age_ns = ~std::uint64_t{0};  // what may be older is not found
};

// Why Find() found nothing.
enum class Absence : std::uint8_t {
  kNone,     // it did
  kAbsent,   // no entry has the key
  kExpired,  // one had, but its time to live was over; it is removed
  kTooOld,   // one has, but it is older than this reader takes; it stays
};

// Thread-safe. Owns one reference of each entry in the table. Entries are taken out only by the
// holder of the store's eviction mutex; methods marked (eviction) REQUIRE it, which is why an
// entry that was taken from the heap stays valid until it is put back or dropped. Pinned entries
// are in no heap.
class alignas(64) Shard {
 public:
  // The entry with a reference added for the caller, or null and why. Counts the use; a found entry
  // is worth more from now on (`age` is the store's L), but no more than behind `*before`, which
  // becomes its worth. An expired one is still there.
  Entry* Find(const Key& key, double age, const FindLimits& limits, Absence* why,
              double* before) noexcept;
  // Of the entry of the key, if there is one; not counted as a use.
  std::optional<double> WorthOf(const Key& key) noexcept;
  // The same without counting and without limits.
  Entry* Peek(const Key& key) noexcept;

  // What an offer for this key meets.
  struct Prospect {
    bool present;             // an entry has the key already
    bool expired;             // and its time to live is over
    std::uint16_t frequency;  // recent uses of the key
    std::uint64_t epoch;      // for Insert()
  };
  Prospect Look(const Key& key, std::uint64_t now_ns) noexcept;

  // Takes over the caller's reference and counts the entry in the ledger; false, and nothing is
  // taken, if the key is there, drafts of that epoch are void, or there is no memory.
  bool Insert(Entry* entry, double age, std::uint64_t epoch, Ledger* ledger) noexcept;
  // (eviction) The same, but an entry that has the key goes into `replaced` with the shard's
  // reference; its pin passes on.
  bool Replace(Entry* entry, double age, std::uint64_t epoch, Ledger* ledger,
               EntryList* replaced) noexcept;

  // Drafts that looked before this are not inserted after it.
  void VoidDrafts() noexcept;

  // Not after the rank of any entry in the heap. Without the lock; in two parts, which may be of
  // two entries while others insert.
  Rank floor() const noexcept {
    return {floor_worth_.load(std::memory_order_relaxed),
            floor_sequence_.load(std::memory_order_relaxed)};
  }
  // (eviction) Brings floor() up to date: to the rank of the first entry in the heap.
  void RaiseFloor() noexcept;

  // (eviction) Takes the first out of the heap if it is worth at most `worth` and ranks before
  // `limit`, else returns null; brings floor() up to date. The entry stays in the table.
  Entry* TakeFirst(double worth, const Rank& limit) noexcept;
  // (eviction) Takes the entry of `key` out of the heap if there is one in it.
  Entry* TakeKey(const Key& key) noexcept;
  // (eviction) Takes an entry out of the heap if it is worth at most `worth`; returns what it is
  // worth.
  double TakeIf(Entry* entry, double worth) noexcept;
  // (eviction) Back into the heap. Whether it is pinned; its flags change under the lock only.
  bool PutBack(Entry* entry) noexcept;
  // (eviction) Out of the table an entry that is out of the heap; the caller gets the shard's
  // reference. Only if nobody used it since it was taken, unless `even_in_use`.
  bool Drop(Entry* entry, bool even_in_use) noexcept;

  // (eviction) Takes the entry of `key` out of everything if there is one and `take(entry)`; the
  // caller gets the shard's reference. Null if not.
  template <typename Take>
  Entry* RemoveKeyIf(const Key& key, Take take) noexcept {
    MutexLock lock(&mutex_);
    Entry* const entry = table_.Find(key);
    if (entry == nullptr || !take(*entry)) return nullptr;
    LeaveTable(entry);
    LeaveHeap(entry);
    return entry;
  }
  // (eviction) Takes every entry for which `take(entry)` out of everything and into `list`, with
  // the shard's references. REQUIRES: no entry was taken out of the heap.
  template <typename Take>
  void RemoveIf(EntryList* list, Take take) noexcept {
    MutexLock lock(&mutex_);
    table_.RemoveIf([this, list, &take](Entry* entry) {
      mutex_.AssertHeld();
      if (!take(entry)) return false;
      LeaveHeap(entry);
      list->Push(entry);
      return true;
    });
    table_.Shrink();
    heap_.Shrink(table_.size());
    UpdateFloor();
  }

  // Whether a selection takes in an entry. REQUIRES: called back by RemoveIf() or Pin().
  static bool Selects(const Selection& selection, const Entry& entry,
                      std::uint64_t now_ns) noexcept;
  // (eviction) Pins or unpins every entry for which `selects(entry)`; returns how many changed.
  template <typename Selects>
  std::size_t Pin(bool pinned, Ledger* ledger, Selects selects) noexcept {
    std::size_t changed = 0;
    MutexLock lock(&mutex_);
    table_.ForEach([&](Entry* entry) {
      mutex_.AssertHeld();
      if (entry->Is(Entry::kPinned) == pinned || !selects(*entry)) return;
      entry->Set(Entry::kPinned, pinned);
      pinned ? LeaveHeap(entry) : PushToHeap(entry);
      ledger->CountPinned(*entry, pinned);
      ++changed;
    });
    return changed;
  }
  // (eviction) Lets pinned entries into the heap, as if they were not, or takes them out again.
  void ExposePinned(bool exposed) noexcept;

 private:
  static double WorthAt(const Entry& entry, double age) noexcept {
    return age + entry.frequency_ * entry.gain();
  }
  void SetWorth(Entry* entry, double worth) noexcept ACTCACHE_REQUIRES(mutex_);
  bool AddToTable(Entry* entry, double age, Ledger* ledger) noexcept ACTCACHE_REQUIRES(mutex_);
  void PushToHeap(Entry* entry) noexcept ACTCACHE_REQUIRES(mutex_);
  // The sketch remembers how often it was used.
  void LeaveTable(Entry* entry) noexcept ACTCACHE_REQUIRES(mutex_);
  void LeaveHeap(Entry* entry) noexcept ACTCACHE_REQUIRES(mutex_);
  void SetFloor(const Rank& rank) noexcept ACTCACHE_REQUIRES(mutex_);
  void UpdateFloor() noexcept ACTCACHE_REQUIRES(mutex_);

  Mutex mutex_;
  KeyTable table_ ACTCACHE_GUARDED_BY(mutex_);
  WorthHeap heap_ ACTCACHE_GUARDED_BY(mutex_);  // has room for every entry of the table
  FrequencySketch sketch_ ACTCACHE_GUARDED_BY(mutex_);
  std::uint64_t epoch_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::atomic<double> floor_worth_{Rank{}.worth};
  std::atomic<std::uint32_t> floor_sequence_{0};
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_SHARD_H_
