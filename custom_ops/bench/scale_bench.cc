// How the store in memory grows: with its entries, with the threads that ask it, with the values.
//
//   scale_bench entries COUNT    a store of COUNT entries of 64 bytes
//   scale_bench threads COUNT    COUNT threads ask one store at the same time
//   scale_bench value BYTES      values of BYTES, stored and copied out
//
// Prints a line for each figure, "NAME NUMBER". Of entries: "insert", "hit", "miss" and "evict" in
// picoseconds for each, "charged" and "resident" in bytes for each entry. Of threads: "own" and
// "shared", lookups a second of all of them together. Of a value: "store", "fetch" and "memcpy",
// the median time of one in nanoseconds.
//
// Exit status: 0; 2 and a line on stderr for a bad argument, or if the store does not keep what it
// should.
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bench_program.h"
#include "bench_store.h"
#include "store/store.h"
#include "units/parallel.h"
#include "units/window.h"

namespace actcache::bench {
namespace {

constexpr std::size_t kUnlimited = std::size_t{1} << 40;

void Print(const char* name, std::uint64_t number) {
  std::printf("%s %" PRIu64 "\n", name, number);
  std::fflush(stdout);
}

std::size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

void Put(Store* store, std::uint64_t number, const std::vector<TensorSpec>& specs,
         const std::byte* value) {
  Draft draft = store->Reserve(OfferOf(KeyNumber(number), specs, /*cost_ns=*/1000));
  if (!draft) throw std::runtime_error("an entry was refused");
  std::memcpy(draft.data(0), value, specs[0].bytes);
  if (!store->Publish(std::move(draft))) throw std::runtime_error("an entry was not kept");
}

// The mean time of one of `count` steps.
std::uint64_t Picoseconds(std::uint64_t count, const std::function<void(std::uint64_t)>& step) {
  const std::uint64_t begin = SteadyNow();
  for (std::uint64_t i = 0; i < count; ++i) step(i);
  return (SteadyNow() - begin) * 1000 / count;
}

void Entries(std::uint64_t count) {
  constexpr std::uint64_t kAsked = 1'000'000;
  const auto specs = Bytes(64);
  const std::vector<std::byte> value(64);
  Store store(kUnlimited);
  const std::size_t before = ResidentBytes();
  Print("insert",
        Picoseconds(count, [&](std::uint64_t i) { Put(&store, i, specs, value.data()); }));
  Print("resident", (ResidentBytes() - before) / count);
  Print("charged", store.stats().bytes / count);
  const auto ask = [&](std::uint64_t first, bool there) {
    return Picoseconds(kAsked, [&, first, there](std::uint64_t i) {
      const bool found = static_cast<bool>(Find(&store, KeyNumber(first + Mix(i) % count)));
      if (found != there) throw std::runtime_error("a lookup had the wrong outcome");
    });
  };
  Print("hit", ask(0, true));
  Print("miss", ask(count, false));
  store.SetBudget(store.stats().bytes);
  const std::uint64_t evicted = std::min<std::uint64_t>(count, 100'000);
  Print("evict", Picoseconds(evicted, [&](std::uint64_t i) {
          const Key key = KeyNumber(count + i);
          Find(&store, key);
          Draft draft = store.Reserve(OfferOf(key, specs, /*cost_ns=*/1000));
          if (draft) store.Publish(std::move(draft));
        }));
}

// Lookups a second of all threads, each of which asks for entries first(thread) and after.
std::uint64_t Rate(Store* store, std::size_t threads, std::uint64_t each,
                   const std::function<std::uint64_t(std::size_t)>& first) {
  constexpr std::uint64_t kAsked = 2'000'000;
  std::vector<std::thread> running;
  const std::uint64_t begin = SteadyNow();
  for (std::size_t thread = 0; thread < threads; ++thread) {
    running.emplace_back([=, start = first(thread)] {
      for (std::uint64_t i = 0; i < kAsked; ++i) Find(store, KeyNumber(start + Mix(i) % each));
    });
  }
  for (std::thread& thread : running) thread.join();
  return kAsked * threads * 1'000'000'000 / (SteadyNow() - begin);
}

void Threads(std::size_t threads) {
  constexpr std::uint64_t kEach = 8192;
  const auto specs = Bytes(256);
  const std::vector<std::byte> value(256);
  Store store(kUnlimited);
  for (std::uint64_t i = 0; i < kEach * threads; ++i) Put(&store, i, specs, value.data());
  Print("own", Rate(&store, threads, kEach, [](std::size_t thread) { return thread * kEach; }));
  Print("shared", Rate(&store, threads, kEach, [](std::size_t) { return 0; }));
}

std::uint64_t Median(std::vector<std::uint64_t> times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

// In turn, so that what else the machine does hits all three. The values together fit into no
// processor's cache, as the entries of a large store do not.
void Value(std::size_t bytes) {
  const std::size_t count = std::clamp<std::size_t>((std::size_t{256} << 20) / bytes, 16, 4096);
  const auto specs = Bytes(bytes);
  const std::vector<std::byte> value(bytes, std::byte{1});
  const auto output = std::make_unique<std::byte[]>(bytes);
  std::memset(output.get(), 1, bytes);
  const auto plain = std::make_unique<std::byte[]>(bytes * count);
  std::memset(plain.get(), 1, bytes * count);
  const Window window = Window::Whole(bytes);
  Store store(kUnlimited);
  std::vector<std::uint64_t> times[3];
  const auto time = [&](std::vector<std::uint64_t>* into, const auto& work) {
    const std::uint64_t begin = SteadyNow();
    work();
    into->push_back(SteadyNow() - begin);
  };
  for (std::uint64_t i = 0; i < count; ++i) {
    time(&times[0], [&] { Put(&store, i, specs, value.data()); });
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    time(&times[1], [&] {
      const EntryRef entry = Find(&store, KeyNumber(i));
      if (!entry) throw std::runtime_error("an entry is gone");
      const auto* data = static_cast<const std::byte*>(entry->data(0));
      CopyUnits(
          Parallel(), 1, bytes, [&](std::size_t) { return ConstUnit{data, window, 0}; },
          [&](std::size_t) { return MutableUnit{output.get(), window, 0}; });
    });
    time(&times[2], [&] { std::memcpy(output.get(), plain.get() + i * bytes, bytes); });
  }
  Print("store", Median(times[0]));
  Print("fetch", Median(times[1]));
  Print("memcpy", Median(times[2]));
}

void Main(const std::vector<std::string>& arguments) {
  const std::string what = arguments.empty() ? "" : arguments[0];
  const std::uint64_t number =
      arguments.size() == 2 ? std::strtoull(arguments[1].c_str(), nullptr, 10) : 0;
  if (what == "entries" && number > 0) {
    Entries(number);
  } else if (what == "threads" && number > 0) {
    Threads(number);
  } else if (what == "value" && number > 0) {
    Value(number);
  } else {
    throw std::invalid_argument("usage: scale_bench entries COUNT | threads COUNT | value BYTES");
  }
}

}  // namespace
}  // namespace actcache::bench

int main(int count, char** arguments) {
  return actcache::bench::RunProgram(
      "scale_bench", [&] { actcache::bench::Main({arguments + 1, arguments + count}); });
}
