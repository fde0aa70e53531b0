// remote_bench URL: what asking a server for values takes.
//
// Prints one line for each question, "NAME P50 P99", in nanoseconds: "hit BYTES" for values of that
// size, "hit COUNT x BYTES" for several at once, "miss", and "left alone", a call while the server
// is known to be gone (here: a port where nobody listens).
//
// Exit status: 0; 2 and a line on stderr for a bad argument, or if the server does not answer.
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "bench_program.h"
#include "bench_records.h"
#include "tier/remote/remote_tier.h"
#include "tier/remote/valkey_connector.h"

namespace actcache::bench {
namespace {

constexpr std::uint64_t kPatienceNs = 5'000'000'000;
constexpr int kRepetitions = 2000;

std::unique_ptr<RemoteTier> Tier(const RemoteUrl& url) {
  return std::make_unique<RemoteTier>(
      RemoteSettings{DigestKey{}, kPatienceNs * 100, std::size_t{64} << 20},
      std::make_shared<ValkeyConnector>(RemoteServer{url, "", {}}), std::make_shared<SteadyTime>(),
      1, Background::kThread);
}

template <typename Call>
void Time(const std::string& name, int repetitions, const Call& call) {
  std::vector<std::uint64_t> times;
  for (int i = 0; i < repetitions; ++i) {
    const std::uint64_t begin = SteadyNow();
    call();
    times.push_back(SteadyNow() - begin);
  }
  std::sort(times.begin(), times.end());
  std::printf("%s %" PRIu64 " %" PRIu64 "\n", name.c_str(), times[times.size() / 2],
              times[times.size() * 99 / 100]);
}

// Asks for the keys from `first` on; how many were found.
std::size_t Ask(RemoteTier& tier, std::uint64_t first, std::size_t count, std::size_t bytes) {
  std::vector<TierKey> keys;
  for (std::size_t i = 0; i < count; ++i) keys.push_back(KeyNumber(first + i));
  std::vector<Record> found(count);
  tier.GetOfSize(keys.data(), count, bytes, SteadyNow() + kPatienceNs, found.data());
  return static_cast<std::size_t>(
      std::count_if(found.begin(), found.end(), [](const Record& record) { return bool{record}; }));
}

void Main(const std::string& address) {
  RemoteUrl url;
  if (ParseRemoteUrl(address, &url) != nullptr)
    throw std::runtime_error("that is no address of a server");
  const auto tier = Tier(url);
  std::uint64_t next = 1;
  const auto time_hits = [&](std::size_t count, std::size_t bytes, const std::string& name) {
    const std::uint64_t first = next;
    std::vector<Record> records;
    for (std::size_t i = 0; i < count; ++i)
      records.push_back(RecordNumber(next++, bytes, DigestKey{}));
    tier->Put(records.data(), count);
    if (Ask(*tier, first, count, bytes) != count) return false;
    Time(name, kRepetitions, [&] { Ask(*tier, first, count, bytes); });
    return true;
  };
  for (const std::size_t bytes :
       {std::size_t{1} << 10, std::size_t{64} << 10, std::size_t{1} << 20}) {
    if (!time_hits(1, bytes, "hit " + std::to_string(bytes)))
      throw std::runtime_error("the server gives no answer");
  }
  if (!time_hits(32, 4096, "hit 32 x 4096")) throw std::runtime_error("the server gives no answer");
  Time("miss", kRepetitions, [&] { Ask(*tier, 1'000'000'000, 1, 0); });

  RemoteUrl nobody;
  nobody.host = "127.0.0.1";
  nobody.port = 1;
  const auto gone = Tier(nobody);
  Ask(*gone, 1, 1, 0);
  const TierKey key = KeyNumber(1);
  Record found;
  Time("left alone", kRepetitions * 100,
       [&] { gone->Get(&key, 1, SteadyNow() + kPatienceNs, &found); });
}

}  // namespace
}  // namespace actcache::bench

int main(int count, char** arguments) {
  return actcache::bench::RunProgram("remote_bench", [&] {
    if (count != 2) throw std::invalid_argument("usage: remote_bench URL");
    actcache::bench::Main(arguments[1]);
  });
}
