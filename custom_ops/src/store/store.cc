#include "store/store.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/process_object.h"
#include "store/eviction/chain_worth.h"

namespace actcache {

Store::Store(std::size_t budget) noexcept : ledger_(budget) {}

Store::~Store() { Invalidate({}, 0); }

namespace {

ProcessObject<Store>& ProcessStore() noexcept {
  static ProcessObject<Store> store(Store::kDefaultBudget);
  return store;
}

}  // namespace

Store& Store::Process() noexcept { return ProcessStore().get(); }
void Store::ReplaceInForkedChild() noexcept { ProcessStore().Replace(kDefaultBudget); }

EntryRef Store::Find(const Key& key, const FindLimits& limits, Absence* why,
                     double* before) noexcept {
  ForgetOld(limits.now_ns);
  Absence absence;
  double none = std::numeric_limits<double>::infinity();
  Entry* const entry =
      ShardOf(key).Find(key, age(), limits, &absence, before == nullptr ? &none : before);
  if (absence == Absence::kExpired) RemoveExpired(key, limits.now_ns);
  if (why != nullptr) *why = absence;
  return {entry, this};
}

EntryRef Store::Peek(const Key& key) noexcept { return {ShardOf(key).Peek(key), this}; }

Draft Store::Reserve(const Offer& offer) noexcept {
  ForgetOld(offer.now_ns);
  const Shard::Prospect prospect = ShardOf(offer.key).Look(offer.key, offer.now_ns);
  if (prospect.expired) {
    RemoveExpired(offer.key, offer.now_ns);
  } else if (prospect.present && !offer.replace) {
    return Draft(Rejection::kPresent);
  }
  Entry::Layout layout;
  if (!Entry::Measure(offer.specs, offer.count, &layout)) {
    return Reject(Rejection::kTooLarge);
  }
  switch (ledger_.TryCharge(offer.tag, layout.charge, 0)) {
    case Ledger::Verdict::kCharged:
      break;
    case Ledger::Verdict::kOff:
      return Draft(Rejection::kOff);
    case Ledger::Verdict::kTooLarge:
      return Reject(Rejection::kTooLarge);
    case Ledger::Verdict::kNoMemory:
      return Reject(Rejection::kNoMemory);
    case Ledger::Verdict::kFull:
    case Ledger::Verdict::kOverQuota:
      if (!MakeRoom(offer, layout.charge, GainOf(offer, layout.charge, prospect.frequency))) {
        return Reject(Rejection::kNotWorth);
      }
  }
  Entry* const entry = Entry::Make(offer, layout);
  if (entry == nullptr) {
    ledger_.Return(offer.tag, layout.charge);
    return Reject(Rejection::kNoMemory);
  }
  entry->frequency_ = std::max<std::uint16_t>(prospect.frequency, 1);
  entry->sequence_ = made_.fetch_add(1, std::memory_order_relaxed);
  entry->worth_ = MostBehind(offer.before);
  const double worth = std::min(entry->worth_, age() + entry->frequency_ * entry->gain());
  return {EntryRef(entry, this), prospect.epoch, worth, offer.replace};
}

Draft Store::ReserveBeside(const Offer& offer) noexcept {
  Entry::Layout layout;
  if (!Entry::Measure(offer.specs, offer.count, &layout)) return Draft(Rejection::kTooLarge);
  Entry* const entry = Entry::Make(offer, layout);
  if (entry == nullptr) return Draft(Rejection::kNoMemory);
  return {EntryRef(entry, nullptr), 0, 0, false};
}

Draft Store::Reject(Rejection rejection) noexcept {
  ledger_.CountRejected();
  return Draft(rejection);
}

bool Store::Publish(Draft&& draft) noexcept {
  Draft taken(std::move(draft));
  Entry* const entry = taken.entry_.entry_;
  const bool indexed = has_quota_.load(std::memory_order_acquire);
  const bool done = indexed || taken.replace_
                        ? PublishIndexed(entry, taken.epoch_, taken.replace_)
                        : ShardOf(entry->key_).Insert(entry, age(), taken.epoch_, &ledger_);
  if (done) taken.entry_.entry_ = nullptr;  // the shard has the reference now
  return done;
}

bool Store::PublishIndexed(Entry* entry, std::uint64_t epoch, bool replace) noexcept {
  MutexLock lock(&eviction_mutex_);
  const bool indexed = has_quota_.load(std::memory_order_relaxed);
  if (indexed && !namespace_heaps_.Reserve(entry->name_space_)) return false;
  Shard& shard = ShardOf(entry->key_);
  EntryList replaced;
  if (!(replace ? shard.Replace(entry, age(), epoch, &ledger_, &replaced)
                : shard.Insert(entry, age(), epoch, &ledger_))) {
    return false;
  }
  if (indexed && WorthHeap::Holds(*entry)) namespace_heaps_.Add(entry, entry->heap_worth_);
  BuryAll(&replaced, Ledger::Removal::kReplaced);
  return true;
}

bool Store::Remove(const Key& key, Ledger::Removal why) noexcept {
  MutexLock lock(&eviction_mutex_);
  Entry* const entry = ShardOf(key).RemoveKeyIf(key, [](const Entry&) { return true; });
  if (entry == nullptr) return false;
  Bury(entry, why);
  return true;
}

void Store::RemoveExpired(const Key& key, std::uint64_t now_ns) noexcept {
  MutexLock lock(&eviction_mutex_);
  Entry* const entry =
      ShardOf(key).RemoveKeyIf(key, [now_ns](const Entry& found) { return found.Expired(now_ns); });
  if (entry != nullptr) Bury(entry, Ledger::Removal::kExpired);
}

void Store::Destroy(Entry* entry) noexcept {
  const EntryTag tag = entry->tag();
  const std::size_t charge = entry->charge();
  Entry::Free(entry);
  ledger_.Return(tag, charge);
}

void EntryRef::Destroy() noexcept {
  if (store_ == nullptr) return Entry::Free(entry_);  // Store::MakeBeside()
  store_->Destroy(entry_);
}

std::size_t Store::budget() const noexcept { return ledger_.budget(); }
StoreStats Store::stats() const noexcept { return ledger_.stats(); }
RegionUsage Store::usage(std::uint32_t region) const noexcept { return ledger_.usage(region); }
NamespaceUsage Store::namespace_usage(std::uint32_t name_space) const noexcept {
  return ledger_.namespace_usage(name_space);
}

}  // namespace actcache
