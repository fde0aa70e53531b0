// Store: operations on many entries at once, and limits.
#include <algorithm>

#include "base/memory.h"
#include "store/store.h"

namespace actcache {
namespace {

// So much is freed, by operations that are rare, before it is worth while to give it back.
constexpr std::size_t kReturnBytes = std::size_t{1} << 20;

}  // namespace

std::size_t Store::Invalidate(const Selection& selection, std::uint64_t now_ns) noexcept {
  const std::size_t before = ledger_.stats().bytes;
  std::size_t removed = 0;
  {
    MutexLock lock(&eviction_mutex_);
    removed = RemoveSelected(selection, now_ns, Ledger::Removal::kInvalidated);
  }
  ReturnMemory(before);
  return removed;
}

std::size_t Store::RemoveSelected(const Selection& selection, std::uint64_t now_ns,
                                  Ledger::Removal why) noexcept {
  // Drafts are younger than any age but 0.
  const bool drafts = selection.min_age_ns.value_or(0) == 0;
  std::size_t removed = 0;
  for (Shard& shard : shards_) {
    if (drafts) shard.VoidDrafts();
    EntryList list;
    shard.RemoveIf(&list, [&](Entry* entry) { return Shard::Selects(selection, *entry, now_ns); });
    removed += BuryAll(&list, why);
  }
  return removed;
}

std::size_t Store::Pin(const Selection& selection, std::uint64_t now_ns) noexcept {
  return SetPinned(selection, now_ns, true);
}

std::size_t Store::Unpin(const Selection& selection, std::uint64_t now_ns) noexcept {
  return SetPinned(selection, now_ns, false);
}

std::size_t Store::SetPinned(const Selection& selection, std::uint64_t now_ns,
                             bool pinned) noexcept {
  MutexLock lock(&eviction_mutex_);
  std::size_t changed = 0;
  for (Shard& shard : shards_) {
    changed += shard.Pin(pinned, &ledger_, [&](const Entry& entry) {
      return Shard::Selects(selection, entry, now_ns);
    });
  }
  if (changed > 0) RebuildNamespaceHeaps();
  return changed;
}

void Store::SetBudget(std::size_t bytes) noexcept {
  const std::size_t before = ledger_.stats().bytes;
  {
    MutexLock lock(&eviction_mutex_);
    const bool lower = bytes < ledger_.budget();
    ledger_.SetBudget(bytes);
    if (lower) EvictDownToBudget();
  }
  ReturnMemory(before);
}

void Store::EvictDownToBudget() noexcept {
  // Else a draft could be published after the eviction, above the new budget.
  for (Shard& shard : shards_) shard.VoidDrafts();
  const std::size_t leaving = EvictDown(nullptr, 0);
  if (ledger_.Excess() <= leaving) return;
  for (Shard& shard : shards_) shard.ExposePinned(true);
  EvictDown(nullptr, leaving);
  for (Shard& shard : shards_) shard.ExposePinned(false);
}

void Store::ReturnMemory(std::size_t before) noexcept {
  const std::size_t after = ledger_.stats().bytes;
  if (after >= before) return;
  const std::size_t freed = freed_.fetch_add(before - after, std::memory_order_relaxed);
  if (freed + (before - after) < kReturnBytes) return;
  freed_.store(0, std::memory_order_relaxed);
  ReturnFreeMemory();
}

void Store::SetNamespaceQuota(std::size_t bytes) noexcept {
  MutexLock lock(&eviction_mutex_);
  if (bytes == ledger_.stats().namespace_quota_bytes) return;
  ledger_.SetQuota(bytes);
  has_quota_.store(bytes != 0, std::memory_order_release);
  for (Shard& shard : shards_) shard.VoidDrafts();
  RebuildNamespaceHeaps();
  for (std::uint32_t i = 0; i < namespace_heaps_.size(); ++i) EvictDown(&i, 0);
}

void Store::RebuildNamespaceHeaps() noexcept {
  namespace_heaps_.Clear();
  if (!has_quota_.load(std::memory_order_relaxed)) return;
  for (Shard& shard : shards_) {
    EntryList list;
    shard.RemoveIf(&list, [this](Entry* entry) {
      eviction_mutex_.AssertHeld();
      if (!WorthHeap::Holds(*entry)) return false;
      if (!namespace_heaps_.Reserve(entry->name_space_)) return true;
      namespace_heaps_.Add(entry, entry->heap_worth_);
      return false;
    });
    BuryAll(&list, Ledger::Removal::kForQuota);
  }
}

void Store::Count(const Entry& entry, Ledger::Removal why) noexcept {
  if (entry.Is(Entry::kPinned)) ledger_.CountPinned(entry, false);
  ledger_.CountRemoved(entry, why);
  if (const RemovalListener listener = removal_listener_.load(std::memory_order_relaxed)) {
    listener(entry.key(), entry.tag(), why);
  }
}

void Store::Bury(Entry* entry, Ledger::Removal why) noexcept {
  namespace_heaps_.Remove(entry);
  Count(*entry, why);
  if (entry->Unref()) Destroy(entry);
}

std::size_t Store::BuryAll(EntryList* entries, Ledger::Removal why) noexcept {
  std::size_t buried = 0;
  while (Entry* const entry = entries->Pop()) {
    Bury(entry, why);
    ++buried;
  }
  return buried;
}

void Store::ForgetOld(std::uint64_t now_ns) noexcept {
  if (now_ns < looked_for_old_ns_.load(std::memory_order_relaxed) + kOldNs / 2) return;
  MutexLock lock(&eviction_mutex_);
  const std::uint64_t since = now_ns - std::min(now_ns, looked_for_old_ns_.load());
  if (since < kOldNs / 2) return;  // another thread did it
  looked_for_old_ns_ = now_ns;
  Selection old;
  // Nothing was made since the last time if that is long ago: then all is old.
  if (since < kOldNs) old.min_age_ns = kOldNs;
  RemoveSelected(old, now_ns, Ledger::Removal::kExpired);
}

}  // namespace actcache
