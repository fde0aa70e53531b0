// The calls of a region as an audit log has them, so that a replay decides as they did.
#ifndef ACTCACHE_REGION_LOGGED_CALLS_H_
#define ACTCACHE_REGION_LOGGED_CALLS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace actcache {

// A unit whose entry a tier had, and what decides what becomes of the entry.
struct FetchedUnit {
  std::size_t unit = 0;
  std::size_t tier = 0;       // its number
  std::uint64_t cost_ns = 0;  // what computing it took
  std::uint64_t age_ns = 0;
  std::uint64_t ttl_ns = 0;  // until it expires; 0: never
  bool trusted = true;       // false: made by a session that nobody has compared with this one yet
};

// All that a call's decisions depend on, other than its inputs, the settings and what is stored.
struct LoggedCall {
  std::uint64_t lookup_ns = 0;  // when the store was asked for its rows
  std::uint64_t store_ns = 0;   // and for room; both as SteadyNow()
  std::uint64_t cost_ns = 0;    // of a row that is stored
  std::uint64_t fetch_ns = 0;
  bool passed = false;  // nothing was looked up
  std::vector<FetchedUnit> fetched;
  std::string stored;  // a StoreOutcome for each computed row; "": there was no store
};

// Thread-safe. REQUIRES: calls that are recorded are made one after the other.
class LoggedCalls {
 public:
  void Append(const LoggedCall& call) {
    const MutexLock lock(&mutex_);
    calls_.push_back(call);
    used_.store(true, std::memory_order_release);
  }

  // Adds to the last call. False if there is none that is still to come.
  bool AppendFetched(const FetchedUnit& unit) {
    const MutexLock lock(&mutex_);
    if (next_ == calls_.size()) return false;
    calls_.back().fetched.push_back(unit);
    return true;
  }

  // The lookup: the next call is the current one. Nothing if there is none: the call is a live one.
  std::optional<LoggedCall> Next() {
    if (!used_.load(std::memory_order_acquire)) return std::nullopt;
    const MutexLock lock(&mutex_);
    current_.reset();
    if (next_ < calls_.size()) current_ = calls_[next_++];
    return current_;
  }

  // The store operator of the same call.
  std::optional<LoggedCall> Current() const {
    if (!used_.load(std::memory_order_acquire)) return std::nullopt;
    const MutexLock lock(&mutex_);
    return current_;
  }

 private:
  std::atomic<bool> used_{false};  // so that live calls take no lock
  mutable Mutex mutex_;
  std::vector<LoggedCall> calls_ ACTCACHE_GUARDED_BY(mutex_);  // a deque would allocate at once
  std::size_t next_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::optional<LoggedCall> current_ ACTCACHE_GUARDED_BY(mutex_);
};

class Registry;

// Appends `call`, whose times are the log's, to a region. False if there is no such region.
bool AppendLogged(Registry& registry, const std::string& id, const std::string& fingerprint,
                  LoggedCall call);

}  // namespace actcache

#endif  // ACTCACHE_REGION_LOGGED_CALLS_H_
