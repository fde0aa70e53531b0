// CacheLookup and CacheStore as kernels, on a fake runtime: calls of every kind, and faults.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "control/config.h"
#include "ops/cache_lookup.h"
#include "ops/cache_store.h"
#include "ops_fake_runtime.h"

namespace actcache {
namespace {

using fake::MakeValue;
using fake::Read;
using Floats = std::vector<float>;

// A region y = x * x on [N, 2] (row axis 0), or on whole tensors; and what it counts.
class Kernels {
 public:
  explicit Kernels(const std::string& id, const std::string& granularity = "row",
                   std::int64_t axis = 0)
      : axis_(granularity == "row" ? axis : -1) {
    lookup_info_.strings = {{"region", id}, {"fingerprint", id}, {"granularity", granularity}};
    lookup_info_.ints = {{"input_row_axes", {axis_}},
                         {"output_row_axes", {axis_}},
                         {"output_types", {1}},
                         {"size_equations", {}}};
    store_info_ = lookup_info_;
    lookup_info_.inputs = {ElementType::kFloat};
    lookup_info_.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat};
    if (axis_ >= 0) lookup_info_.outputs.push_back(ElementType::kFloat);
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

  const RegionCounters& counters() const { return region_->counters; }
  const RegionPolicy& policy() const { return region_->policy; }
  int computed_rows() const { return computed_rows_; }

