#include "store/ledger.h"

#include <algorithm>
#include <memory>

#include "base/memory.h"

namespace actcache {

Ledger::~Ledger() { Free(regions_); }

bool Ledger::EnsureRegion(std::uint32_t region) noexcept {
  if (region < region_count_) return true;
  std::size_t count = std::max<std::size_t>(region_count_, 16);
  while (count <= region) count *= 2;
  auto* grown = static_cast<RegionUsage*>(Allocate(count * sizeof(RegionUsage)));
  if (grown == nullptr) return false;
  std::uninitialized_default_construct_n(grown, count);
  std::copy_n(regions_, region_count_, grown);
  Free(regions_);
  regions_ = grown;
  region_count_ = count;
  return true;
}

Ledger::Verdict Ledger::TryCharge(std::uint32_t region, std::size_t bytes,
                                  std::size_t owned) noexcept {
  MutexLock lock(&mutex_);
  if (budget_ == 0) return Verdict::kOff;
  if (bytes > budget_ || region >= kMaxRegions) return Verdict::kTooLarge;
  const std::size_t others = held_ - owned;
  if (others > budget_ - bytes) return Verdict::kFull;
  if (!EnsureRegion(region)) return Verdict::kNoMemory;
  held_ = others + bytes;
  regions_[region].bytes += bytes;
  return Verdict::kCharged;
}

std::size_t Ledger::Deficit(std::size_t bytes, std::size_t owned) const noexcept {
  MutexLock lock(&mutex_);
  const std::size_t wanted = held_ - owned + bytes;
  return wanted > budget_ ? wanted - budget_ : 0;
}

void Ledger::Return(std::uint32_t region, std::size_t bytes) noexcept {
  MutexLock lock(&mutex_);
  held_ -= bytes;
  regions_[region].bytes -= bytes;
}

void Ledger::Take(std::uint32_t region, std::size_t bytes) noexcept {
  MutexLock lock(&mutex_);
  regions_[region].bytes -= bytes;
}

void Ledger::ReturnOwned(std::size_t bytes) noexcept {
  MutexLock lock(&mutex_);
  held_ -= bytes;
}

void Ledger::CountInserted(std::uint32_t region) noexcept {
  MutexLock lock(&mutex_);
  ++entries_;
  ++insertions_;
  ++regions_[region].entries;
}

void Ledger::CountRemoved(std::uint32_t region, bool evicted) noexcept {
  MutexLock lock(&mutex_);
  --entries_;
  --regions_[region].entries;
  if (!evicted) return;
  ++evictions_;
  ++regions_[region].evictions;
}

void Ledger::CountRejected() noexcept {
  MutexLock lock(&mutex_);
  ++rejected_;
}

void Ledger::SetBudget(std::size_t bytes) noexcept {
  MutexLock lock(&mutex_);
  budget_ = bytes;
}

std::size_t Ledger::budget() const noexcept {
  MutexLock lock(&mutex_);
  return budget_;
}

std::size_t Ledger::Excess() const noexcept {
  MutexLock lock(&mutex_);
  return held_ > budget_ ? held_ - budget_ : 0;
}

StoreStats Ledger::stats() const noexcept {
  MutexLock lock(&mutex_);
  StoreStats stats;
  stats.bytes = held_;
  stats.entries = entries_;
  stats.budget_bytes = budget_;
  stats.evictions = evictions_;
  stats.rejected = rejected_;
  stats.insertions = insertions_;
  return stats;
}

RegionUsage Ledger::usage(std::uint32_t region) const noexcept {
  MutexLock lock(&mutex_);
  return region < region_count_ ? regions_[region] : RegionUsage{};
}

}  // namespace actcache
