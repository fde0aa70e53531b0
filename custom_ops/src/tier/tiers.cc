#include "tier/tiers.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "hash/secret.h"
#include "tier/disk/disk_tier.h"
#include "tier/remote/remote_tier.h"

namespace actcache {
namespace {

// How long the end of a process, or of a tier, waits for what is still to be written.
constexpr std::uint64_t kPatienceNs = 5'000'000'000;

constexpr const char* kNames[kMostTiers] = {"disk", "remote"};
constexpr std::size_t kDisk = 0;
constexpr std::size_t kRemote = 1;

// A call waits no longer for tiers than half of what computing takes.
std::uint64_t PatienceFor(std::size_t count, std::uint64_t recompute_ns) noexcept {
  constexpr std::uint64_t kLeast = 1'000'000;
  if (recompute_ns == 0) return kMostFetchNs;
  return std::clamp(count * recompute_ns / 2, kLeast, kMostFetchNs);
}

void FinishAtExit() {
  static const bool registered = std::atexit([] { Tiers::Process().Finish(kPatienceNs); }) == 0;
  static_cast<void>(registered);
}

}  // namespace

TierKey TierKeyOf(const Key& key, const KeyTail& tail) noexcept {
  TierKey name;
  static_assert(sizeof(name) == sizeof(key) + sizeof(tail));
  std::memcpy(name.data(), &key, sizeof(key));
  std::memcpy(name.data() + sizeof(key), &tail, sizeof(tail));
  return name;
}

Tiers& Tiers::Process() {
  static auto* const tiers = new Tiers;
  return *tiers;
}

const char* Tiers::NameOf(std::size_t tier) noexcept { return kNames[tier]; }

std::shared_ptr<const Tiers::List> Tiers::list() const noexcept {
  const MutexLock lock(&mutex_);
  return list_;
}

void Tiers::SetList(std::shared_ptr<const List> list) noexcept {
  const MutexLock lock(&mutex_);
  on_.store(list != nullptr && !list->empty(), std::memory_order_relaxed);
  list_ = std::move(list);
}

Tiers::Opened Tiers::Open(const TierSettings& settings) {
  const MutexLock lock(&configure_mutex_);
  Opened opened;
  if (settings == settings_) return opened;
  auto list = std::make_shared<List>();
  if (!settings.disk_path.empty()) {
    list->push_back(std::make_shared<Attached>(
        kDisk, std::make_unique<DiskTier>(settings.disk_path, settings.disk_budget_bytes)));
  }
  if (!settings.remote.url.empty()) {
    list->push_back(std::make_shared<Attached>(kRemote, OpenRemoteTier(settings.remote)));
  }
  opened.settings_ = settings;
  opened.list_ = std::move(list);
  return opened;
}

void Tiers::Use(Opened opened) {
  if (opened.list_ == nullptr) return;
  const MutexLock lock(&configure_mutex_);
  // The last tier is the one that most processes share.
  if (!opened.list_->empty()) AdoptSecret(opened.list_->back()->tier->secret());
  const std::shared_ptr<const List> before = this->list();
  settings_ = std::move(opened.settings_);
  FinishAtExit();
  SetList(std::move(opened.list_));
  if (before == nullptr) return;
  for (const std::shared_ptr<Attached>& attached : *before) Close(attached);
}

void Tiers::Close(std::shared_ptr<Attached> attached) noexcept {
  if (attached->queue.Finish(kPatienceNs)) return;
  // Its thread still uses it.
  static_cast<void>(new (std::nothrow) std::shared_ptr<Attached>(std::move(attached)));
}

void Tiers::Get(RegionUse* region, const TierKey* keys, std::size_t count,
                std::uint64_t recompute_ns, Found* found) noexcept {
  const std::shared_ptr<const List> tiers = list();
  if (tiers == nullptr || count == 0) return;
  const std::uint64_t deadline_ns = SteadyNow() + PatienceFor(count, recompute_ns);
  try {
    Wanted wanted(keys, count);
    for (const std::shared_ptr<Attached>& one : *tiers) {
      const std::size_t asked = wanted.keys.size();
      if (asked == 0) break;
      one->queue.Start();
      if (!one->tier->available() || !region->Asks(one->number, one->times, recompute_ns)) continue;
      const Answer answer = Ask(one.get(), region->bytes(), deadline_ns, &wanted, found);
      one->times.Add(asked, answer.hits, answer.bytes, answer.elapsed_ns);
      region->Asked(one->number, asked, answer.hits);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Record& record = found[i].record;
      if (record) region->Seen(record.size(), record.fields().cost_ns);
    }
  } catch (...) {
    // No memory: what was found so far is found.
  }
}

Tiers::Wanted::Wanted(const TierKey* keys_in, std::size_t count)
    : keys(keys_in, keys_in + count), places(count) {
  for (std::size_t i = 0; i < count; ++i) places[i] = i;
}

Tiers::Answer Tiers::Ask(Attached* one, std::size_t expected_bytes, std::uint64_t deadline_ns,
                         Wanted* wanted, Found* found) {
  Answer answer;
  std::vector<Record> records(wanted->keys.size());
  const std::uint64_t start = SteadyNow();
  one->tier->GetOfSize(wanted->keys.data(), records.size(), expected_bytes, deadline_ns,
                       records.data());
  answer.elapsed_ns = SteadyNow() - start;
  std::size_t left = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!records[i]) {
      wanted->keys[left] = wanted->keys[i];
      wanted->places[left++] = wanted->places[i];
      continue;
    }
    ++answer.hits;
    answer.bytes += records[i].size();
    found[wanted->places[i]] = {std::move(records[i]), one->number};
  }
  wanted->keys.resize(left);
  wanted->places.resize(left);
  return answer;
}

