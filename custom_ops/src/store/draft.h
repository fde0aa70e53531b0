// An entry that is being filled: its bytes are reserved, nobody else can see it.
#ifndef ACTCACHE_STORE_DRAFT_H_
#define ACTCACHE_STORE_DRAFT_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "store/entry.h"

namespace actcache {

// Why Store::Reserve() gave no room.
enum class Refusal : std::uint8_t {
  kNone,
  kOff,       // the budget is 0
  kTooLarge,  // larger than the whole budget
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
  Draft(Draft&& other) noexcept
      : entry_(std::exchange(other.entry_, nullptr)),
        epoch_(other.epoch_),
        refusal_(other.refusal_) {}
  Draft& operator=(Draft&& other) noexcept {
    std::swap(entry_, other.entry_);
    std::swap(epoch_, other.epoch_);
    std::swap(refusal_, other.refusal_);
    return *this;
  }
  ~Draft() {
    if (entry_ != nullptr) entry_->Unref();
  }

  explicit operator bool() const noexcept { return entry_ != nullptr; }
  // kNone exactly when the draft is true (or was, before it moved on).
  Refusal refusal() const noexcept { return refusal_; }

  // REQUIRES, for the rest: the draft is true; i < tensor_count().
  std::size_t tensor_count() const noexcept { return entry_->tensor_count(); }
  // Uninitialised; aligned as Entry says. The caller writes all bytes(i) of it.
  void* data(std::size_t i) noexcept { return const_cast<void*>(entry_->data(i)); }
  std::size_t bytes(std::size_t i) const noexcept { return entry_->bytes(i); }
  std::size_t charge() const noexcept { return entry_->charge(); }

 private:
  friend class Store;
  explicit Draft(Refusal refusal) noexcept : refusal_(refusal) {}
  Draft(Entry* adopted, std::uint64_t epoch) noexcept : entry_(adopted), epoch_(epoch) {}

  Entry* entry_ = nullptr;
  std::uint64_t epoch_ = 0;  // of its shard when it was reserved; a Clear() since then voids it
  Refusal refusal_ = Refusal::kNone;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_DRAFT_H_
