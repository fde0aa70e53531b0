// Store: how room is made. The policy is in store.h.
#include <algorithm>
#include <limits>

#include "store/store.h"

namespace actcache {
namespace {

// Values that take more than this part of the budget evict nothing until they are wanted again.
constexpr std::size_t kUnprovenShare = 8;

}  // namespace

double Store::GainOf(const Candidate& candidate, std::size_t charge,
                     std::uint16_t frequency) const noexcept {
  if (charge > ledger_.budget() / kUnprovenShare && frequency < 2) return 0;
  return std::max<std::uint16_t>(frequency, 1) * static_cast<double>(candidate.saving_ns()) /
         static_cast<double>(charge);
}

bool Store::MakeRoom(const Candidate& candidate, std::size_t charge, double gain) noexcept {
  MutexLock lock(&eviction_mutex_);
  const double worth = age() + gain;
  EntryList chosen;
  EntryList in_use;
  std::size_t owned = 0;
  if (candidate.replace) {
    Entry* const old = ShardOf(candidate.key).TakeKey(candidate.key);
    if (old != nullptr) {
      namespace_heaps_.Remove(old);
      chosen.Push(old);
      owned += Evict(&chosen, &in_use);
    }
  }
  Ledger::Verdict verdict;
  for (;;) {
    verdict = ledger_.TryCharge(candidate.tag, charge, owned);
    const bool over_quota = verdict == Ledger::Verdict::kOverQuota;
    if (!over_quota && verdict != Ledger::Verdict::kFull) break;
    // More than one round only if others took the free room, or hit what was chosen, meanwhile.
    const std::size_t deficit = ledger_.Deficit(candidate.tag, charge, owned);
    const std::uint32_t* const own = over_quota ? &candidate.tag.name_space : nullptr;
    if (gain <= 0 || !Choose(deficit, worth, own, &chosen, &in_use)) break;
    owned += Evict(&chosen, &in_use);
  }
  PutBack(&chosen);
  PutBack(&in_use);
  if (verdict == Ledger::Verdict::kCharged) return true;
  ledger_.ReturnOwned(owned);
  if (verdict == Ledger::Verdict::kFull && gain > 0) AgeByRefusal(charge);
  return false;
}

bool Store::Choose(std::size_t bytes, double worth, const std::uint32_t* name_space,
                   EntryList* chosen, EntryList* in_use) noexcept {
  for (std::size_t found = 0; found < bytes;) {
    Entry* const entry =
        name_space == nullptr ? TakeSmallest(worth) : TakeSmallestOf(*name_space, worth);
    if (entry == nullptr) return false;
    if (entry->idle()) {
      chosen->Push(entry);
      found += entry->charge();
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
    const std::size_t charge = entry->charge();
    if (entry->Is(Entry::kPinned)) ledger_.CountPinned(*entry, false);
    ledger_.CountRemoved(*entry, Ledger::Removal::kEvicted);
    ledger_.Take(entry->tag(), charge);
    owned += charge;
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
    if (Entry* const entry = best->TakeSmallest(std::min(worth, second))) {
      namespace_heaps_.Remove(entry);
      return entry;
    }
  }
}

Entry* Store::TakeSmallestOf(std::uint32_t name_space, double worth) noexcept {
  double told = 0;
  while (Entry* const entry = namespace_heaps_.Smallest(name_space, &told)) {
    if (told > worth) break;
    const double now = ShardOf(entry->key_).TakeIf(entry, told);
    if (now <= told) {
      namespace_heaps_.Remove(entry);
      return entry;
    }
    namespace_heaps_.Raise(name_space, now);
  }
  return nullptr;
}

void Store::PutBack(EntryList* entries) noexcept {
  const bool has_quota = has_quota_.load(std::memory_order_relaxed);
  while (Entry* const entry = entries->Pop()) {
    ShardOf(entry->key_).PutBack(entry);
    if (has_quota) namespace_heaps_.Add(entry, entry->heap_worth_);
  }
}

std::size_t Store::Excess(const std::uint32_t* name_space) const noexcept {
  return name_space == nullptr ? ledger_.Excess() : ledger_.QuotaExcess(*name_space);
}

void Store::EvictDown(const std::uint32_t* name_space) noexcept {
  const double any = std::numeric_limits<double>::max();
  EntryList in_use;
  while (Excess(name_space) > 0) {
    EntryList chosen;
    const bool enough = Choose(Excess(name_space), any, name_space, &chosen, &in_use);
    ledger_.ReturnOwned(Evict(&chosen, &in_use));
    if (!enough) break;
  }
  // Only entries in use are left: make them unfindable, so that they go when their readers do.
  const std::size_t excess = Excess(name_space);
  for (std::size_t leaving = 0; leaving < excess;) {
    Entry* const entry = in_use.Pop();
    if (entry == nullptr) break;
    ShardOf(entry->key_).Drop(entry, /*even_in_use=*/true);
    leaving += entry->charge();
    Bury(entry, Ledger::Removal::kEvicted);
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
