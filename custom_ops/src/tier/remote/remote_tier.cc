#include "tier/remote/remote_tier.h"

#include <algorithm>
#include <array>
#include <new>
#include <utility>
#include <vector>

namespace actcache {
namespace {

// Values above this travel by connections of their own: at a gigabit per second it takes 0.5 ms.
constexpr std::size_t kLargeBytes = 64 << 10;
// How long the writing thread waits for the server: for its answer, and for bytes under way at a
// tenth of a gigabit per second.
constexpr std::uint64_t kWriteNs = 1'000'000'000;
constexpr std::uint64_t kWriteNsPerByte = 80;
// The first wait of a server that takes no values: it is full for a while.
constexpr std::uint64_t kFullNs = 1'000'000'000;
// Records sent before their answers are read.
constexpr std::size_t kMostAtOnce = 64;
// Of larger ones the server is asked first whether it has them: others may have sent them, or this
// machine before it was started anew.
constexpr std::uint64_t kAskFirstBytes = 4 << 10;

std::string KeyName(const TierKey& key) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string name = "actcache:" + std::to_string(kRecordFormat) + ":";
  for (const unsigned char byte : key) {
    name += kDigits[byte >> 4];
    name += kDigits[byte & 15];
  }
  return name;
}

std::vector<std::string> KeyNames(const TierKey* keys, std::size_t count) {
  std::vector<std::string> names;
  names.reserve(count);
  for (std::size_t i = 0; i < count; ++i) names.push_back(KeyName(keys[i]));
  return names;
}

void Count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) noexcept {
  counter.fetch_add(by, std::memory_order_relaxed);
}

}  // namespace

RemoteTier::RemoteTier(const RemoteSettings& settings, std::shared_ptr<Connector> connector,
                       std::shared_ptr<TimeSource> time, std::uint64_t seed, Background background)
    : settings_(settings),
      connector_(std::move(connector)),
      time_(std::move(time)),
      seed_(seed),
      background_(background),
      owner_(std::make_shared<RemoteClient>(connector_, time_, seed, background)),
      client_(owner_.get()),
      write_backoff_(seed + 1, kFullNs) {}

void RemoteTier::GetOfSize(const TierKey* keys, std::size_t count, std::size_t expected_bytes,
                           std::uint64_t deadline_ns, Record* found) noexcept {
  std::size_t hits = 0;
  try {
    if (available() && expected_bytes <= settings_.max_value_bytes) {
      std::vector<std::string> names = KeyNames(keys, count);
      std::vector<Buffer> values(count);
      const LinkPool::Lane lane =
          expected_bytes > kLargeBytes ? LinkPool::kLarge : LinkPool::kSmall;
      const RemoteClient::Use use = client().With(lane, deadline_ns, [&](Link* link) {
        return link->Get(names.data(), count, settings_.max_value_bytes, deadline_ns,
                         values.data());
      });
      if (use == RemoteClient::Use::kRefused) client().Refused();
      for (std::size_t i = 0; i < count; ++i) {
        if (values[i].size() == 0) continue;
        Accept(keys[i], std::move(names[i]), std::move(values[i]), &found[i]);
        hits += found[i] ? 1 : 0;
      }
      const bool late = use == RemoteClient::Use::kLate || use == RemoteClient::Use::kBusy;
      if (late) Count(counters_.late, count - hits);
      if (use != RemoteClient::Use::kDone && !late) Count(counters_.errors);
    }
  } catch (...) {
    // No memory: what was not found yet is not found.
  }
  Count(counters_.hits, hits);
  Count(counters_.misses, count - hits);
}

void RemoteTier::Accept(const TierKey& key, std::string name, Buffer value,
                        Record* found) noexcept {
  const std::size_t bytes = value.size();
  const char* problem = nullptr;
  Record record = Record::Open(std::move(value), key, settings_.secret, &problem);
  if (!record) {
    Count(counters_.damaged);
    client().RemoveLater(std::move(name));
    return;
  }
  if (record.Expired(UnixNow())) return;
  Count(counters_.fetched_bytes, bytes);
  *found = std::move(record);
}

void RemoteTier::Put(const Record* records, std::size_t count) noexcept {
  for (std::size_t done = 0; done < count; done += kMostAtOnce) {
    const std::size_t some = std::min(kMostAtOnce, count - done);
    const std::uint64_t now = time_->Now();
    try {
      if (client().available() && now >= write_again_ns_) {
        PutSome(records + done, some, now);
        continue;
      }
    } catch (...) {
      // No memory.
    }
    Count(counters_.refused, some);
  }
}

