// CacheLookup and CacheStore as kernels, on a fake runtime: what goes wrong, and what comes of it.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/memory.h"
#include "ops_squares.h"
#include "store/store.h"

namespace actcache {
namespace {

TEST(KernelFaults, AnAbortedRunHoldsNothing) {
  Kernels kernels("aborted");
  const std::size_t before = Store::Process().stats().bytes;
  kernels.Look(Pairs({1, 2}));  // CacheStore never runs
  EXPECT_EQ(Store::Process().stats().bytes, before);
  ExpectSquare(kernels.Run(Pairs({1, 2})), Pairs({1, 2}));
}

TEST(KernelFaults, OthersDoNotWaitAfterTheStoreHasFailed) {
  Kernels kernels("flight that fails");
  const ort::KernelContext looked = kernels.Look(Pairs({1, 2, 1, 2}));
  EXPECT_TRUE(OthersWait(looked));
  EXPECT_THROW(kernels.Merge(looked, Batch({7, 8, 9}, {3, 1})), ort::Error);
  EXPECT_FALSE(OthersWait(looked));
}

TEST(KernelFaults, ResultsThatAreNotRowsPassThroughUncached) {
  Kernels kernels("anomaly");
  const ort::KernelContext looked = kernels.Look(Pairs({1, 2, 3, 4}));
  const ort::Value odd = Batch({7, 8, 9}, {3, 1});
  const ort::Value y = kernels.Merge(looked, odd).outputs[0];
  EXPECT_EQ(Read<float>(y), (Floats{7, 8, 9}));
  EXPECT_EQ(kernels.counters().anomalies, 1u);
  EXPECT_EQ(kernels.counters().stored, 0u);
}

TEST(KernelFaults, ResultsThatDoNotFitCachedRowsFailTheRun) {
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

TEST(KernelFaults, AForgedPlanIsRefused) {
  Kernels kernels("forged");
  ort::KernelContext looked = kernels.Look(Pairs({1, 2}));
  looked.outputs[1].data()[3] ^= std::byte{1};
  EXPECT_THROW(kernels.Merge(looked, Pairs({1, 4})), ort::Error);
}

TEST(KernelFaults, APlanOfAFullHitIsRefused) {
  for (const char* granularity : {"row", "tensor"}) {
    Kernels kernels(std::string("full_hit_") + granularity, granularity);
    kernels.Run(Pairs({1, 2}));
    const ort::KernelContext looked = kernels.Look(Pairs({1, 2}));
    EXPECT_EQ(*looked.outputs[0].data(), std::byte{0});
    EXPECT_THROW(kernels.Merge(looked, Pairs({1, 4})), ort::Error);
  }
}

TEST(KernelFaults, AreRightWhenTheStoreHasNoMemory) {
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

TEST(KernelFaults, ReportAFailureOfTheRuntime) {
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

TEST(KernelFaults, RefuseAttributesThatDoNotFitTheNode) {
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
  make([](ort::KernelInfo* i) { i->ints.erase("size_equations"); });
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
      [](ort::KernelInfo* i) {
        i->ints.erase("size_equations");
        i->missing_ints = "Attribute name and type don't match";
      },
      [](ort::KernelInfo* i) { i->ints["size_equations"] = {2, 0, 0, 1}; },
      [](ort::KernelInfo* i) { i->ints["size_equations"] = {0, 0}; },
      [](ort::KernelInfo* i) { i->ints["size_equations"] = {1, 0, 1, 0}; },
      [](ort::KernelInfo* i) { i->ints["size_equations"] = {1, 0, 0, -1}; },
      [](ort::KernelInfo* i) { i->ints["input_ranks"] = {2, 2}; },
      [](ort::KernelInfo* i) { i->outputs.pop_back(); },
      // The runtime would allocate 4 bytes per element where the kernel writes 8, or the reverse.
      [](ort::KernelInfo* i) { i->outputs[2] = ElementType::kDouble; },
      [](ort::KernelInfo* i) { i->outputs[3] = ElementType::kInt8; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    EXPECT_THROW(make(changes[i]), ort::Error) << "change " << i;
  }
}

}  // namespace
}  // namespace actcache
