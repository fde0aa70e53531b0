#include "policy/signature_filter.h"

#include <new>

#include "base/memory.h"

namespace actcache {

SignatureFilter::~SignatureFilter() { Free(slots_.load(std::memory_order_relaxed)); }

SignatureFilter::Slots* SignatureFilter::GetSlots() noexcept {
  Slots* slots = slots_.load(std::memory_order_acquire);
  if (slots != nullptr) return slots;
  void* const memory = Allocate(sizeof(Slots));
  if (memory == nullptr) return nullptr;
  auto* const made = new (memory) Slots();
  if (slots_.compare_exchange_strong(slots, made, std::memory_order_acq_rel)) return made;
  Free(made);  // another thread was first, and `slots` is its table
  return slots;
}

bool SignatureFilter::Note(std::uint64_t signature) noexcept {
  Slots* const slots = GetSlots();
  if (slots == nullptr) return false;
  std::atomic<std::uint16_t>& slot = (*slots)[signature % kSlots];
  const auto high = static_cast<std::uint16_t>(signature >> 48);
  const std::uint16_t fingerprint = high == 0 ? 1 : high;
  const bool seen = slot.load(std::memory_order_relaxed) == fingerprint;
  if (!seen) slot.store(fingerprint, std::memory_order_relaxed);
  return seen;
}

}  // namespace actcache