void Tiers::Fetch(const TierKey* keys, std::size_t count, Found* found) noexcept {
  const std::shared_ptr<const List> tiers = list();
  if (tiers == nullptr) return;
  try {
    Wanted wanted(keys, count);
    for (const std::shared_ptr<Attached>& one : *tiers) {
      if (wanted.keys.empty()) break;
      Ask(one.get(), /*expected_bytes=*/0, SteadyNow() + kPatienceNs, &wanted, found);
    }
  } catch (...) {
    // No memory: what was found so far is found.
  }
}

void Tiers::Put(RegionUse* region, const RecordFields& fields, const std::vector<TensorSpec>& specs,
                const Fill& fill, bool replace) noexcept {
  const std::shared_ptr<const List> tiers = list();
  if (tiers == nullptr) return;
  std::size_t bytes = 0;
  for (const TensorSpec& spec : specs) bytes += spec.bytes;
  region->Seen(bytes, fields.cost_ns);
  for (const std::shared_ptr<Attached>& one : *tiers) {
    if (!one->Takes(bytes, fields.cost_ns) || !one->queue.HasRoom(bytes)) continue;
    try {
      // Each tier seals its own copy: their secrets differ.
      Record record = Record::Make(fields, specs.data(), specs.size());
      if (!record) return;
      fill(&record);
      one->queue.Put(std::move(record), replace);
    } catch (...) {
      // It is not written.
    }
  }
}

void Tiers::Promote(Found found) noexcept {
  const std::shared_ptr<const List> tiers = list();
  if (tiers == nullptr) return;
  for (const std::shared_ptr<Attached>& one : *tiers) {
    if (one->number == found.tier) continue;
    static_assert(kMostTiers == 2, "there is one other, so that the record need not be copied");
    if (!one->Takes(found.record.size(), found.record.fields().cost_ns)) return;
    one->queue.Promote(std::move(found.record));
    return;
  }
}

bool Tiers::Wants(const RegionUse& region) const noexcept {
  if (!on()) return false;
  const std::shared_ptr<const List> tiers = list();
  return tiers != nullptr &&
         std::any_of(tiers->begin(), tiers->end(), [&](const std::shared_ptr<Attached>& one) {
           return one->Takes(region.bytes(), region.cost_ns());
         });
}

void Tiers::Remove(const TierKey& key) noexcept {
  const std::shared_ptr<const List> tiers = list();
  if (tiers == nullptr) return;
  for (const std::shared_ptr<Attached>& one : *tiers) one->queue.Remove(key);
}

bool Tiers::Flush(std::uint64_t patience_ns) noexcept {
  const std::shared_ptr<const List> tiers = list();
  bool done = true;
  if (tiers == nullptr) return done;
  for (const std::shared_ptr<Attached>& one : *tiers) done &= one->queue.Flush(patience_ns);
  return done;
}

void Tiers::Finish(std::uint64_t patience_ns) noexcept {
  const std::shared_ptr<const List> tiers = list();
  if (tiers == nullptr) return;
  for (const std::shared_ptr<Attached>& one : *tiers) one->queue.Finish(patience_ns);
}

std::vector<Tiers::State> Tiers::states() const {
  std::vector<State> states;
  const std::shared_ptr<const List> tiers = list();
  if (tiers == nullptr) return states;
  for (const std::shared_ptr<Attached>& one : *tiers) {
    states.push_back(
        {one->tier->name(), one->tier->problem(), one->tier->stats(), one->queue.stats()});
  }
  return states;
}

void Tiers::LockForFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  configure_mutex_.Lock();
  if (const std::shared_ptr<const List> tiers = list()) {
    for (const std::shared_ptr<Attached>& one : *tiers) {
      one->tier->LockForFork();
      one->queue.LockForFork();
    }
  }
  mutex_.Lock();
}

void Tiers::UnlockAfterFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  mutex_.Unlock();
  if (const std::shared_ptr<const List> tiers = list()) {
    for (const std::shared_ptr<Attached>& one : *tiers) {
      one->queue.UnlockAfterFork();
      one->tier->UnlockAfterFork();
    }
  }
  configure_mutex_.Unlock();
}

void Tiers::ReopenInForkedChild() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  mutex_.Unlock();
  if (const std::shared_ptr<const List> tiers = list()) {
    for (const std::shared_ptr<Attached>& one : *tiers) {
      one->queue.ResetInForkedChild();
      one->tier->ReopenInForkedChild();
    }
  }
  configure_mutex_.Unlock();
}

}  // namespace actcache
