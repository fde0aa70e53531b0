// Lookups, misses, and insertions that evict, without any payload being touched.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "bench_store.h"
#include "store/store.h"

namespace actcache::bench {
namespace {

constexpr std::uint64_t kEntries = 4096;
constexpr std::size_t kBytes = 256;

std::vector<Key> Keys(std::uint64_t first, std::uint64_t count) {
  std::vector<Key> keys;
  for (std::uint64_t n = first; n < first + count; ++n) keys.push_back(KeyNumber(n));
  return keys;
}

bool Put(Store* store, const Key& key, const std::vector<TensorSpec>& specs) {
  Draft draft = store->Reserve(OfferOf(key, specs, /*cost_ns=*/1000));
  return draft && store->Publish(std::move(draft));
}

// Shared by all threads and by all repetitions.
Store& Filled() {
  static Store* const store = [] {
    auto* made = new Store(std::size_t{1} << 30);
    const auto specs = Bytes(kBytes);
    for (const Key& key : Keys(0, kEntries)) Put(made, key, specs);
    return made;
  }();
  return *store;
}

// Each thread asks in an order of its own, as calls of different inputs would.
std::vector<Key> Shuffled(std::vector<Key> keys, int thread) {
  for (std::size_t i = keys.size() - 1; i > 0; --i) {
    std::swap(keys[i], keys[Mix(i * 31 + static_cast<std::uint64_t>(thread)) % (i + 1)]);
  }
  return keys;
}

void FindEach(benchmark::State& state, std::uint64_t first, std::uint64_t count) {
  Store& store = Filled();
  const std::vector<Key> keys = Shuffled(Keys(first, count), state.thread_index());
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(Find(&store, keys[i++ % count]));
  }
  state.SetItemsProcessed(state.iterations());
}

// Each thread asks for entries of its own, half of all, ...
void Hit(benchmark::State& state) {
  const std::uint64_t half = kEntries / 2;
  FindEach(state, state.thread_index() % 2 == 0 ? 0 : half, half);
}
// ... or all threads for the same, whose counts then wander from processor to processor.
void HitShared(benchmark::State& state) { FindEach(state, 0, kEntries); }
void Miss(benchmark::State& state) { FindEach(state, kEntries, kEntries); }

// A full store; every insertion pushes one entry out.
void InsertEvict(benchmark::State& state) {
  const auto specs = Bytes(kBytes);
  Store probe(std::size_t{1} << 20);
  const std::size_t charge = probe.Reserve(OfferOf(KeyNumber(0), specs, 0)).charge();
  Store store(kEntries * charge);
  std::uint64_t next = 0;
  for (; next < kEntries; ++next) Put(&store, KeyNumber(next), specs);
  for (auto _ : state) {
    const Key key = KeyNumber(next++);
    benchmark::DoNotOptimize(Find(&store, key));
    if (!Put(&store, key, specs)) state.SkipWithError("not admitted");
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(Hit)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(HitShared)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(Miss)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(InsertEvict);

}  // namespace
}  // namespace actcache::bench
