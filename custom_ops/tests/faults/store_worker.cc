// A process that uses a disk store while somebody makes its files fail, or kills it.
//
//   store_worker script FOLDER          a fixed sequence of calls, for faults at each operation
//   store_worker endless FOLDER SEED    random calls until it is killed; tells counts on the way
//   store_worker busy FOLDER SEED N     N random calls, then a line of counts
//   store_worker values FOLDER          reads every value while others work, prints how many it got
//   store_worker works FOLDER           likewise, while nobody does; new values are kept, too
//   store_worker beside FOLDER          opens the store and says so; for each line on stdin prints
//                                       how many milliseconds the longest of some reads took; then
//                                       "works"
//
// Exit status: 0; kRefused if the store could not be opened, with the reason on stderr; kWrong if a
// value had a byte that does not follow from its key; kUseless if the store no longer keeps values.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tier/disk/disk_tier.h"
#include "tier/disk/limits.h"
#include "tier_testing.h"

namespace actcache {
namespace {

enum Status : int { kFine = 0, kRefused = 10, kWrong = 11, kUseless = 12 };

constexpr std::uint64_t kKeys = 400;
constexpr std::size_t kLarge = 3 * kOwnFileBytes;

// The size follows from the number, too.
std::size_t SizeOf(std::uint64_t number) {
  const std::uint64_t random = MixForTest(~number);
  return number % 4 == 3 ? kLarge + random % kLarge : 200 + random % 20'000;
}

// Of a read beside a process that is stopped, as a call's.
constexpr std::uint64_t kDeadlineNs = 50'000'000;

struct Counts {
  std::uint64_t hits = 0;
  std::uint64_t puts = 0;
};

constexpr std::uint64_t kUsualCostNs = 1'000'000;
// What costs so much pushes all others out.
constexpr std::uint64_t kDearCostNs = 1'000'000'000'000;

void PutOne(DiskTier* tier, std::uint64_t number, Counts* counts,
            std::uint64_t cost_ns = kUsualCostNs) {
  Record record = TestRecord(number, SizeOf(number), tier->secret(), 0, cost_ns);
  if (number % 4 == 1) record.Follow(TestKey(number - 1));
  tier->Put(&record, 1);
  ++counts->puts;
}

// Whether it is there. Ends the process if it is not what was put there.
bool Find(DiskTier* tier, std::uint64_t number, Counts* counts,
          std::uint64_t deadline_ns = ~std::uint64_t{0}) {
  const TierKey key = TestKey(number);
  Record found;
  tier->Get(&key, 1, deadline_ns, &found);
  if (!found) return false;
  if (!IsTestValue(found, number) || found.spec(0).bytes != SizeOf(number)) {
    std::fprintf(stderr, "value %llu is wrong\n", static_cast<unsigned long long>(number));
    std::_Exit(kWrong);
  }
  ++counts->hits;
  return true;
}

// One that nobody else puts there is kept and found: a small one, and one with a file.
bool Works(DiskTier* tier, std::uint64_t first) {
  Counts counts;
  for (std::uint64_t number = first; number < first + 4; ++number) {
    PutOne(tier, number, &counts, kDearCostNs);
    if (!Find(tier, number, &counts)) return false;
  }
  const TierKey keys[] = {TestKey(first), TestKey(first + 1), TestKey(first + 2),
                          TestKey(first + 3)};
  tier->Remove(keys, 4);
  return tier->stats().available;
}

int Script(DiskTier* tier) {
  Counts counts;
  for (std::uint64_t number = 0; number < 8; ++number) PutOne(tier, number, &counts);
  for (std::uint64_t number = 0; number < 12; ++number) Find(tier, number, &counts);
  tier->Maintain();
  const TierKey removed[] = {TestKey(0), TestKey(3)};
  tier->Remove(removed, 2);
  for (std::uint64_t number = 0; number < 8; ++number) Find(tier, number, &counts);
  tier->Maintain();
  PutOne(tier, 3, &counts);
  PutOne(tier, 11, &counts);
  for (std::uint64_t number = 0; number < 12; ++number) Find(tier, number, &counts);
  const char* const lasts = std::getenv("FAULT_LASTS");
  if (lasts != nullptr && *lasts == '1') return kFine;
  // One fault that is over must not turn the store off. It may be one of the first of these calls.
  tier->Maintain();
  bool works = Works(tier, 1000);
  if (!works) works = Works(tier, 1000);
  return works ? kFine : kUseless;
}

void Print(const Counts& counts) {
  std::printf("%llu %llu\n", static_cast<unsigned long long>(counts.puts),
              static_cast<unsigned long long>(counts.hits));
  std::fflush(stdout);
}

// Three of eight put a value, four ask for one, one removes one. One of `maintain_in` is Maintain()
// instead; services call that once a second.
void RandomCall(DiskTier* tier, std::mt19937_64* random, std::uint64_t maintain_in,
                Counts* counts) {
  const std::uint64_t number = (*random)() % kKeys;
  if ((*random)() % maintain_in == 0) {
    tier->Maintain();
    return;
  }
  switch ((*random)() % 8) {
    case 0: {
      const TierKey key = TestKey(number);
      tier->Remove(&key, 1);
      break;
    }
    case 1:
    case 2:
    case 3:
      PutOne(tier, number, counts);
      break;
    default:
      Find(tier, number, counts);
  }
}

[[noreturn]] void Endless(DiskTier* tier, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Counts counts;
  for (std::uint64_t call = 1;; ++call) {
    RandomCall(tier, &random, /*maintain_in=*/8, &counts);
    if (call % 4 == 0) Print(counts);
  }
}

int Busy(DiskTier* tier, std::uint64_t seed, std::uint64_t calls) {
  std::mt19937_64 random(seed);
  Counts counts;
  for (std::uint64_t call = 0; call < calls; ++call) {
    RandomCall(tier, &random, /*maintain_in=*/1000, &counts);
  }
  Print(counts);
  return kFine;
}

// Answers each line with what the longest of some reads took.
void Watch(DiskTier* tier) {
  std::puts("open");
  std::fflush(stdout);
  char line[16];
  while (std::fgets(line, sizeof(line), stdin) != nullptr) {
    std::uint64_t longest_ns = 0;
    Counts counts;
    for (std::uint64_t number = 0; number < 12; ++number) {
      const std::uint64_t begin = SteadyNow();
      Find(tier, number, &counts, begin + kDeadlineNs);
      longest_ns = std::max(longest_ns, SteadyNow() - begin);
    }
    std::printf("%llu\n", static_cast<unsigned long long>(longest_ns / 1'000'000));
    std::fflush(stdout);
  }
}

// Reads every value. `quiet`: nobody else uses the store, so that it has to keep new ones.
int Values(DiskTier* tier, bool quiet) {
  Counts counts;
  for (std::uint64_t number = 0; number < kKeys; ++number) Find(tier, number, &counts);
  std::printf("%llu\n", static_cast<unsigned long long>(counts.hits));
  if (!quiet) return kFine;
  tier->Maintain();
  return Works(tier, 2000) ? kFine : kUseless;
}

int Run(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(
        stderr,
        "usage: store_worker script|endless|busy|values|works|beside FOLDER [SEED [CALLS]]\n");
    return 2;
  }
  const std::string what = arguments[1];
  try {
    DiskTier tier(arguments[2], kMinDiskBudget);
    const auto argument = [&](int i) {
      return i < count ? std::strtoull(arguments[i], nullptr, 10) : 0;
    };
    if (what == "endless") Endless(&tier, argument(3));
    if (what == "busy") return Busy(&tier, argument(3), argument(4));
    if (what == "script") return Script(&tier);
    if (what == "beside") Watch(&tier);
    return Values(&tier, /*quiet=*/what != "values");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return kRefused;
  }
}

}  // namespace
}  // namespace actcache

int main(int count, char** arguments) { return actcache::Run(count, arguments); }