 private:
  const SessionSettings session_{"", Registry::Process().InternNamespace("")};
  const std::int64_t axis_;
  ort::KernelInfo lookup_info_;
  ort::KernelInfo store_info_;
  std::unique_ptr<CacheLookup> lookup_;
  std::unique_ptr<CacheStore> store_;
  const Region* region_;
  int computed_rows_ = -1;
};

ort::Value Batch(const Floats& values, Dims dims) {
  return MakeValue(ElementType::kFloat, dims, values);
}
ort::Value Pairs(const Floats& values) {
  return Batch(values, {static_cast<std::int64_t>(values.size() / 2), 2});
}

void ExpectSquare(const ort::Value& y, const ort::Value& x) {
  EXPECT_EQ(y.info.dims, x.info.dims);
  EXPECT_EQ(Read<float>(y), Read<float>(Kernels::Square(x)));
}

TEST(Kernels, ComputeEachRowOnce) {
  Kernels kernels("once");
  const ort::Value cold = Pairs({1, 2, 3, 4, 1, 2});
  ExpectSquare(kernels.Run(cold), cold);
  EXPECT_EQ(kernels.computed_rows(), 2);
  const ort::Value mixed = Pairs({5, 6, 3, 4, 1, 2, 5, 6});
  ExpectSquare(kernels.Run(mixed), mixed);
  EXPECT_EQ(kernels.computed_rows(), 1);
  const ort::Value warm = Pairs({1, 2, 5, 6, 5, 6});
  ExpectSquare(kernels.Run(warm), warm);
  EXPECT_EQ(kernels.counters().misses, 3u);
  EXPECT_EQ(kernels.counters().hits, 1u + 3u + 3u);
  EXPECT_EQ(kernels.counters().duplicates, 2u);
  EXPECT_EQ(kernels.counters().stored, 3u);
}

TEST(Kernels, WorkOnOtherAxes) {
  Kernels kernels("axis", "row", 1);
  const ort::Value cold = Batch({1, 2, 3, 4, 5, 6}, {2, 3});
  ExpectSquare(kernels.Run(cold), cold);
  const ort::Value mixed = Batch({3, 9, 1, 6, 9, 4}, {2, 3});  // columns 3|6, 9|9 and 1|4
  ExpectSquare(kernels.Run(mixed), mixed);
  EXPECT_EQ(kernels.counters().hits, 2u);
}

TEST(Kernels, TakeAScalarAndAnEmptyTensorWhole) {
  Kernels kernels("scalar", "tensor");
  for (int i = 0; i < 2; ++i) {
    ExpectSquare(kernels.Run(Batch({3}, {})), Batch({3}, {}));
    ExpectSquare(kernels.Run(Batch({}, {0, 2})), Batch({}, {0, 2}));
  }
  EXPECT_EQ(kernels.counters().hits, 2u);
}

TEST(Kernels, PassAnEmptyBatchThrough) {
  Kernels kernels("empty");
  const ort::Value empty = Pairs({});
  ExpectSquare(kernels.Run(empty), empty);
  EXPECT_EQ(kernels.counters().bypassed, 0u);
  EXPECT_EQ(kernels.counters().calls, 1u);
}

TEST(Kernels, DoNotLookUpWithoutABudget) {
  Kernels kernels("off");
  Config::Process().Configure("budget_bytes", "0");
  const ort::Value x = Pairs({1, 2, 1, 2});
  ExpectSquare(kernels.Run(x), x);
  ExpectSquare(kernels.Run(x), x);
  Config::Process().Configure("budget_bytes", std::nullopt);
  EXPECT_EQ(kernels.counters().bypassed, 4u);
  EXPECT_EQ(kernels.counters().hits + kernels.counters().misses, 0u);
}

TEST(Kernels, CopyLargeRowsInParallel) {
  Kernels kernels("large");
  Floats values(4 * 300000);
  std::iota(values.begin(), values.end(), 0.0f);
  const ort::Value x = Batch(values, {4, 300000});
  ExpectSquare(kernels.Run(x), x);
  ExpectSquare(kernels.Run(x), x);
  EXPECT_EQ(kernels.counters().hits, 4u);
}

TEST(Kernels, AnAbortedRunHoldsNothing) {
  Kernels kernels("aborted");
  const std::size_t before = Store::Process().stats().bytes;
  kernels.Look(Pairs({1, 2}));  // CacheStore never runs
  EXPECT_EQ(Store::Process().stats().bytes, before);
  ExpectSquare(kernels.Run(Pairs({1, 2})), Pairs({1, 2}));
}

// Whether other calls wait for what a lookup has left to be computed.
bool OthersWait(const ort::KernelContext& looked) {
  PlanHeader header;
  std::memcpy(&header, looked.outputs[1].data(), sizeof(header));
  return FlightTable::Process().Lives(header.flight);
}

TEST(Kernels, OthersWaitUntilTheResultsAreStored) {
  Kernels kernels("flight");
  const ort::KernelContext looked = kernels.Look(Pairs({1, 2, 3, 4}));
  EXPECT_TRUE(OthersWait(looked));
  kernels.Merge(looked, Kernels::Square(looked.outputs[3]));
  EXPECT_FALSE(OthersWait(looked));
  EXPECT_FALSE(OthersWait(kernels.Look(Pairs({1, 2, 3, 4}))));
}

TEST(Kernels, OthersDoNotWaitForResultsThatAreNotKept) {
  Kernels kernels("flight without memory");
  const ort::KernelContext looked = kernels.Look(Pairs({1, 2}));
  FailAllocationsFromForTest(1);
  kernels.Merge(looked, Kernels::Square(looked.outputs[3]));
  FailAllocationsFromForTest(0);
  EXPECT_EQ(kernels.counters().not_admitted, 1u);
  EXPECT_FALSE(OthersWait(looked));
}

TEST(Kernels, OthersDoNotWaitAfterTheStoreHasFailed) {
  Kernels kernels("flight that fails");
  const ort::KernelContext looked = kernels.Look(Pairs({1, 2, 1, 2}));
  EXPECT_TRUE(OthersWait(looked));
  EXPECT_THROW(kernels.Merge(looked, Batch({7, 8, 9}, {3, 1})), ort::Error);
  EXPECT_FALSE(OthersWait(looked));
}

TEST(Kernels, ResultsThatAreNotRowsPassThroughUncached) {
  Kernels kernels("anomaly");
  const ort::KernelContext looked = kernels.Look(Pairs({1, 2, 3, 4}));
  const ort::Value odd = Batch({7, 8, 9}, {3, 1});
  const ort::Value y = kernels.Merge(looked, odd).outputs[0];
  EXPECT_EQ(Read<float>(y), (Floats{7, 8, 9}));
  EXPECT_EQ(kernels.counters().anomalies, 1u);
  EXPECT_EQ(kernels.counters().stored, 0u);
}

TEST(Kernels, ResultsThatDoNotFitCachedRowsFailTheRun) {
  Kernels kernels("misfit");
  kernels.Run(Pairs({1, 2}));
  const ort::KernelContext looked = kernels.Look(Pairs({1, 2, 3, 4}));
  try {
    kernels.Merge(looked, Batch({1, 2, 3}, {1, 3}));
    FAIL();
  } catch (const ort::Error& error) {
    EXPECT_NE(std::string(error.what()).find("region \"misfit\": live-out \"in2\""),
              std::string::npos)
        << error.what();
  }
}

TEST(Kernels, AForgedPlanIsRefused) {
  Kernels kernels("forged");
  ort::KernelContext looked = kernels.Look(Pairs({1, 2}));
  looked.outputs[1].data()[3] ^= std::byte{1};
  EXPECT_THROW(kernels.Merge(looked, Pairs({1, 4})), ort::Error);
}

TEST(Kernels, APlanOfAFullHitIsRefused) {
  for (const char* granularity : {"row", "tensor"}) {
    Kernels kernels(std::string("full_hit_") + granularity, granularity);
    kernels.Run(Pairs({1, 2}));
    const ort::KernelContext looked = kernels.Look(Pairs({1, 2}));
    EXPECT_EQ(*looked.outputs[0].data(), std::byte{0});
    EXPECT_THROW(kernels.Merge(looked, Pairs({1, 4})), ort::Error);
  }
}

TEST(Kernels, AreRightWhenTheStoreHasNoMemory) {
  Kernels kernels("no_memory");
  const ort::Value x = Pairs({1, 2, 3, 4});
  FailAllocationsFromForTest(2);
  ExpectSquare(kernels.Run(x), x);
  ExpectSquare(kernels.Run(x), x);
  FailAllocationsFromForTest(0);
  ExpectSquare(kernels.Run(x), x);
  const RegionCounters& counters = kernels.counters();
  EXPECT_EQ(counters.misses, counters.stored + counters.not_admitted);
}

TEST(Kernels, ReportAFailureOfTheRuntime) {
  ort::KernelInfo info;
  info.strings = {{"region", "fails"}, {"fingerprint", "f"}, {"granularity", "row"}};
  info.ints = {{"input_row_axes", {0}},
               {"output_row_axes", {0}},
               {"output_types", {1}},
               {"size_equations", {}}};
  info.inputs = {ElementType::kFloat};
  info.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat,
                  ElementType::kFloat};
  const SessionSettings session{"", 0};
  const CacheLookup lookup(fake::Api::Get(), &info, session);
  for (std::size_t output = 0; output < 4; ++output) {
    ort::KernelContext context{&info, {Pairs({1, 2})}, std::vector<ort::Value>(4)};
    context.failing_output = output;
    EXPECT_THROW(lookup.Compute(&context), ort::Error);
    context = {&info, {Pairs({1, 2})}, std::vector<ort::Value>(4)};
    context.unread_output = output;
    lookup.Compute(&context);
  }
}

TEST(Kernels, RefuseAttributesThatDoNotFitTheNode) {
  const auto make = [](const std::function<void(ort::KernelInfo*)>& change) {
    ort::KernelInfo info;
    info.strings = {{"region", "r"}, {"fingerprint", "f"}, {"granularity", "row"}};
    info.ints = {{"input_row_axes", {0}},
                 {"output_row_axes", {0}},
                 {"output_types", {1}},
                 {"size_equations", {}}};
    info.inputs = {ElementType::kFloat};
    info.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat,
                    ElementType::kFloat};
    change(&info);
    const SessionSettings session{"", 0};
    const CacheLookup lookup(fake::Api::Get(), &info, session);
  };
  make([](ort::KernelInfo*) {});
  const std::vector<std::function<void(ort::KernelInfo*)>> changes = {
      [](ort::KernelInfo* i) { i->strings.erase("region"); },
      [](ort::KernelInfo* i) { i->strings["fingerprint"] = ""; },
      [](ort::KernelInfo* i) { i->strings["granularity"] = "tile"; },
      [](ort::KernelInfo* i) { i->strings["granularity"] = "tensor"; },
      [](ort::KernelInfo* i) { i->ints["input_row_axes"] = {0, 0}; },
      [](ort::KernelInfo* i) { i->ints["input_row_axes"] = {-1}; },
      [](ort::KernelInfo* i) { i->ints["input_row_axes"] = {-2}; },
      [](ort::KernelInfo* i) { i->ints["output_row_axes"] = {-1}; },
      [](ort::KernelInfo* i) { i->ints["output_row_axes"] = {}; },
      [](ort::KernelInfo* i) { i->ints["output_types"] = {8}; },
      [](ort::KernelInfo* i) { i->ints["output_types"] = {21}; },
      [](ort::KernelInfo* i) { i->ints["output_types"] = {999}; },
      [](ort::KernelInfo* i) { i->ints.erase("output_types"); },
      [](ort::KernelInfo* i) { i->ints.erase("size_equations"); },
      [](ort::KernelInfo* i) { i->ints["size_equations"] = {2, 0, 0, 1}; },
      [](ort::KernelInfo* i) { i->ints["size_equations"] = {0, 0}; },
      [](ort::KernelInfo* i) { i->ints["size_equations"] = {1, 0, 1, 0}; },
      [](ort::KernelInfo* i) { i->ints["size_equations"] = {1, 0, 0, -1}; },
      [](ort::KernelInfo* i) { i->outputs.pop_back(); },
      // The runtime would allocate 4 bytes per element where the kernel writes 8, or the reverse.
      [](ort::KernelInfo* i) { i->outputs[2] = ElementType::kDouble; },
      [](ort::KernelInfo* i) { i->outputs[3] = ElementType::kInt8; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    EXPECT_THROW(make(changes[i]), ort::Error) << "change " << i;
  }
}

TEST(Kernels, TakeACallForOneEntryWhereSizesDoNotFit) {
  ort::KernelInfo info;
  info.strings = {{"region", "sizes"}, {"fingerprint", "f"}, {"granularity", "row"}};
  // Input 0 is as wide as input 1 and two more.
  info.ints = {{"input_row_axes", {0, 0}},
               {"output_row_axes", {0}},
               {"output_types", {1}},
               {"size_equations", {2, 2, 0, 1, 1, 1}}};
  info.inputs = {ElementType::kFloat, ElementType::kFloat};
  info.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat, ElementType::kFloat,
                  ElementType::kFloat};
  const SessionSettings session{"", 0};
  const CacheLookup lookup(fake::Api::Get(), &info, session);
  const auto rows_to_compute = [&](const ort::Value& wide, const ort::Value& narrow) {
    ort::KernelContext context{&info, {wide, narrow}, std::vector<ort::Value>(5)};
    lookup.Compute(&context);
    return context.outputs[3].info.dims[0];
  };
  const ort::Value narrow = Batch({7, 7}, {2, 1});
  EXPECT_EQ(rows_to_compute(Batch({1, 2, 3, 1, 2, 3}, {2, 3}), narrow), 1);  // equal rows once
  EXPECT_EQ(rows_to_compute(Batch({1, 2, 1, 2}, {2, 2}), narrow), 2);
  EXPECT_EQ(rows_to_compute(Batch({1, 1}, {2}), narrow), 2);
}

