// The store's byte account: what is held, against which budget, for which region.
#ifndef ACTCACHE_STORE_LEDGER_H_
#define ACTCACHE_STORE_LEDGER_H_

#include <cstddef>
#include <cstdint>

#include "base/mutex.h"

namespace actcache {

inline constexpr std::uint32_t kMaxRegions = 1u << 16;

struct StoreStats {
  std::size_t bytes = 0;    // held: published entries, drafts, and evicted ones still being read
  std::size_t entries = 0;  // findable
  std::size_t budget_bytes = 0;
  std::uint64_t evictions = 0;   // for room or a lower budget; clearing does not count
  std::uint64_t rejected = 0;    // too large, not worth it, or no memory
  std::uint64_t insertions = 0;  // published
};

struct RegionUsage {
  std::size_t bytes = 0;
  std::size_t entries = 0;
  std::uint64_t evictions = 0;
};

// Thread-safe; takes no other lock. Invariant: held <= budget, except after SetBudget() lowered it
// until the holders have let go. Charging is only possible within the budget.
class Ledger {
 public:
  enum class Verdict { kCharged, kOff, kTooLarge, kFull, kNoMemory };

  explicit Ledger(std::size_t budget) noexcept : budget_(budget) {}
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // Charges `bytes` to the region. `owned` bytes of what is held are the caller's already, from
  // evictions; they are used up, the excess returned, but only if kCharged.
  Verdict TryCharge(std::uint32_t region, std::size_t bytes, std::size_t owned) noexcept;
  // By how much TryCharge() would exceed the budget; 0 if it would not.
  std::size_t Deficit(std::size_t bytes, std::size_t owned) const noexcept;

  // Ends a charge.
  void Return(std::uint32_t region, std::size_t bytes) noexcept;
  // Ends the region's part of a charge; the bytes are held by the caller from here on.
  void Take(std::uint32_t region, std::size_t bytes) noexcept;
  // Ends what Take() left with the caller.
  void ReturnOwned(std::size_t bytes) noexcept;

  void CountInserted(std::uint32_t region) noexcept;
  void CountRemoved(std::uint32_t region, bool evicted) noexcept;
  void CountRejected() noexcept;

  void SetBudget(std::size_t bytes) noexcept;
  std::size_t budget() const noexcept;
  // By how much more is held than the budget allows.
  std::size_t Excess() const noexcept;

  StoreStats stats() const noexcept;
  RegionUsage usage(std::uint32_t region) const noexcept;

 private:
  // False if there is no memory for it.
  bool EnsureRegion(std::uint32_t region) noexcept ACTCACHE_REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::size_t held_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::size_t budget_ ACTCACHE_GUARDED_BY(mutex_);
  std::size_t entries_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::uint64_t evictions_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::uint64_t rejected_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::uint64_t insertions_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  RegionUsage* regions_ ACTCACHE_GUARDED_BY(mutex_) = nullptr;  // by id; grows by doubling
  std::size_t region_count_ ACTCACHE_GUARDED_BY(mutex_) = 0;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_LEDGER_H_
