// The kernels of a region that squares, on the fake runtime, one step of a Run at a time.
#ifndef ACTCACHE_TESTS_OPS_SQUARES_H_
#define ACTCACHE_TESTS_OPS_SQUARES_H_

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "flight/flight_table.h"
#include "ops/cache_lookup.h"
#include "ops/cache_store.h"
#include "ops_fake_runtime.h"
#include "units/call_plan.h"

namespace actcache {

using fake::MakeValue;
using fake::Read;
using Floats = std::vector<float>;

// A region y = x * x on [N, 2] (row axis 0), or on whole tensors; and what it counts.
class Kernels {
 public:
  explicit Kernels(const std::string& id, const std::string& granularity = "row",
                   std::int64_t axis = 0, std::int64_t min_rows = 1, float tolerance = 0,
                   bool shares = true)
      : session_{"", Registry::Process().InternNamespace(""), kNeverExpires, kAnyAge, "", shares},
        axis_(granularity == "row" ? axis : -1) {
    lookup_info_.strings = {{"region", id}, {"fingerprint", id}, {"granularity", granularity}};
    lookup_info_.ints = {{"input_row_axes", {axis_}},
                         {"output_row_axes", {axis_}},
                         {"output_types", {1}},
                         {"size_equations", {}}};
    if (min_rows != 1) lookup_info_.numbers["min_rows"] = min_rows;
    store_info_ = lookup_info_;
    lookup_info_.inputs = {ElementType::kFloat};
    lookup_info_.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat};
    if (axis_ >= 0) lookup_info_.outputs.push_back(ElementType::kFloat);
    if (tolerance != 0) store_info_.reals["tolerance"] = tolerance;
    store_info_.inputs = {ElementType::kUint8, ElementType::kFloat, ElementType::kFloat};
    store_info_.outputs = {ElementType::kFloat};
    lookup_ = std::make_unique<CacheLookup>(fake::Api::Get(), &lookup_info_, session_);
    store_ = std::make_unique<CacheStore>(fake::Api::Get(), &store_info_, session_);
    region_ = &Registry::Process().InternRegion(id, id);
    // Squaring two numbers costs less than any lookup, which is not the point here.
    Config::Process().Configure("bypass", "off");
  }

  ort::KernelContext Look(const ort::Value& x) const {
    ort::KernelContext context{&lookup_info_, {x}, std::vector<ort::Value>(4)};
    lookup_->Compute(&context);
    return context;
  }

  static ort::Value Square(ort::Value x) {
    Floats values = Read<float>(x);
    for (float& value : values) value *= value;
    return MakeValue(ElementType::kFloat, x.info.dims, values);
  }

  ort::KernelContext Merge(const ort::KernelContext& looked, const ort::Value& computed) const {
    ort::KernelContext context{
        &store_info_, {looked.outputs[1], looked.outputs[2], computed}, std::vector<ort::Value>(1)};
    store_->Compute(&context);
    return context;
  }

  // What the graph with the If gives.
  ort::Value Run(const ort::Value& x) {
    const ort::KernelContext looked = Look(x);
    if (*looked.outputs[0].data() == std::byte{0}) return looked.outputs[2];
    const ort::Value& input = axis_ >= 0 ? looked.outputs[3] : x;
    computed_rows_ = input.info.dims.empty() ? 1 : static_cast<int>(input.info.dims[0]);
    return Merge(looked, Square(input)).outputs[0];
  }

  // As if computing took long: else no tier is waited for, or asked at all.
  void SeemsSlow() { region_->recompute_time.Add(1, std::uint64_t{3600} * 1'000'000'000); }

  const RegionCounters& counters() const { return region_->counters; }
  const RegionPolicy& policy() const { return region_->policy; }
  int computed_rows() const { return computed_rows_; }

 private:
  const SessionSettings session_;
  const std::int64_t axis_;
  ort::KernelInfo lookup_info_;
  ort::KernelInfo store_info_;
  std::unique_ptr<CacheLookup> lookup_;
  std::unique_ptr<CacheStore> store_;
  Region* region_;
  int computed_rows_ = -1;
};

inline ort::Value Batch(const Floats& values, Dims dims) {
  return MakeValue(ElementType::kFloat, dims, values);
}
inline ort::Value Pairs(const Floats& values) {
  return Batch(values, {static_cast<std::int64_t>(values.size() / 2), 2});
}

inline void ExpectSquare(const ort::Value& y, const ort::Value& x) {
  EXPECT_EQ(y.info.dims, x.info.dims);
  EXPECT_EQ(Read<float>(y), Read<float>(Kernels::Square(x)));
}

inline PlanHeader PlanOf(const ort::KernelContext& looked) {
  PlanHeader header;
  std::memcpy(&header, looked.outputs[1].data(), sizeof(header));
  return header;
}

// Whether other calls wait for what a lookup has left to be computed.
inline bool OthersWait(const ort::KernelContext& looked) {
  return FlightTable::Process().Lives(PlanOf(looked).flight);
}

}  // namespace actcache

#endif  // ACTCACHE_TESTS_OPS_SQUARES_H_
