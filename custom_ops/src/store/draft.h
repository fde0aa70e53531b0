// An entry that is being filled: its bytes are reserved, nobody else can see it.
#ifndef ACTCACHE_STORE_DRAFT_H_
#define ACTCACHE_STORE_DRAFT_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "store/entry.h"
#include "store/entry_ref.h"

namespace actcache {

// Why Store::Reserve() gave no room.
enum class Rejection : std::uint8_t {
  kNone,
  kOff,       // the budget is 0
  kTooLarge,  // larger than the whole budget, or than its namespace's quota
  kNotWorth,  // worth less per byte than something it would push out, or all that is in use
  kPresent,   // the key is in the store already
  kNoMemory,
};

// Move-only; false if Reserve() refused. The one holder fills data(i) without any lock, then
// gives the draft to Store::Publish(); a draft destroyed instead returns its bytes to the budget.
// One thread at a time. REQUIRES: gone before its store is.
class Draft {
 public:
  Draft() = default;
  Draft(Draft&& other) noexcept = default;
  Draft& operator=(Draft&& other) noexcept = default;
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  explicit operator bool() const noexcept { return static_cast<bool>(entry_); }
  // kNone exactly when the draft is true (or was, before it moved on).
  Rejection rejection() const noexcept { return rejection_; }

  // REQUIRES, for the rest: the draft is true; i < tensor_count().
  std::size_t tensor_count() const noexcept { return entry_->tensor_count(); }
  // Uninitialised; aligned as Entry says. The caller writes all bytes(i) of it.
  void* data(std::size_t i) noexcept { return const_cast<void*>(entry_->data(i)); }
  std::size_t bytes(std::size_t i) const noexcept { return entry_->bytes(i); }
  // data(i) of all tensors, into as many places.
  void AllData(void** out) noexcept { entry_->AllData(const_cast<const void**>(out)); }
  std::size_t charge() const noexcept { return entry_->charge(); }
  // What it is worth, or less: for the Offer of what follows it in a chain.
  double worth() const noexcept { return worth_; }

 private:
  friend class Store;
  explicit Draft(Rejection rejection) noexcept : rejection_(rejection) {}
  Draft(EntryRef entry, std::uint64_t epoch, double worth, bool replace) noexcept
      : entry_(std::move(entry)), epoch_(epoch), worth_(worth), replace_(replace) {}

  EntryRef entry_;           // the only reference
  std::uint64_t epoch_ = 0;  // of its shard when it was reserved; see Shard::VoidDrafts()
  double worth_ = 0;
  bool replace_ = false;
  Rejection rejection_ = Rejection::kNone;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_DRAFT_H_
