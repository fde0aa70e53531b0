// Rows copied out of entries into a batched tensor, as a lookup that hits does it, against memcpy
// of the same bytes from the same places to the same places. And entries that are filled, in memory
// that is new to the process, or was used before; with the page faults of each round.
//
// Arguments: bytes per row; the row axis's chunks per row (1 for axis 0).
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "bench_store.h"
#include "store/store.h"
#include "units/window.h"

namespace actcache::bench {
namespace {

// In all, small enough for the second-level cache where rows are small, as a warm batch is; a row
// of 1 MB and more comes from memory.
constexpr std::size_t kBatchBytes = std::size_t{1} << 20;

// A batch of entries, and the tensor that they are gathered into.
class Batch {
 public:
  Batch(std::size_t row_bytes, std::size_t chunks)
      : rows_(row_bytes >= kBatchBytes ? 2 : kBatchBytes / row_bytes),
        store_(std::size_t{1} << 30),
        output_(new std::byte[rows_ * row_bytes]),
        window_{rows_, chunks, row_bytes / chunks, rows_ * (row_bytes / chunks),
                row_bytes / chunks} {
    const auto specs = Bytes(row_bytes);
    for (std::size_t n = 0; n < rows_; ++n) {
      const Key key = KeyNumber(n);
      Draft draft = store_.Reserve(OfferOf(key, specs, /*cost_ns=*/1000));
      std::memset(draft.data(0), static_cast<int>(n), row_bytes);
      store_.Publish(std::move(draft));
      hits_.push_back(Find(&store_, key));
    }
    std::memset(output_.get(), 1, rows_ * row_bytes);
  }

  std::size_t rows() const { return rows_; }
  const Window& window() const { return window_; }
  const std::byte* entry(std::size_t row) const {
    return static_cast<const std::byte*>(hits_[row]->data(0));
  }
  std::byte* output() const { return output_.get(); }

 private:
  const std::size_t rows_;
  Store store_;
  std::vector<EntryRef> hits_;  // after store_: gone before it
  const std::unique_ptr<std::byte[]> output_;
  const Window window_;
};

void CountBytes(benchmark::State& state, const Batch& batch) {
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(batch.rows() * batch.window().unit_bytes()));
}

void CopyHits(benchmark::State& state) {
  const Batch batch(static_cast<std::size_t>(state.range(0)),
                    static_cast<std::size_t>(state.range(1)));
  const Window& window = batch.window();
  for (auto _ : state) {
    CopyUnits(
        Parallel(), batch.rows(), window.unit_bytes(),
        [&](std::size_t row) { return ConstUnit{batch.entry(row), window.Dense(), 0}; },
        [&](std::size_t row) { return MutableUnit{batch.output(), window, row}; });
    benchmark::ClobberMemory();
  }
  CountBytes(state, batch);
}

void Memcpy(benchmark::State& state) {
  const Batch batch(static_cast<std::size_t>(state.range(0)),
                    static_cast<std::size_t>(state.range(1)));
  const Window& window = batch.window();
  std::vector<const std::byte*> entries;
  for (std::size_t row = 0; row < batch.rows(); ++row) entries.push_back(batch.entry(row));
  for (auto _ : state) {
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      for (std::size_t chunk = 0; chunk < window.chunks; ++chunk) {
        std::memcpy(batch.output() + window.offset(row, chunk), entries[row] + chunk * window.chunk,
                    window.chunk);
      }
    }
    benchmark::ClobberMemory();
  }
  CountBytes(state, batch);
}

long PageFaults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

void FillEntries(benchmark::State& state, bool new_memory) {
  constexpr std::size_t kFilled = std::size_t{60} << 20;
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const auto specs = Bytes(bytes);
  const std::vector<std::byte> source(bytes);
  Store store(std::size_t{1} << 30);
  std::vector<Draft> drafts;
  long faults = 0;
  for (auto _ : state) {
    const long before = PageFaults();
    for (std::size_t n = 0; n < kFilled / bytes; ++n) {
      drafts.push_back(store.Reserve(OfferOf(KeyNumber(n), specs, /*cost_ns=*/1000)));
      std::memcpy(drafts.back().data(0), source.data(), bytes);
    }
    state.PauseTiming();
    faults += PageFaults() - before;
    drafts.clear();
    if (new_memory) ReturnFreeMemory();
    state.ResumeTiming();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kFilled));
  state.counters["faults"] =
      benchmark::Counter(static_cast<double>(faults), benchmark::Counter::kAvgIterations);
}
void FillNewMemory(benchmark::State& state) { FillEntries(state, true); }
void FillUsedMemory(benchmark::State& state) { FillEntries(state, false); }

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"bytes", "chunks"});
  for (const std::int64_t bytes :
       {1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20}) {
    benchmark->Args({bytes, 1});
  }
  // Row axis 1 of a tensor with 8 blocks.
  for (const std::int64_t bytes : {4 << 10, 64 << 10, 1 << 20}) benchmark->Args({bytes, 8});
}

BENCHMARK(CopyHits)->Apply(Sizes);
BENCHMARK(Memcpy)->Apply(Sizes);
BENCHMARK(FillNewMemory)->Arg(4 << 10)->Arg(64 << 10)->Arg(240 << 10)->Arg(1 << 20);
BENCHMARK(FillUsedMemory)->Arg(4 << 10)->Arg(64 << 10)->Arg(240 << 10)->Arg(1 << 20);

}  // namespace
}  // namespace actcache::bench
