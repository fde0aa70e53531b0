#include "store/shard.h"

#include <algorithm>

namespace actcache {

double Shard::WorthOf(const Entry& entry, double age) noexcept {
  const double per_byte = static_cast<double>(entry.cost_ns_) / static_cast<double>(entry.charge_);
  return age + entry.frequency_ * per_byte;
}

Entry* Shard::Find(const Key& key, double age) noexcept {
  MutexLock lock(&mutex_);
  sketch_.Add(key);
  Entry* const entry = table_.Find(key);
  if (entry == nullptr) return nullptr;
  if (entry->frequency_ < std::numeric_limits<std::uint16_t>::max()) ++entry->frequency_;
  // An age read before another thread raised it must not take worth away.
  entry->worth_ = std::max(entry->worth_, WorthOf(*entry, age));
  entry->Ref();
  return entry;
}

Shard::Prospect Shard::Look(const Key& key) noexcept {
  MutexLock lock(&mutex_);
  const std::uint8_t uses = std::max<std::uint8_t>(sketch_.Estimate(key), 1);
  return {table_.Find(key) != nullptr, uses, epoch_};
}

bool Shard::Insert(Entry* entry, double age, std::uint64_t epoch, Ledger* ledger) noexcept {
  MutexLock lock(&mutex_);
  if (epoch != epoch_ || table_.Find(entry->key_) != nullptr) return false;
  entry->worth_ = WorthOf(*entry, age);
  table_.Insert(entry);
  PushToHeap(entry);
  // Under the lock, so that nobody can count the removal first.
  ledger->CountInserted(entry->tag_.region);
  return true;
}

void Shard::VoidDrafts() noexcept {
  MutexLock lock(&mutex_);
  ++epoch_;
}

Entry* Shard::TakeSmallest(double worth) noexcept {
  MutexLock lock(&mutex_);
  Entry* const entry = heap_.Smallest();
  const bool take = entry != nullptr && entry->worth_ <= worth;
  if (take) heap_.PopSmallest();
  UpdateFloor();
  return take ? entry : nullptr;
}

void Shard::PutBack(Entry* entry) noexcept {
  MutexLock lock(&mutex_);
  PushToHeap(entry);
}

bool Shard::Drop(Entry* entry, bool even_in_use) noexcept {
  MutexLock lock(&mutex_);
  const bool used = !entry->idle() || entry->worth_ > entry->heap_worth_;
  if (used && !even_in_use) return false;
  table_.Remove(entry);
  return true;
}

void Shard::Remove(const std::uint32_t* name_space, EntryList* list) noexcept {
  MutexLock lock(&mutex_);
  ++epoch_;
  EntryList stay;
  table_.RemoveIf([name_space, list, &stay](Entry* entry) {
    const bool take = name_space == nullptr || entry->tag_.name_space == *name_space;
    (take ? list : &stay)->Push(entry);
    return take;
  });
  heap_.Reset();
  while (Entry* const entry = stay.Pop()) heap_.Push(entry);
  UpdateFloor();
}

void Shard::PushToHeap(Entry* entry) noexcept {
  heap_.Push(entry);
  if (entry->worth_ < floor()) floor_.store(entry->worth_, std::memory_order_relaxed);
}

void Shard::UpdateFloor() noexcept {
  const Entry* const smallest = heap_.Smallest();
  floor_.store(smallest == nullptr ? std::numeric_limits<double>::infinity() : smallest->worth_,
               std::memory_order_relaxed);
}

}  // namespace actcache
