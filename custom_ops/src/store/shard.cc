#include "store/shard.h"

#include <algorithm>
#include <vector>

#include "store/eviction/chain_worth.h"

namespace actcache {

Entry* Shard::Find(const Key& key, double age, const FindLimits& limits, Absence* why,
                   double* before) noexcept {
  MutexLock lock(&mutex_);
  Entry* const entry = table_.Find(key);
  *why = entry == nullptr                                      ? Absence::kAbsent
         : entry->Expired(limits.now_ns)                       ? Absence::kExpired
         : limits.max_age_ns < entry->AgeAtMost(limits.now_ns) ? Absence::kTooOld
                                                               : Absence::kNone;
  if (*why != Absence::kNone) {
    sketch_.Add(key);
    return nullptr;
  }
  if (entry->frequency_ < std::numeric_limits<std::uint16_t>::max()) ++entry->frequency_;
  // An age read before another thread raised it must not take worth away.
  SetWorth(entry, std::min(std::max(entry->worth_, WorthAt(*entry, age)), MostBehind(*before)));
  *before = entry->worth_;
  entry->Set(Entry::kUsed, true);
  entry->Ref();
  return entry;
}

std::optional<double> Shard::WorthOf(const Key& key) noexcept {
  MutexLock lock(&mutex_);
  const Entry* const entry = table_.Find(key);
  return entry == nullptr ? std::nullopt : std::optional<double>(entry->worth_);
}

void Shard::SetWorth(Entry* entry, double worth) noexcept {
  // It only grows, but behind an entry that was made anew: that one may be worth less than before.
  const bool sinks = WorthHeap::Holds(*entry) && worth < entry->heap_worth_;
  if (sinks) heap_.Remove(entry);
  entry->worth_ = worth;
  if (sinks) PushToHeap(entry);
}

Entry* Shard::Peek(const Key& key) noexcept {
  MutexLock lock(&mutex_);
  Entry* const entry = table_.Find(key);
  if (entry != nullptr) entry->Ref();
  return entry;
}

bool Shard::Selects(const Selection& selection, const Entry& entry, std::uint64_t now_ns) noexcept {
  const std::vector<std::uint32_t>& regions = selection.regions;
  const EntryTag tag = entry.tag();
  return (!selection.name_space || *selection.name_space == tag.name_space) &&
         (regions.empty() ||
          std::find(regions.begin(), regions.end(), tag.region) != regions.end()) &&
         (!selection.min_age_ns || *selection.min_age_ns <= entry.AgeAtMost(now_ns));
}

Shard::Prospect Shard::Look(const Key& key, std::uint64_t now_ns) noexcept {
  MutexLock lock(&mutex_);
  const Entry* const entry = table_.Find(key);
  if (entry == nullptr) return {false, false, sketch_.Estimate(key), epoch_};
  return {true, entry->Expired(now_ns), std::max(entry->frequency_, sketch_.Estimate(key)), epoch_};
}

bool Shard::Insert(Entry* entry, double age, std::uint64_t epoch, Ledger* ledger) noexcept {
  MutexLock lock(&mutex_);
  if (epoch != epoch_ || table_.Find(entry->key_) != nullptr) return false;
  return AddToTable(entry, age, ledger);
}

bool Shard::Replace(Entry* entry, double age, std::uint64_t epoch, Ledger* ledger,
                    EntryList* replaced) noexcept {
  MutexLock lock(&mutex_);
  if (epoch != epoch_ || !heap_.Reserve(table_.size() + 1)) return false;
  Entry* const old = table_.Find(entry->key_);
  if (old != nullptr) {
    entry->Set(Entry::kPinned, old->Is(Entry::kPinned));
    entry->frequency_ = std::max(entry->frequency_, old->frequency_);
    table_.Remove(old);
    LeaveHeap(old);
    replaced->Push(old);
  }
  return AddToTable(entry, age, ledger);
}

bool Shard::AddToTable(Entry* entry, double age, Ledger* ledger) noexcept {
  if (!heap_.Reserve(table_.size() + 1)) return false;
  entry->worth_ = std::min(entry->worth_, WorthAt(*entry, age));
  table_.Insert(entry);
  // Counted under the lock, so that nobody can count the removal first.
  ledger->CountInserted(*entry);
  if (entry->Is(Entry::kPinned)) {
    ledger->CountPinned(*entry, true);
  } else {
    PushToHeap(entry);
  }
  return true;
}

void Shard::VoidDrafts() noexcept {
  MutexLock lock(&mutex_);
  ++epoch_;
}

void Shard::RaiseFloor() noexcept {
  MutexLock lock(&mutex_);
  UpdateFloor();
}

Entry* Shard::TakeFirst(double worth, const Rank& limit) noexcept {
  MutexLock lock(&mutex_);
  Entry* const entry = heap_.Smallest();
  const bool take = entry != nullptr && entry->worth_ <= worth &&
                    Rank{entry->worth_, entry->sequence_}.Before(limit);
  if (take) LeaveHeap(entry);
  UpdateFloor();
  return take ? entry : nullptr;
}

Entry* Shard::TakeKey(const Key& key) noexcept {
  MutexLock lock(&mutex_);
  Entry* const entry = table_.Find(key);
  if (entry == nullptr || !WorthHeap::Holds(*entry)) return nullptr;
  LeaveHeap(entry);
  return entry;
}

double Shard::TakeIf(Entry* entry, double worth) noexcept {
  MutexLock lock(&mutex_);
  if (entry->worth_ <= worth) LeaveHeap(entry);
  return entry->worth_;
}

bool Shard::PutBack(Entry* entry) noexcept {
  MutexLock lock(&mutex_);
  PushToHeap(entry);
  return entry->Is(Entry::kPinned);
}

bool Shard::Drop(Entry* entry, bool even_in_use) noexcept {
  MutexLock lock(&mutex_);
  const bool used = !entry->idle() || entry->Is(Entry::kUsed);
  if (used && !even_in_use) return false;
  LeaveTable(entry);
  return true;
}

void Shard::ExposePinned(bool exposed) noexcept {
  MutexLock lock(&mutex_);
  table_.ForEach([this, exposed](Entry* entry) {
    mutex_.AssertHeld();
    if (entry->Is(Entry::kPinned)) exposed ? PushToHeap(entry) : LeaveHeap(entry);
  });
}

void Shard::PushToHeap(Entry* entry) noexcept {
  heap_.Push(entry);
  const Rank rank{entry->worth_, entry->sequence_};
  if (rank.Before(floor())) SetFloor(rank);
}

void Shard::LeaveTable(Entry* entry) noexcept {
  table_.Remove(entry);
  sketch_.Raise(entry->key_, entry->frequency_);
}

void Shard::LeaveHeap(Entry* entry) noexcept {
  if (WorthHeap::Holds(*entry)) heap_.Remove(entry);
  entry->Set(Entry::kUsed, false);
}

void Shard::SetFloor(const Rank& rank) noexcept {
  floor_worth_.store(rank.worth, std::memory_order_relaxed);
  floor_sequence_.store(rank.sequence, std::memory_order_relaxed);
}

void Shard::UpdateFloor() noexcept {
  const Entry* const first = heap_.Smallest();
  SetFloor(first == nullptr ? Rank{} : Rank{first->worth_, first->sequence_});
}

}  // namespace actcache
