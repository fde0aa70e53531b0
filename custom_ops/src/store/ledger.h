// The store's byte account: what is held, against which budget, for which region and namespace.
#ifndef ACTCACHE_STORE_LEDGER_H_
#define ACTCACHE_STORE_LEDGER_H_

#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "store/entry.h"
#include "store/id_table.h"

namespace actcache {

inline constexpr std::uint32_t kMaxRegions = 1u << 16;
// How many a process can have, from its first call to its last; some 100 bytes each. Who has more
// tenants than that has to share namespaces among them.
inline constexpr std::uint32_t kMaxNamespaces = 1u << 16;

// What is held, and what became of the rest.
struct RegionUsage {
  std::size_t bytes = 0;    // held: published entries, drafts, and removed ones still being read
  std::size_t entries = 0;  // findable
  std::size_t pinned_bytes = 0;
  std::size_t pinned_entries = 0;
  std::uint64_t insertions = 0;   // published
  std::uint64_t evictions = 0;    // for room, a lower budget or a quota
  std::uint64_t expired = 0;      // asked for after their time to live
  std::uint64_t invalidated = 0;  // by Invalidate() or Remove()
  std::uint64_t replaced = 0;     // by a later entry of the same key
};

// The same for all regions together.
struct StoreStats : RegionUsage {
  std::size_t budget_bytes = 0;
  std::size_t namespace_quota_bytes = 0;  // 0: none
  std::uint64_t rejected = 0;             // too large, not worth it, or no memory
};

struct NamespaceUsage {
  std::size_t bytes = 0;
  std::size_t entries = 0;
};

// Thread-safe; takes no other lock. Invariants: held <= budget, and held for a namespace <= quota,
// except after SetBudget() or SetQuota() lowered them until the holders have let go. Charging is
// only possible within both.
class Ledger {
 public:
  enum class Verdict : std::uint8_t { kCharged, kOff, kTooLarge, kFull, kOverQuota, kNoMemory };
  // Why an entry is findable no more.
  enum class Removal : std::uint8_t {
    kForRoom,    // evicted: for an offer,
    kForQuota,   // for an offer of its namespace or a lower quota,
    kForBudget,  // for a lower budget
    kExpired,
    kInvalidated,
    kMismatched,  // by verification; counts as invalidated
    kOutdated,    // by a result that is not stored itself; likewise
    kReplaced,
  };

  explicit Ledger(std::size_t budget) noexcept { total_.budget_bytes = budget; }
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // Charges `bytes` to the region and the namespace. `owned` bytes of what is held are the caller's
  // already, from evictions; they are used up, the excess returned, but only if kCharged.
  // kOverQuota goes before kFull.
  Verdict TryCharge(EntryTag tag, std::size_t bytes, std::size_t owned) noexcept;
  // By how much TryCharge() would exceed the budget or the quota, whichever is more.
  std::size_t Deficit(EntryTag tag, std::size_t bytes, std::size_t owned) const noexcept;

  // Ends a charge.
  void Return(EntryTag tag, std::size_t bytes) noexcept;
  // Ends the region's and the namespace's part of a charge; the bytes are held by the caller from
  // here on.
  void Take(EntryTag tag, std::size_t bytes) noexcept;
  // Ends what Take() left with the caller.
  void ReturnOwned(std::size_t bytes) noexcept;

  void CountInserted(const Entry& entry) noexcept;
  void CountRemoved(const Entry& entry, Removal why) noexcept;
  // It was pinned, or unpinned. REQUIRES: it is findable.
  void CountPinned(const Entry& entry, bool pinned) noexcept;
  void CountRejected() noexcept;

  void SetBudget(std::size_t bytes) noexcept;
  std::size_t budget() const noexcept;
  // By how much more is held than the budget allows.
  std::size_t Excess() const noexcept;

  void SetQuota(std::size_t bytes) noexcept;
  // By how much more is held for a namespace than the quota allows.
  std::size_t QuotaExcess(std::uint32_t name_space) const noexcept;

  StoreStats stats() const noexcept;
  RegionUsage usage(std::uint32_t region) const noexcept;
  NamespaceUsage namespace_usage(std::uint32_t name_space) const noexcept;

 private:
  // Applies `change` to the region's account and to the total.
  template <typename Change>
  void Account(std::uint32_t region, Change change) noexcept ACTCACHE_REQUIRES(mutex_);
  std::size_t OverQuota(std::uint32_t name_space, std::size_t bytes) const noexcept
      ACTCACHE_REQUIRES(mutex_);

  mutable Mutex mutex_;
  StoreStats total_ ACTCACHE_GUARDED_BY(mutex_);  // budget and quota included
  IdTable<RegionUsage> regions_ ACTCACHE_GUARDED_BY(mutex_);
  IdTable<NamespaceUsage> namespaces_ ACTCACHE_GUARDED_BY(mutex_);
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_LEDGER_H_
