// Store: how room is made. The policy is in store.h.
#include <algorithm>
#include <limits>

#include "store/store.h"

namespace actcache {

bool Store::MakeRoom(std::uint32_t region, std::size_t charge, double gain) noexcept {
  MutexLock lock(&eviction_mutex_);
  const double worth = age_.load(std::memory_order_relaxed) + gain;
  EntryList chosen;
  EntryList in_use;
  std::size_t owned = 0;
  Ledger::Verdict verdict;
  // More than one round only if others took the free room, or hit what was chosen, meanwhile.
  while ((verdict = ledger_.TryCharge(region, charge, owned)) == Ledger::Verdict::kFull) {
    if (!Choose(ledger_.Deficit(charge, owned), worth, &chosen, &in_use)) break;
    owned += Evict(&chosen, &in_use);
  }
  PutBack(&chosen);
  PutBack(&in_use);
  if (verdict == Ledger::Verdict::kCharged) return true;
  ledger_.ReturnOwned(owned);
  if (verdict == Ledger::Verdict::kFull) AgeByRefusal(charge);
  return false;
}

bool Store::Choose(std::size_t bytes, double worth, EntryList* chosen, EntryList* in_use) noexcept {
  for (std::size_t found = 0; found < bytes;) {
    Entry* const entry = TakeSmallest(worth);
    if (entry == nullptr) return false;
    if (entry->idle()) {
      chosen->Push(entry);
      found += entry->charge_;
    } else {
      in_use->Push(entry);
    }
  }
  return true;
}

std::size_t Store::Evict(EntryList* chosen, EntryList* in_use) noexcept {
  std::size_t owned = 0;
  while (Entry* const entry = chosen->Pop()) {
    if (!ShardOf(entry->key_).Drop(entry, /*even_in_use=*/false)) {
      in_use->Push(entry);
      continue;
    }
    AgeTo(entry->worth_);
    ledger_.CountRemoved(entry->tag_.region, /*evicted=*/true);
    ledger_.Take(entry->tag_.region, entry->charge_);
    owned += entry->charge_;
    Entry::Free(entry);
  }
  return owned;
}

Entry* Store::TakeSmallest(double worth) noexcept {
  for (;;) {
    Shard* best = nullptr;
    double lowest = std::numeric_limits<double>::infinity();
    double second = lowest;
    for (Shard& shard : shards_) {
      const double floor = shard.floor();
      if (floor < lowest) {
        second = lowest;
        lowest = floor;
        best = &shard;
      } else {
        second = std::min(second, floor);
      }
    }
    if (best == nullptr || lowest > worth) return nullptr;
    // The floor may be out of date (hits since); then nothing is taken, it is brought up to date,
    // and the next round looks again.
    if (Entry* const entry = best->TakeSmallest(std::min(worth, second))) return entry;
  }
}

void Store::PutBack(EntryList* entries) noexcept {
  while (Entry* const entry = entries->Pop()) ShardOf(entry->key_).PutBack(entry);
}

void Store::EvictDownToBudget() noexcept {
  const double any = std::numeric_limits<double>::max();
  EntryList in_use;
  while (ledger_.Excess() > 0) {
    EntryList chosen;
    const bool enough = Choose(ledger_.Excess(), any, &chosen, &in_use);
    ledger_.ReturnOwned(Evict(&chosen, &in_use));
    if (!enough) break;
  }
  // Only entries in use are left: make them unfindable, so that they go when their readers do.
  const std::size_t excess = ledger_.Excess();
  for (std::size_t leaving = 0; leaving < excess;) {
    Entry* const entry = in_use.Pop();
    if (entry == nullptr) break;
    ShardOf(entry->key_).Drop(entry, /*even_in_use=*/true);
    ledger_.CountRemoved(entry->tag_.region, /*evicted=*/true);
    leaving += entry->charge_;
    entry->Unref();
  }
  PutBack(&in_use);
}

void Store::AgeTo(double worth) noexcept {
  if (worth > age_.load(std::memory_order_relaxed)) age_.store(worth, std::memory_order_relaxed);
}

void Store::AgeByRefusal(std::size_t charge) noexcept {
  double lowest = std::numeric_limits<double>::infinity();
  for (const Shard& shard : shards_) lowest = std::min(lowest, shard.floor());
  const double age = age_.load(std::memory_order_relaxed);
  if (lowest == std::numeric_limits<double>::infinity() || lowest <= age) return;
  const double share = static_cast<double>(charge) / static_cast<double>(ledger_.budget());
  age_.store(age + (lowest - age) * std::min(share, 1.0), std::memory_order_relaxed);
}

}  // namespace actcache
