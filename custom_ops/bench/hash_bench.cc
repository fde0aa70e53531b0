// The keys of a batch of rows, on one thread. Argument: bytes per row.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "units/exact_keying.h"

namespace actcache::bench {
namespace {

constexpr std::size_t kRows = 16;

void HashRows(benchmark::State& state, HashKind kind) {
  const auto row_bytes = static_cast<std::size_t>(state.range(0));
  const std::vector<std::byte> data(kRows * row_bytes, std::byte{7});
  TensorView batch;
  batch.type = ElementType::kUint8;
  batch.dims = {static_cast<std::int64_t>(kRows), state.range(0)};
  batch.elements = data.size();
  batch.data = data.data();
  batch.bytes = data.size();
  const std::vector<TensorView> inputs{batch};
  const Axes axes{0};
  const RowCut cut(axes, axes);
  const ExactKeying keying(kind, {"fingerprint of a region", "namespace"}, cut,
                           {ElementType::kFloat});
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        keying.KeysOf(cut.UnitsOf(inputs), std::nullopt, inputs, Parallel(), nullptr));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRows));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(data.size()));
}

BENCHMARK_CAPTURE(HashRows, blake3, HashKind::kBlake3)
    ->ArgName("bytes")
    ->RangeMultiplier(4)
    ->Range(64, 1 << 20);
BENCHMARK_CAPTURE(HashRows, xxh3, HashKind::kXxh3)
    ->ArgName("bytes")
    ->RangeMultiplier(4)
    ->Range(64, 1 << 20);

}  // namespace
}  // namespace actcache::bench
