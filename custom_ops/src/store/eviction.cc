// Store: how room is made. The policy is in store.h.
#include <algorithm>
#include <limits>

#include "store/eviction/chain_worth.h"
#include "store/store.h"

namespace actcache {
namespace {

// Values that take more than this part of the budget evict nothing until they are wanted again.
constexpr std::size_t kUnprovenShare = 8;

}  // namespace

double Store::GainOf(const Offer& offer, std::size_t charge,
                     std::uint16_t frequency) const noexcept {
  if (charge > ledger_.budget() / kUnprovenShare && frequency < 2) return 0;
  return std::max<std::uint16_t>(frequency, 1) * static_cast<double>(offer.gain(charge));
}

bool Store::MakeRoom(const Offer& offer, std::size_t charge, double gain) noexcept {
  MutexLock lock(&eviction_mutex_);
  const double worth = std::min(age() + gain, MostBehind(offer.before));
  EntryList chosen;
  EntryList in_use;
  std::size_t owned = 0;
  if (offer.replace) owned = EvictReplaced(offer.key);
  Ledger::Verdict verdict;
  for (;;) {
    verdict = ledger_.TryCharge(offer.tag, charge, owned);
    const bool over_quota = verdict == Ledger::Verdict::kOverQuota;
    if (!over_quota && verdict != Ledger::Verdict::kFull) break;
    // More than one round only if others took the free room, or hit what was chosen, meanwhile.
    const std::size_t deficit = ledger_.Deficit(offer.tag, charge, owned);
    const std::uint32_t* const own = over_quota ? &offer.tag.name_space : nullptr;
    if (gain <= 0 || !Choose(deficit, worth, own, &chosen, &in_use)) break;
    owned += Evict(over_quota ? Ledger::Removal::kForQuota : Ledger::Removal::kForRoom, &chosen,
                   &in_use);
  }
  PutBack(&chosen);
  PutBack(&in_use);
  if (verdict == Ledger::Verdict::kCharged) return true;
  ledger_.ReturnOwned(owned);
  const std::size_t refused = charge * (1 + offer.followers);
  if (gain > 0 && verdict == Ledger::Verdict::kFull) AgeByRefusal(refused, nullptr);
  if (gain > 0 && verdict == Ledger::Verdict::kOverQuota) {
    AgeByRefusal(refused, &offer.tag.name_space);
  }
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

std::size_t Store::Evict(Ledger::Removal why, EntryList* chosen, EntryList* in_use) noexcept {
  std::size_t owned = 0;
  while (Entry* const entry = chosen->Pop()) {
    if (!ShardOf(entry->key_).Drop(entry, /*even_in_use=*/false)) {
      in_use->Push(entry);
      continue;
    }
    AgeTo(entry->worth_);
    owned += Seize(entry, why);
  }
  return owned;
}

std::size_t Store::EvictReplaced(const Key& key) noexcept {
  Entry* const entry = ShardOf(key).TakeKey(key);
  if (entry == nullptr) return 0;
  namespace_heaps_.Remove(entry);
  if (ShardOf(key).Drop(entry, /*even_in_use=*/false)) {
    return Seize(entry, Ledger::Removal::kReplaced);
  }
  PutBack(entry);
  return 0;
}

std::size_t Store::Seize(Entry* entry, Ledger::Removal why) noexcept {
  const std::size_t charge = entry->charge();
  Count(*entry, why);
  ledger_.Take(entry->tag(), charge);
  Entry::Free(entry);
  return charge;
}

Entry* Store::TakeSmallest(double worth) noexcept {
  for (;;) {
    Shard* best = nullptr;
    Rank first;
    Rank second;
    for (Shard& shard : shards_) {
      const Rank floor = shard.floor();
      if (floor.Before(first)) {
        second = first;
        first = floor;
        best = &shard;
      } else if (floor.Before(second)) {
        second = floor;
      }
    }
    if (best == nullptr || first.worth > worth) return nullptr;
    // The floor may be out of date (hits since); then nothing is taken, it is brought up to date,
    // and the next round looks again.
    if (Entry* const entry = best->TakeFirst(worth, second)) {
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
  while (Entry* const entry = entries->Pop()) PutBack(entry);
}

void Store::PutBack(Entry* entry) noexcept {
  const bool pinned = ShardOf(entry->key_).PutBack(entry);
  if (has_quota_.load(std::memory_order_relaxed) && !pinned) {
    namespace_heaps_.Add(entry, entry->heap_worth_);
  }
}

std::size_t Store::EvictDown(const std::uint32_t* name_space, std::size_t leaving) noexcept {
  const double any = std::numeric_limits<double>::max();
  const auto why = name_space == nullptr ? Ledger::Removal::kForBudget : Ledger::Removal::kForQuota;
  const auto excess = [this, name_space] {
    return name_space == nullptr ? ledger_.Excess() : ledger_.QuotaExcess(*name_space);
  };
  EntryList in_use;
  for (std::size_t over; (over = excess()) > leaving;) {
    EntryList chosen;
    const bool enough = Choose(over - leaving, any, name_space, &chosen, &in_use);
    ledger_.ReturnOwned(Evict(why, &chosen, &in_use));
    if (!enough) break;
  }
  // Only entries in use are left: make them unfindable, so that they go when their readers do.
  for (const std::size_t over = excess(); leaving < over;) {
    Entry* const entry = in_use.Pop();
    if (entry == nullptr) break;
    ShardOf(entry->key_).Drop(entry, /*even_in_use=*/true);
    leaving += entry->charge();
    Bury(entry, why);
  }
  PutBack(&in_use);
  return leaving;
}

void Store::AgeTo(double worth) noexcept {
  if (worth > age()) age_.store(worth, std::memory_order_relaxed);
}

double Store::SmallestWorth() noexcept {
  for (;;) {
    Shard* const best = &*std::min_element(
        shards_.begin(), shards_.end(),
        [](const Shard& a, const Shard& b) { return a.floor().Before(b.floor()); });
    const double floor = best->floor().worth;
    best->RaiseFloor();
    if (best->floor().worth <= floor) return floor;
  }
}

void Store::AgeByRefusal(std::size_t charge, const std::uint32_t* name_space) noexcept {
  double lowest = std::numeric_limits<double>::infinity();
  std::size_t room = ledger_.budget();
  if (name_space == nullptr) {
    lowest = SmallestWorth();
  } else {
    namespace_heaps_.Smallest(*name_space, &lowest);
    room = ledger_.stats().namespace_quota_bytes;
  }
  const double age = this->age();
  if (lowest == std::numeric_limits<double>::infinity() || lowest <= age) return;
  const double share = static_cast<double>(charge) / static_cast<double>(room);
  age_.store(age + (lowest - age) * std::min(share, 1.0), std::memory_order_relaxed);
}

}  // namespace actcache
