// Who may use the server, and the background work that this takes.
#ifndef ACTCACHE_TIER_REMOTE_REMOTE_CLIENT_H_
#define ACTCACHE_TIER_REMOTE_REMOTE_CLIENT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "tier/remote/circuit_breaker.h"
#include "tier/remote/link.h"
#include "tier/remote/link_pool.h"
#include "tier/remote/time_source.h"

namespace actcache {

enum class Background : std::uint8_t { kThread, kCaller };

// Thread-safe; nothing throws. One of its own in every process: a child made by fork() makes a new
// one and abandons its parent's.
//
// All connecting, probing and removing is done by Step(). A thread calls it from the first use on,
// or, with kCaller, whoever made the client: a test.
class RemoteClient : public std::enable_shared_from_this<RemoteClient> {
 public:
  // The seed decides the waits between probes.
  RemoteClient(std::shared_ptr<Connector> connector, std::shared_ptr<TimeSource> time,
               std::uint64_t seed, Background background)
      : connector_(std::move(connector)),
        time_(std::move(time)),
        breaker_(seed),
        pool_(time_.get()),
        started_(background == Background::kCaller) {}

  // Starts the thread, if there is to be one and it does not run yet.
  void Start() noexcept;
  // Ends it, soon. Nothing is asked of the server afterwards.
  void Stop() noexcept;

  // Whether the server is asked at present. Before the first probe has ended: true, as it will be
  // waited for.
  bool available() const noexcept {
    return breaker_.closed() || !first_probe_over_.load(std::memory_order_acquire);
  }

  enum class Use : std::uint8_t { kDone, kRefused, kLate, kLost, kBusy, kUnavailable };

  // Has `use` do its work on a link of the lane, and judges the server by what it returns (a
  // LinkResult). Comes back by the deadline if `use` does. A rejection is left to the caller.
  template <typename Work>
  Use With(LinkPool::Lane lane, std::uint64_t deadline_ns, const Work& use) noexcept {
    if (!Ready(deadline_ns)) return Use::kUnavailable;
    LinkPool::Taken taken = pool_.Take(lane, deadline_ns);
    if (taken.link == nullptr) return Use::kBusy;
    return Judge(lane, std::move(taken), use);
  }

  // The server refuses what is needed: nobody asks it until a probe has succeeded.
  void Refused() noexcept { Fail(); }

  // Keys to remove from the server when there is time. Forgets some if there are too many.
  void RemoveLater(std::string key) noexcept ACTCACHE_EXCLUDES(mutex_);

  // Does what is to be done in the background now, and returns when to be called again at the
  // latest. Waits for the server for some seconds at most, but for the name of its host.
  std::uint64_t Step() noexcept ACTCACHE_EXCLUDES(mutex_);

  // What was last wrong with the server, for the user; "" if nothing ever was.
  std::string problem() const ACTCACHE_EXCLUDES(mutex_);

  void LockForFork() noexcept;
  void UnlockAfterFork() noexcept;
  // In the child; then one of these is all that may still be done: to let it lie, its own locks
  // held for ever, or to keep it as one that never asks a server again.
  void AbandonInForkedChild() noexcept;
  void CloseInForkedChild() noexcept;

 private:
  static constexpr std::uint64_t kConnectNs = 2'000'000'000;
  static constexpr std::uint64_t kRemoveNs = 1'000'000'000;
  static constexpr std::size_t kMostRemovals = 1024;

  // Whether the server may be asked; waits for the first probe.
  bool Ready(std::uint64_t deadline_ns) noexcept {
    return breaker_.closed() ||
           (!first_probe_over_.load(std::memory_order_acquire) && AwaitFirstProbe(deadline_ns));
  }
  bool AwaitFirstProbe(std::uint64_t deadline_ns) noexcept;

  template <typename Work>
  Use Judge(LinkPool::Lane lane, LinkPool::Taken taken, const Work& use) noexcept {
    const LinkResult result = use(taken.link.get());
    if (result == LinkResult::kRefused) SetProblem(taken.link->problem());
    if (Usable(result)) {
      pool_.GiveBack(lane, std::move(taken));
      if (result == LinkResult::kRefused) return Use::kRefused;
      breaker_.Succeeded();
      return Use::kDone;
    }
    if (pool_.Discard(lane, taken)) {
      SetProblem(taken.link->problem());
      Fail();
    }
    return result == LinkResult::kLate ? Use::kLate : Use::kLost;
  }

  // Calls Step() whenever there is something to do, until Stop().
  void Run() noexcept;
  void Fail() noexcept;
  void UnlockOwn() noexcept;
  // A new link for the lane, which is a probe at the same time.
  bool Open(LinkPool::Lane lane) noexcept ACTCACHE_EXCLUDES(mutex_);
  void Remove() noexcept ACTCACHE_EXCLUDES(mutex_);
  void SetProblem(const std::string& problem) noexcept ACTCACHE_EXCLUDES(mutex_);

  const std::shared_ptr<Connector> connector_;
  const std::shared_ptr<TimeSource> time_;
  CircuitBreaker breaker_;
  LinkPool pool_;
  std::atomic<bool> first_probe_over_{false};
  std::atomic<bool> started_;
  std::atomic<bool> stopping_{false};
  mutable Mutex mutex_;
  std::string problem_ ACTCACHE_GUARDED_BY(mutex_);
  std::vector<std::string> removals_ ACTCACHE_GUARDED_BY(mutex_);
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_REMOTE_CLIENT_H_
