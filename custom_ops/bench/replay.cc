// replay BUDGET < trace > hits: what the store makes of a trace.
//
// The trace is a sequence of three 64-bit words in the machine's byte order: a key's number, the
// bytes that its entry takes, bookkeeping included, and the nanoseconds that computing it takes.
// Each request looks its key up and, on a miss, offers an entry to the store. Prints one byte per
// request: 1 for a hit, 0 for a miss.
//
// Exit status: 0; 2 and a line on stderr for a bad argument or trace, or if memory ran out, which
// would pass for a decision of the policy.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench_store.h"
#include "store/simulation.h"
#include "store/store.h"

namespace actcache::bench {
namespace {

struct Request {
  std::uint64_t key;
  std::uint64_t bytes;
  std::uint64_t cost_ns;
};
static_assert(sizeof(Request) == 3 * sizeof(std::uint64_t), "as it lies in the trace");

constexpr std::size_t kAtOnce = 4096;

// What an entry takes beside its payload.
std::size_t Overhead() {
  Store store(std::size_t{1} << 20);
  const auto specs = Bytes(0);
  return store.Reserve(OfferOf(KeyNumber(0), specs, 0)).charge();
}

int Fail(const char* message) {
  std::fprintf(stderr, "replay: %s\n", message);
  return 2;
}

int Replay(std::size_t budget) {
  Simulation store(budget);
  const std::size_t overhead = Overhead();
  std::vector<Request> requests(kAtOnce);
  std::vector<char> hits(kAtOnce);
  while (const std::size_t count = std::fread(requests.data(), sizeof(Request), kAtOnce, stdin)) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto [key, bytes, cost_ns] = requests[i];
      const std::size_t payload = bytes > overhead ? bytes - overhead : 0;
      const Simulation::Outcome outcome = store.Touch({0, key, payload, cost_ns});
      if (outcome == Simulation::Outcome::kNoMemory) return Fail("out of memory");
      hits[i] = outcome == Simulation::Outcome::kHit ? 1 : 0;
    }
    if (std::fwrite(hits.data(), 1, count, stdout) != count) return Fail("cannot write");
  }
  return std::ferror(stdin) != 0 ? Fail("cannot read the trace") : 0;
}

}  // namespace
}  // namespace actcache::bench

int main(int argc, char** argv) {
  char* end = nullptr;
  const std::uint64_t budget = argc == 2 ? std::strtoull(argv[1], &end, 10) : 0;
  if (budget == 0 || *end != '\0') {
    return actcache::bench::Fail("usage: replay BUDGET-BYTES < trace > hits");
  }
  return actcache::bench::Replay(static_cast<std::size_t>(budget));
}
