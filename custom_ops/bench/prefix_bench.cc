// What a chain of blocks costs a lookup: its keys, its entries, and copying them out of the store
// into 12 tensors [1, 12, positions, 64] of floats, as K and V of six layers lie.
//
// Arguments: positions; positions in a block.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "bench_store.h"
#include "store/store.h"
#include "units/chained_keying.h"
#include "units/match.h"
#include "units/prefix_cut.h"

namespace actcache::bench {
namespace {

constexpr std::size_t kTensors = 12;
constexpr std::size_t kHeads = 12;
constexpr std::size_t kWidth = 64;

// A store that knows all blocks of a call of one row.
class Chain {
 public:
  Chain(std::size_t positions, std::size_t block)
      : types_(kTensors, ElementType::kFloat),
        cut_({{0}, {1}, Axes(kTensors, 0), Axes(kTensors, 2)}, block, 2),
        keying_(HashKind::kBlake3, {"f", ""}, cut_, types_),
        ids_(positions) {
    for (std::size_t i = 0; i < positions; ++i) ids_[i] = static_cast<std::int64_t>(Mix(i) % 50000);
    TensorView view;
    view.type = ElementType::kInt64;
    view.dims = {1, static_cast<std::int64_t>(positions)};
    view.elements = positions;
    view.bytes = positions * sizeof(std::int64_t);
    view.data = reinterpret_cast<const std::byte*>(ids_.data());
    inputs_.push_back(std::move(view));
    units_ = cut_.UnitsOf(inputs_);
    keys_ = KeysOf();
    const std::size_t bytes = kHeads * block * kWidth * sizeof(float);
    const std::vector<TensorSpec> specs(
        kTensors, {1, {kHeads, static_cast<std::int64_t>(block), kWidth}, bytes});
    for (const Key& key : keys_) {
      Draft draft = store_.Reserve(OfferOf(key, specs, /*cost_ns=*/1000));
      for (std::size_t i = 0; i < kTensors; ++i) std::memset(draft.data(i), 1, bytes);
      store_.Publish(std::move(draft));
    }
  }

  Keys KeysOf() const { return keying_.KeysOf(units_, std::nullopt, inputs_, Parallel(), nullptr); }
  Match Find() { return FindUnits(store_, keys_, units_, types_, LookupRules{FindLimits{1}}); }

  std::size_t positions() const { return ids_.size(); }
  const Cut& cut() const { return cut_; }

 private:
  const ElementTypes types_;
  const PrefixCut cut_;
  const ChainedKeying keying_;
  std::vector<std::int64_t> ids_;
  std::vector<TensorView> inputs_;
  Units units_{};
  Keys keys_;
  Store store_{std::size_t{1} << 30};
};

Chain Known(const benchmark::State& state) {
  return Chain(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)));
}

void Count(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void BM_Keys(benchmark::State& state) {
  const Chain chain = Known(state);
  for (auto _ : state) benchmark::DoNotOptimize(chain.KeysOf());
  Count(state);
}

void BM_Find(benchmark::State& state) {
  Chain chain = Known(state);
  for (auto _ : state) {
    const Match match = chain.Find();
    if (match.any_miss()) state.SkipWithError("a block is missing");
  }
  Count(state);
}

void BM_Copy(benchmark::State& state) {
  Chain chain = Known(state);
  const Match match = chain.Find();
  const UnitPlace& place = chain.cut().output(0);
  const Dims dims{1, kHeads, static_cast<std::int64_t>(chain.positions()), kWidth};
  const Window window = place.In(ElementType::kFloat, dims);
  const Window dense = window.Dense();
  const std::size_t bytes = ByteCount(ElementType::kFloat, dims);
  const std::unique_ptr<std::byte[]> tensors(new std::byte[kTensors * bytes]);
  std::memset(tensors.get(), 0, kTensors * bytes);
  std::vector<const void*> payloads(match.hits.size() * kTensors);
  for (auto _ : state) {
    for (std::size_t hit = 0; hit < match.hits.size(); ++hit) {
      match.hits[hit]->AllData(&payloads[hit * kTensors]);
    }
    for (std::size_t i = 0; i < kTensors; ++i) {
      CopyUnits(
          Parallel(), match.hits.size(), window.unit_bytes(),
          [&](std::size_t unit) {
            const void* const data = payloads[unit * kTensors + i];
            return ConstUnit{static_cast<const std::byte*>(data), dense, 0};
          },
          [&](std::size_t unit) { return MutableUnit{tensors.get() + i * bytes, window, unit}; });
    }
    benchmark::ClobberMemory();
  }
  Count(state);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kTensors * bytes));
}

void Sizes(benchmark::internal::Benchmark* of) {
  of->Args({1024, 1})->Args({1024, 4})->Args({1024, 16})->Args({64, 1});
}
BENCHMARK(BM_Keys)->Apply(Sizes);
BENCHMARK(BM_Find)->Apply(Sizes);
BENCHMARK(BM_Copy)->Apply(Sizes);

}  // namespace
}  // namespace actcache::bench
