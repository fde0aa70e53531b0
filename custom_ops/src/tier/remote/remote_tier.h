// The tier on a server that machines share: Valkey, Redis, or what speaks their protocol.
#ifndef ACTCACHE_TIER_REMOTE_REMOTE_TIER_H_
#define ACTCACHE_TIER_REMOTE_REMOTE_TIER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tier/remote/backoff.h"
#include "tier/remote/remote_client.h"
#include "tier/tier.h"

namespace actcache {

struct RemoteSettings {
  DigestKey secret{};  // the same on all machines that share the server
  std::uint64_t ttl_ns = 0;
  std::size_t max_value_bytes = 0;  // of a record; a larger one is not sent, nor read
};

// One key of the server per value, "actcache:", the record's format, ":" and 64 hexadecimal digits,
// that expires by itself. How long a Get() waits is its caller's decision; beyond that:
//   - Nobody waits for a connection that is being made, but for the first one.
//   - When the server has not answered in time, nobody asks it until a probe has (remote_client.h).
//   - A server that takes no values (it is full, or a replica) is still read from; writing is tried
//     again after waits that double.
class RemoteTier final : public Tier {
 public:
  // The seed decides the waits between probes.
  RemoteTier(const RemoteSettings& settings, std::shared_ptr<Connector> connector,
             std::shared_ptr<TimeSource> time, std::uint64_t seed, Background background);
  // Asks the server no more. REQUIRES: nobody uses the tier.
  ~RemoteTier() override { client().Stop(); }

  // Begins to connect. Else that begins with the first Get() or Put().
  void Start() noexcept { client().Start(); }

  const char* name() const noexcept override { return "remote"; }
  const DigestKey& secret() const noexcept override { return settings_.secret; }
  bool available() const noexcept override { return client().available(); }
  bool writable() const noexcept override {
    return available() && time_->Now() >= write_again_ns_.load(std::memory_order_relaxed);
  }

  void Get(const TierKey* keys, std::size_t count, std::uint64_t deadline_ns,
           Record* found) noexcept override {
    GetOfSize(keys, count, 0, deadline_ns, found);
  }
  void GetOfSize(const TierKey* keys, std::size_t count, std::size_t expected_bytes,
                 std::uint64_t deadline_ns, Record* found) noexcept override;
  void Put(const Record* records, std::size_t count) noexcept override;
  void Remove(const TierKey* keys, std::size_t count) noexcept override;
  TierStats stats() const noexcept override;

  std::string problem() const override;

  void LockForFork() noexcept override { client().LockForFork(); }
  void UnlockAfterFork() noexcept override { client().UnlockAfterFork(); }
  void ReopenInForkedChild() noexcept override;

  // For tests, which do its background work.
  RemoteClient& client() const noexcept { return *client_.load(std::memory_order_acquire); }

 private:
  struct Counters {
    std::atomic<std::uint64_t> hits{0}, misses{0}, damaged{0}, late{0}, stored{0}, refused{0},
        errors{0}, fetched_bytes{0}, stored_bytes{0};
  };

  void Accept(const TierKey& key, std::string name, Buffer value, Record* found) noexcept;
  void PutSome(const Record* records, std::size_t count, std::uint64_t now_ns);
  LinkResult LeaveOut(Link* link, const std::vector<std::string>& names, std::uint64_t deadline_ns,
                      std::vector<LinkItem>* items);

  const RemoteSettings settings_;
  const std::shared_ptr<Connector> connector_;
  const std::shared_ptr<TimeSource> time_;
  const std::uint64_t seed_;
  const Background background_;
  std::shared_ptr<RemoteClient> owner_;                 // of the client that this process uses
  std::shared_ptr<RemoteClient>* abandoned_ = nullptr;  // the parent's, in a child
  std::atomic<RemoteClient*> client_;
  Counters counters_;
  Backoff write_backoff_;                         // of the one thread that writes
  std::atomic<std::uint64_t> write_again_ns_{0};  // which alone sets it
  bool asks_first_ = true;                        // likewise
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_REMOTE_TIER_H_
