#include "store/store.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace actcache {

Store::Store(std::size_t budget) noexcept : ledger_(budget) {}

Store::~Store() { Clear(); }

EntryRef Store::Find(const Key& key) noexcept {
  return EntryRef(ShardOf(key).Find(key, age_.load(std::memory_order_relaxed)));
}

Draft Store::Reserve(const Key& key, EntryTag tag, const TensorSpec* specs, std::size_t count,
                     std::uint64_t cost_ns) noexcept {
  const Shard::Prospect prospect = ShardOf(key).Look(key);
  if (prospect.present) return Draft(Refusal::kPresent);
  Entry::Layout layout;
  if (!Entry::Measure(specs, count, &layout)) return Reject(Refusal::kTooLarge);
  const double per_byte = static_cast<double>(cost_ns) / static_cast<double>(layout.charge);
  switch (ledger_.TryCharge(tag.region, layout.charge, 0)) {
    case Ledger::Verdict::kCharged:
      break;
    case Ledger::Verdict::kOff:
      return Draft(Refusal::kOff);
    case Ledger::Verdict::kTooLarge:
      return Reject(Refusal::kTooLarge);
    case Ledger::Verdict::kNoMemory:
      return Reject(Refusal::kNoMemory);
    case Ledger::Verdict::kFull:
      if (!MakeRoom(tag.region, layout.charge, prospect.frequency * per_byte)) {
        return Reject(Refusal::kNotWorth);
      }
  }
  Entry* const entry = Entry::Make(this, key, tag, specs, count, layout, cost_ns);
  if (entry == nullptr) {
    ledger_.Return(tag.region, layout.charge);
    return Reject(Refusal::kNoMemory);
  }
  entry->frequency_ = prospect.frequency;
  return Draft(entry, prospect.epoch);
}

Draft Store::Reject(Refusal refusal) noexcept {
  ledger_.CountRejected();
  return Draft(refusal);
}

bool Store::Publish(Draft&& draft) noexcept {
  Draft taken(std::move(draft));
  Entry* const entry = taken.entry_;
  const double age = age_.load(std::memory_order_relaxed);
  if (!ShardOf(entry->key_).Insert(entry, age, taken.epoch_, &ledger_)) return false;
  taken.entry_ = nullptr;  // the shard has the reference now
  return true;
}

void Store::SetBudget(std::size_t bytes) noexcept {
  MutexLock lock(&eviction_mutex_);
  const bool lower = bytes < ledger_.budget();
  ledger_.SetBudget(bytes);
  if (!lower) return;
  // Else a draft could be published after the eviction, above the new budget.
  for (Shard& shard : shards_) shard.VoidDrafts();
  EvictDownToBudget();
}

std::size_t Store::budget() const noexcept { return ledger_.budget(); }
std::size_t Store::Clear() noexcept { return Remove(nullptr); }
std::size_t Store::ClearNamespace(std::uint32_t name_space) noexcept { return Remove(&name_space); }
StoreStats Store::stats() const noexcept { return ledger_.stats(); }
RegionUsage Store::usage(std::uint32_t region) const noexcept { return ledger_.usage(region); }

void Store::Destroy(Entry* entry) noexcept {
  const std::uint32_t region = entry->tag_.region;
  const std::size_t charge = entry->charge_;
  Entry::Free(entry);
  ledger_.Return(region, charge);
}

std::size_t Store::Remove(const std::uint32_t* name_space) noexcept {
  MutexLock lock(&eviction_mutex_);
  std::size_t removed = 0;
  for (Shard& shard : shards_) {
    EntryList list;
    shard.Remove(name_space, &list);
    while (Entry* const entry = list.Pop()) {
      ledger_.CountRemoved(entry->tag_.region, /*evicted=*/false);
      entry->Unref();
      ++removed;
    }
  }
  return removed;
}

}  // namespace actcache
