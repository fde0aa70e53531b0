// A real server, a broken one, and a tier to ask them with.
#ifndef ACTCACHE_TESTS_TIER_REMOTE_TESTING_H_
#define ACTCACHE_TESTS_TIER_REMOTE_TESTING_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "tier/remote/remote_tier.h"
#include "tier/remote/valkey_connector.h"

namespace actcache {

inline constexpr std::uint64_t kSecondNs = 1'000'000'000;

// valkey-server or redis-server, with a folder, a socket and a port of its own. Ends with the
// object.
class ServerProcess {
 public:
  // Whether one is installed; the reason to skip a test where none is.
  static bool Installed();
  static constexpr char kNotInstalled[] =
      "neither valkey-server nor redis-server is installed: apt-get install redis-server";

  static std::uint16_t FreePort();

  // `options` as on the command line. Comes back when the server answers, but for one that wants
  // TLS.
  explicit ServerProcess(std::vector<std::string> options = {});
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  std::uint16_t port() const { return port_; }
  const std::string& folder() const { return folder_; }
  std::string socket() const { return folder_ + "/socket"; }

  void Start();
  void Stop();
  void Signal(int signal) const;
  // The answer to a command as text; a number for a number, "" for none.
  std::string Command(const std::vector<std::string>& words) const;

 private:
  std::vector<std::string> options_;
  std::string folder_;
  std::uint16_t port_;
  pid_t process_ = -1;
};

// Listens, and does with each command what it is told to: a server that is broken in a way that a
// real one cannot be made to be.
class BrokenServer {
 public:
  // Answers `words` on the connection; false ends the connection.
  using Answer = std::function<bool(int connection, const std::vector<std::string>& words)>;

  // Greets (HELLO) as a sound server unless `greets` is false; `answer` is for all else.
  explicit BrokenServer(Answer answer, bool greets = true);
  ~BrokenServer();
  BrokenServer(const BrokenServer&) = delete;
  BrokenServer& operator=(const BrokenServer&) = delete;

  std::uint16_t port() const { return port_; }
  int commands() const { return commands_; }

  static void Send(int connection, const std::string& bytes);

 private:
  void Serve();
  void Talk(int connection);

  const Answer answer_;
  const bool greets_;
  int listening_;
  std::uint16_t port_;
  std::atomic<bool> ending_{false};
  std::atomic<int> commands_{0};
  std::thread thread_;
};

// Accepts connections, as the system does by itself, and never says anything.
class BlackHole {
 public:
  BlackHole();
  ~BlackHole();
  BlackHole(const BlackHole&) = delete;
  BlackHole& operator=(const BlackHole&) = delete;
  std::uint16_t port() const { return port_; }

 private:
  int listening_;
  std::uint16_t port_;
};

inline DigestKey TestSecret() {
  DigestKey secret{};
  secret[0] = 7;
  return secret;
}

inline RemoteSettings TestSettings() {
  return {TestSecret(), 60 * kSecondNs, std::size_t{64} << 20};
}

// The server of an address; a test that gives none that is one fails.
RemoteServer At(const std::string& url);
inline RemoteServer AtPort(std::uint16_t port) {
  return At("redis://127.0.0.1:" + std::to_string(port));
}

std::shared_ptr<RemoteTier> MakeTier(RemoteServer server,
                                     const RemoteSettings& settings = TestSettings());

// The key with this number, and a sealed record whose payload is a function of the number: `bytes`
// of it.
TierKey KeyOf(std::uint64_t number);
Record RecordOf(std::uint64_t number, std::size_t bytes, const DigestKey& secret = TestSecret());
// Whether the record is the one that RecordOf() makes.
bool IsRecordOf(const Record& record, std::uint64_t number, std::size_t bytes);

// One Get() of one key.
Record GetOne(RemoteTier& tier, std::uint64_t number, std::uint64_t wait_ns = 10 * kSecondNs);
// Puts, and waits until it is there: the first Put() may find no connection yet.
void PutOne(RemoteTier& tier, std::uint64_t number, std::size_t bytes);

// Puts a value, and has this process and a child read it at the same time, many times.
void ExpectParentAndChildRead(RemoteTier& tier);

// Waits for a state; a test that waits in vain for half a minute fails.
void Await(const std::function<bool()>& state);

}  // namespace actcache

#endif  // ACTCACHE_TESTS_TIER_REMOTE_TESTING_H_
