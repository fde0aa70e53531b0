#include "store/ledger.h"

#include <algorithm>

namespace actcache {

template <typename Change>
void Ledger::Account(std::uint32_t region, Change change) noexcept {
  change(&regions_[region]);
  change(&total_);
}

std::size_t Ledger::OverQuota(std::uint32_t name_space, std::size_t bytes) const noexcept {
  const std::size_t quota = total_.namespace_quota_bytes;
  if (quota == 0) return 0;
  const std::size_t held = name_space < namespaces_.size() ? namespaces_[name_space].bytes : 0;
  return held + bytes > quota ? held + bytes - quota : 0;
}

Ledger::Verdict Ledger::TryCharge(EntryTag tag, std::size_t bytes, std::size_t owned) noexcept {
  MutexLock lock(&mutex_);
  const std::size_t budget = total_.budget_bytes;
  const std::size_t quota = total_.namespace_quota_bytes;
  if (budget == 0) return Verdict::kOff;
  if (bytes > budget || (quota != 0 && bytes > quota)) return Verdict::kTooLarge;
  if (tag.region >= kMaxRegions || tag.name_space >= kMaxNamespaces) return Verdict::kTooLarge;
  if (OverQuota(tag.name_space, bytes) > 0) return Verdict::kOverQuota;
  const std::size_t others = total_.bytes - owned;
  if (others > budget - bytes) return Verdict::kFull;
  if (!regions_.Ensure(tag.region) || !namespaces_.Ensure(tag.name_space)) {
    return Verdict::kNoMemory;
  }
  total_.bytes = others + bytes;
  regions_[tag.region].bytes += bytes;
  namespaces_[tag.name_space].bytes += bytes;
  return Verdict::kCharged;
}

std::size_t Ledger::Deficit(EntryTag tag, std::size_t bytes, std::size_t owned) const noexcept {
  MutexLock lock(&mutex_);
  const std::size_t wanted = total_.bytes - owned + bytes;
  const std::size_t over = wanted > total_.budget_bytes ? wanted - total_.budget_bytes : 0;
  return std::max(over, OverQuota(tag.name_space, bytes));
}

void Ledger::Return(EntryTag tag, std::size_t bytes) noexcept {
  MutexLock lock(&mutex_);
  total_.bytes -= bytes;
  regions_[tag.region].bytes -= bytes;
  namespaces_[tag.name_space].bytes -= bytes;
}

void Ledger::Take(EntryTag tag, std::size_t bytes) noexcept {
  MutexLock lock(&mutex_);
  regions_[tag.region].bytes -= bytes;
  namespaces_[tag.name_space].bytes -= bytes;
}

void Ledger::ReturnOwned(std::size_t bytes) noexcept {
  MutexLock lock(&mutex_);
  total_.bytes -= bytes;
}

void Ledger::CountInserted(const Entry& entry) noexcept {
  MutexLock lock(&mutex_);
  ++namespaces_[entry.tag().name_space].entries;
  Account(entry.tag().region, [](RegionUsage* usage) {
    ++usage->entries;
    ++usage->insertions;
  });
}

void Ledger::CountRemoved(const Entry& entry, Removal why) noexcept {
  MutexLock lock(&mutex_);
  --namespaces_[entry.tag().name_space].entries;
  Account(entry.tag().region, [why](RegionUsage* usage) {
    --usage->entries;
    switch (why) {
      case Removal::kForRoom:
      case Removal::kForQuota:
      case Removal::kForBudget:
        ++usage->evictions;
        break;
      case Removal::kExpired:
        ++usage->expired;
        break;
      case Removal::kInvalidated:
      case Removal::kMismatched:
      case Removal::kOutdated:
        ++usage->invalidated;
        break;
      case Removal::kReplaced:
        ++usage->replaced;
    }
  });
}

void Ledger::CountPinned(const Entry& entry, bool pinned) noexcept {
  const std::size_t charge = entry.charge();
  MutexLock lock(&mutex_);
  Account(entry.tag().region, [charge, pinned](RegionUsage* usage) {
    usage->pinned_entries += pinned ? 1 : std::size_t{0} - 1;
    usage->pinned_bytes += pinned ? charge : std::size_t{0} - charge;
  });
}

void Ledger::CountRejected() noexcept {
  MutexLock lock(&mutex_);
  ++total_.rejected;
}

void Ledger::SetBudget(std::size_t bytes) noexcept {
  MutexLock lock(&mutex_);
  total_.budget_bytes = bytes;
}

std::size_t Ledger::budget() const noexcept {
  MutexLock lock(&mutex_);
  return total_.budget_bytes;
}

std::size_t Ledger::Excess() const noexcept {
  MutexLock lock(&mutex_);
  return total_.bytes > total_.budget_bytes ? total_.bytes - total_.budget_bytes : 0;
}

void Ledger::SetQuota(std::size_t bytes) noexcept {
  MutexLock lock(&mutex_);
  total_.namespace_quota_bytes = bytes;
}

std::size_t Ledger::QuotaExcess(std::uint32_t name_space) const noexcept {
  MutexLock lock(&mutex_);
  return OverQuota(name_space, 0);
}

StoreStats Ledger::stats() const noexcept {
  MutexLock lock(&mutex_);
  return total_;
}

RegionUsage Ledger::usage(std::uint32_t region) const noexcept {
  MutexLock lock(&mutex_);
  return region < regions_.size() ? regions_[region] : RegionUsage{};
}

NamespaceUsage Ledger::namespace_usage(std::uint32_t name_space) const noexcept {
  MutexLock lock(&mutex_);
  return name_space < namespaces_.size() ? namespaces_[name_space] : NamespaceUsage{};
}

}  // namespace actcache
