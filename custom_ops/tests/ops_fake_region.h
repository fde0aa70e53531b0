// A region as a session would run it: CacheLookup, the region's nodes and CacheStore, or
// CacheFetch, on the fake runtime. Each result follows from its input alone, so any output tells
// whether it is right.
#ifndef ACTCACHE_TESTS_OPS_FAKE_REGION_H_
#define ACTCACHE_TESTS_OPS_FAKE_REGION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ops/cache_fetch.h"
#include "ops/cache_lookup.h"
#include "ops/cache_store.h"
#include "ops_fake_runtime.h"
#include "store_testing.h"

namespace actcache::fake {

using Numbers = std::vector<std::int64_t>;

// Where a Run ends before its time.
enum class Stop {
  kNever,
  kInRegion,     // a node of the region fails, or the Run is terminated there
  kInLookup,     // no memory for an output of CacheLookup
  kInStore,      // likewise of CacheStore
  kBeforeFetch,  // terminated between CacheLookup and CacheFetch
  kInFetch,      // no memory for an output of CacheFetch
};

// From int64 `x` to int64 `y` and uint8 `z`, number by number. Thread-safe but for its
// construction.
class FakeRegion {
 public:
  // `granularity` as the attribute; `axis` of the rows, -1 for "tensor". May throw as the kernels
  // do.
  FakeRegion(const std::string& id, const std::string& granularity, std::int64_t axis)
      : axis_(axis), salt_(std::hash<std::string>()(id)) {
    lookup_info_.strings = {{"region", id}, {"fingerprint", id}, {"granularity", granularity}};
    lookup_info_.ints = {{"input_row_axes", {axis}},
                         {"output_row_axes", {axis, axis}},
                         {"output_types", {7, 2}},
                         {"size_equations", {}}};
    store_info_ = lookup_info_;
    fetch_info_ = lookup_info_;
    lookup_info_.numbers = {{"hands_over", 1}};
    lookup_info_.ints["store_fetches"] = {0, 1};
    lookup_info_.inputs = {ElementType::kInt64};
    lookup_info_.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kInt64,
                            ElementType::kUint8};
    if (axis >= 0) lookup_info_.outputs.push_back(ElementType::kInt64);
    store_info_.inputs = {ElementType::kUint8, ElementType::kInt64, ElementType::kUint8,
                          ElementType::kInt64, ElementType::kUint8};
    store_info_.outputs = {ElementType::kInt64, ElementType::kUint8};
    fetch_info_.inputs = {ElementType::kUint8, ElementType::kInt64, ElementType::kUint8};
    fetch_info_.outputs = store_info_.outputs;
  }

  // Creates the kernels, as a session does. Throws what they throw.
  void Load() {
    lookup_ = std::make_unique<CacheLookup>(Api::Get(), &lookup_info_, session_);
    store_ = std::make_unique<CacheStore>(Api::Get(), &store_info_, session_);
    fetch_ = std::make_unique<CacheFetch>(Api::Get(), &fetch_info_, session_);
  }

  // What the model's outputs have to be.
  std::vector<ort::Value> Expected(const ort::Value& x) const {
    Numbers y;
    std::vector<std::uint8_t> z;
    for (const std::int64_t number : Read<std::int64_t>(x)) {
      y.push_back(static_cast<std::int64_t>(
          testing_support::Mix(static_cast<std::uint64_t>(number) ^ salt_)));
      z.push_back(static_cast<std::uint8_t>(y.back()));
    }
    return {MakeValue(ElementType::kInt64, x.info.dims, y),
            MakeValue(ElementType::kUint8, x.info.dims, z)};
  }

  // What a Run made: a status if it failed, else the outputs.
  struct Outcome {
    bool failed = false;
    std::vector<ort::Value> outputs;
  };

  Outcome Run(const ort::Value& x, Stop stop = Stop::kNever) const {
    const InRuntime in_runtime;
    ort::KernelContext looked{&lookup_info_, {x}, std::vector<ort::Value>(5)};
    if (stop == Stop::kInLookup) looked.failing_output = 2;
    if (Fails([&] { lookup_->Compute(&looked); }) || stop == Stop::kInRegion) return {true, {}};
    if (*looked.outputs[0].data() == std::byte{0}) return Fetch(looked, stop);
    const std::vector<ort::Value> computed = Expected(axis_ >= 0 ? looked.outputs[4] : x);
    ort::KernelContext stored{
        &store_info_,
        {looked.outputs[1], looked.outputs[2], looked.outputs[3], computed[0], computed[1]},
        std::vector<ort::Value>(2)};
    if (stop == Stop::kInStore) stored.failing_output = 1;
    if (Fails([&] { store_->Compute(&stored); })) return {true, {}};
    return {false, std::move(stored.outputs)};
  }

  bool IsRight(const Outcome& outcome, const ort::Value& x) const {
    const InRuntime in_runtime;
    const std::vector<ort::Value> expected = Expected(x);
    return outcome.outputs.size() == 2 && outcome.outputs[0].info.dims == x.info.dims &&
           outcome.outputs[1].info.dims == x.info.dims &&
           Read<std::int64_t>(outcome.outputs[0]) == Read<std::int64_t>(expected[0]) &&
           Read<std::uint8_t>(outcome.outputs[1]) == Read<std::uint8_t>(expected[1]);
  }

 private:
  Outcome Fetch(const ort::KernelContext& looked, Stop stop) const {
    if (stop == Stop::kBeforeFetch) return {true, {}};
    ort::KernelContext fetched{&fetch_info_,
                               {looked.outputs[1], looked.outputs[2], looked.outputs[3]},
                               std::vector<ort::Value>(2)};
    if (stop == Stop::kInFetch) fetched.failing_output = 1;
    if (Fails([&] { fetch_->Compute(&fetched); })) return {true, {}};
    return {false, std::move(fetched.outputs)};
  }

  // As register.cc calls a kernel: what it throws is a status.
  template <typename Body>
  static bool Fails(const Body& body) {
    ort::Status* status = nullptr;
    {
      const CalledBack called_back;
      status = ort::Guard(Api::Get(), body);
    }
    if (status != nullptr) ort::slot::ReleaseStatus(Api::Get(), status);
    return status != nullptr;
  }

  const SessionSettings session_{"", Registry::Process().InternNamespace("")};
  const std::int64_t axis_;
  const std::uint64_t salt_;
  ort::KernelInfo lookup_info_;
  ort::KernelInfo store_info_;
  ort::KernelInfo fetch_info_;
  std::unique_ptr<CacheLookup> lookup_;
  std::unique_ptr<CacheStore> store_;
  std::unique_ptr<CacheFetch> fetch_;
};

// Row i is `width` numbers made from numbers[i], on axis 0 or 1.
inline ort::Value RowsOf(const Numbers& numbers, std::size_t width, std::int64_t axis) {
  Numbers values(numbers.size() * width);
  for (std::size_t row = 0; row < numbers.size(); ++row) {
    for (std::size_t i = 0; i < width; ++i) {
      values[axis == 1 ? i * numbers.size() + row : row * width + i] =
          numbers[row] * 1000003 + static_cast<std::int64_t>(i);
    }
  }
  const auto rows = static_cast<std::int64_t>(numbers.size());
  const auto columns = static_cast<std::int64_t>(width);
  return MakeValue(ElementType::kInt64, axis == 1 ? Dims{columns, rows} : Dims{rows, columns},
                   values);
}

}  // namespace actcache::fake

#endif  // ACTCACHE_TESTS_OPS_FAKE_REGION_H_