TEST(Kernels, KeepStringsWithTheirRows) {
  ort::KernelInfo info;
  info.strings = {{"region", "strings"}, {"fingerprint", "f"}, {"granularity", "row"}};
  info.ints = {{"input_row_axes", {1}},
               {"output_row_axes", {0}},
               {"output_types", {1}},
               {"size_equations", {}}};
  info.inputs = {ElementType::kString};
  info.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat,
                  ElementType::kString};
  const SessionSettings session{"", 0};
  const CacheLookup lookup(fake::Api::Get(), &info, session);
  const std::string nul("x\0y", 3);
  // Columns (a, nul), (b, ""), (a, nul).
  const ort::Value x = fake::MakeStrings({2, 3}, {"a", "b", "a", nul, "", nul});
  ort::KernelContext context{&info, {x}, std::vector<ort::Value>(4)};
  lookup.Compute(&context);
  EXPECT_EQ(context.outputs[3].info.dims, (Dims{2, 2}));
  EXPECT_EQ(context.outputs[3].strings, (std::vector<std::string>{"a", "b", nul, ""}));
}

TEST(Kernels, PassWhereLookingUpDoesNotPay) {
  Kernels kernels("bypassed");
  Config::Process().Configure("bypass", "auto");
  for (int i = 0; i < 200; ++i) {
    const ort::Value x = Pairs({static_cast<float>(i), 1, static_cast<float>(i), 2});
    ExpectSquare(kernels.Run(x), x);
  }
  const RegionPolicy::Stats stats = kernels.policy().stats();
  EXPECT_TRUE(stats.bypassed);
  EXPECT_EQ(stats.switches, 1u);
  EXPECT_GE(kernels.counters().bypassed, 100u);
  EXPECT_EQ(kernels.counters().bypassed + kernels.counters().misses, 400u);
  const ort::Value again = Pairs({0, 1, 0, 1});
  ExpectSquare(kernels.Run(again), again);
  EXPECT_EQ(kernels.computed_rows(), 2);  // not even equal rows are merged
  EXPECT_EQ(kernels.counters().hits, 0u);
}

TEST(Kernels, ServeManyThreadsAtOnce) {
  Kernels kernels("threads");
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const auto a = static_cast<float>((i * 7 + t) % 50);
        const ort::Value x = Pairs({a, 1, a + 1, 1, a, 1});
        const ort::KernelContext looked = kernels.Look(x);
        const ort::Value y =
            *looked.outputs[0].data() == std::byte{0}
                ? looked.outputs[2]
                : kernels.Merge(looked, Kernels::Square(looked.outputs[3])).outputs[0];
        if (Read<float>(y) != Read<float>(Kernels::Square(x))) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(kernels.counters().hits + kernels.counters().misses, 8u * 200u * 3u);
}

}  // namespace
}  // namespace actcache