void RemoteTier::PutSome(const Record* records, std::size_t count, std::uint64_t now_ns) {
  const std::uint64_t unix_ns = UnixNow();
  std::vector<std::string> names;
  std::vector<LinkItem> items;
  names.reserve(count);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Record& record = records[i];
    std::uint64_t ttl_ns = settings_.ttl_ns;
    if (const std::uint64_t expires = record.fields().expires_ns; expires != 0) {
      ttl_ns = std::min(ttl_ns, expires - std::min(expires, unix_ns));
    }
    if (record.size() > settings_.max_value_bytes || ttl_ns < 1'000'000) continue;
    names.push_back(KeyName(record.fields().key));
    items.push_back({names.back(),
                     {reinterpret_cast<const char*>(record.data()), record.size()},
                     ttl_ns / 1'000'000});
    bytes += record.size();
  }
  std::size_t kept = 0;
  if (!names.empty()) {
    const std::uint64_t deadline = now_ns + kWriteNs + kWriteNsPerByte * bytes;
    const RemoteClient::Use use = client().With(LinkPool::kWrites, deadline, [&](Link* link) {
      std::size_t there = 0;
      if (asks_first_ && bytes > items.size() * kAskFirstBytes) {
        const LinkResult asked = LeaveOut(link, names, deadline, &items);
        if (!Usable(asked)) return asked;
        there = names.size() - items.size();
      }
      const LinkResult sent = link->Set(items.data(), items.size(), deadline, &kept);
      kept += there;
      return sent;
    });
    if (use == RemoteClient::Use::kDone) {
      write_backoff_.Reset();
    } else {
      Count(counters_.errors);
    }
    if (use == RemoteClient::Use::kRefused) write_again_ns_ = time_->Now() + write_backoff_.Next();
  }
  Count(counters_.stored, kept);
  Count(counters_.refused, count - kept);
  if (kept == names.size()) Count(counters_.stored_bytes, bytes);
}

// Takes the items out that the server has.
LinkResult RemoteTier::LeaveOut(Link* link, const std::vector<std::string>& names,
                                std::uint64_t deadline_ns, std::vector<LinkItem>* items) {
  std::array<bool, kMostAtOnce> there{};
  const LinkResult asked = link->Exist(names.data(), names.size(), deadline_ns, there.data());
  // Users that may not ask (a rule of the server's) send everything.
  if (asked == LinkResult::kRefused) asks_first_ = false;
  if (asked != LinkResult::kAnswered) return asked;
  std::size_t left = 0;
  for (std::size_t i = 0; i < items->size(); ++i) {
    if (!there[i]) (*items)[left++] = (*items)[i];
  }
  items->resize(left);
  return asked;
}

void RemoteTier::Remove(const TierKey* keys, std::size_t count) noexcept {
  try {
    const std::vector<std::string> names = KeyNames(keys, count);
    const std::uint64_t deadline = time_->Now() + kWriteNs;
    client().With(LinkPool::kWrites, deadline,
                  [&](Link* link) { return link->Delete(names.data(), count, deadline); });
  } catch (...) {
    // No memory: they stay until they expire.
  }
}

TierStats RemoteTier::stats() const noexcept {
  const auto read = [](const std::atomic<std::uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  TierStats stats;
  stats.hits = read(counters_.hits);
  stats.misses = read(counters_.misses);
  stats.damaged = read(counters_.damaged);
  stats.late = read(counters_.late);
  stats.stored = read(counters_.stored);
  stats.refused = read(counters_.refused);
  stats.errors = read(counters_.errors);
  stats.fetched_bytes = read(counters_.fetched_bytes);
  stats.stored_bytes = read(counters_.stored_bytes);
  stats.available = available();
  return stats;
}

std::string RemoteTier::problem() const {
  if (!available()) return client().problem();
  if (time_->Now() >= write_again_ns_) return {};
  return "values are read, but not written: " + client().problem();
}

void RemoteTier::ReopenInForkedChild() noexcept {
  client().AbandonInForkedChild();
  try {
    auto fresh = std::make_shared<RemoteClient>(connector_, time_, seed_, background_);
    client_.store(fresh.get(), std::memory_order_release);
    // The parent's is never destroyed here: its locks are held for ever.
    abandoned_ = new std::shared_ptr<RemoteClient>(std::exchange(owner_, std::move(fresh)));
  } catch (...) {
    owner_->CloseInForkedChild();  // no memory for another one
  }
}

}  // namespace actcache
