// CacheLookup and CacheStore as kernels, on a fake runtime: calls of every kind.
#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "ops_squares.h"
#include "store/store.h"

namespace actcache {
namespace {

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

TEST(Kernels, NeverComputeOneRowOutOfSeveral) {
  Kernels kernels("two", "row", 0, 2);
  const ort::Value alone = Pairs({1, 2});
  ExpectSquare(kernels.Run(alone), alone);
  EXPECT_EQ(kernels.computed_rows(), 1);
  const ort::Value both = Pairs({1, 2, 3, 4});  // the entry of the first is another class's
  ExpectSquare(kernels.Run(both), both);
  EXPECT_EQ(kernels.computed_rows(), 2);
  EXPECT_EQ(kernels.counters().hits, 0u);
  const ort::Value one_new = Pairs({1, 2, 5, 6, 3, 4});
  ExpectSquare(kernels.Run(one_new), one_new);
  EXPECT_EQ(kernels.computed_rows(), 2);
  const ort::Value equal = Pairs({7, 8, 7, 8, 7, 8});
  ExpectSquare(kernels.Run(equal), equal);
  EXPECT_EQ(kernels.computed_rows(), 2);
  ExpectSquare(kernels.Run(alone), alone);
  EXPECT_EQ(kernels.counters().hits, 2u + 2u + 1u);
  EXPECT_EQ(kernels.counters().misses, 1u + 2u + 1u + 1u);
  EXPECT_EQ(kernels.counters().stored, 5u);
}

TEST(Kernels, FillUpOnOtherAxes) {
  Kernels kernels("fill", "row", 1, 4);
  const ort::Value cold = Batch({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {2, 5});
  ExpectSquare(kernels.Run(cold), cold);
  const ort::Value mixed = Batch({1, 0, 2, 3, 4, 6, 0, 7, 8, 9}, {2, 5});
  ExpectSquare(kernels.Run(mixed), mixed);
  EXPECT_EQ(kernels.counters().hits, 4u);
  const ort::Value few = Batch({1, 2, 6, 7}, {2, 2});
  ExpectSquare(kernels.Run(few), few);
  EXPECT_EQ(kernels.counters().hits, 4u);
  EXPECT_THROW(Kernels("none", "row", 0, 0), ort::Error);
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

TEST(Kernels, TakeACallForOneEntryWhereRanksDoNotFit) {
  ort::KernelInfo info;
  info.strings = {{"region", "ranks"}, {"fingerprint", "f"}, {"granularity", "row"}};
  // Input 0 is a matrix, input 1 a scalar, input 2 anything.
  info.ints = {{"input_row_axes", {0, -1, -1}},
               {"input_ranks", {2, 0, -1}},
               {"output_row_axes", {0}},
               {"output_types", {1}},
               {"size_equations", {}}};
  info.inputs = {ElementType::kFloat, ElementType::kFloat, ElementType::kFloat};
  info.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat,
                  ElementType::kFloat};
  const SessionSettings session{"", 0};
  const CacheLookup lookup(fake::Api::Get(), &info, session);
  const auto rows_to_compute = [&](const ort::Value& x, const ort::Value& s,
                                   const ort::Value& any) {
    ort::KernelContext context{&info, {x, s, any}, std::vector<ort::Value>(4)};
    lookup.Compute(&context);
    return context.outputs[3].info.dims[0];
  };
  const ort::Value x = Batch({1, 2, 1, 2}, {2, 2});
  const ort::Value scalar = Batch({7}, {});
  EXPECT_EQ(rows_to_compute(x, scalar, scalar), 1);  // equal rows once
  EXPECT_EQ(rows_to_compute(x, scalar, x), 1);
  EXPECT_EQ(rows_to_compute(x, Batch({7}, {1}), scalar), 2);
  EXPECT_EQ(rows_to_compute(x, Batch({7, 8}, {2, 1}), scalar), 2);
  EXPECT_EQ(rows_to_compute(Batch({1, 2, 1, 2}, {2, 1, 2}), scalar, scalar), 2);
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

TEST(Kernels, ComputeTheStringsOfTheRowsThatAreMissing) {
  ort::KernelInfo info;
  info.strings = {{"region", "equal strings"}, {"fingerprint", "e"}, {"granularity", "row"}};
  info.ints = {{"input_row_axes", {0}},
               {"output_row_axes", {0}},
               {"output_types", {1}},
               {"size_equations", {}}};
  info.inputs = {ElementType::kString};
  info.outputs = {ElementType::kBool, ElementType::kUint8, ElementType::kFloat,
                  ElementType::kString};
  const SessionSettings session{"", 0};
  const CacheLookup lookup(fake::Api::Get(), &info, session);
  const ort::Value x = fake::MakeStrings({4, 1}, {"a", "a", "b", "c"});
  ort::KernelContext context{&info, {x}, std::vector<ort::Value>(4)};
  lookup.Compute(&context);
  EXPECT_EQ(context.outputs[3].strings, (std::vector<std::string>{"a", "b", "c"}));
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

TEST(Kernels, SayWhereTheirKeysMeanTheSame) {
  for (const bool shares : {true, false}) {
    const KeyScope scope = shares ? KeyScope::kShared : KeyScope::kProcess;
    Kernels kernels(shares ? "shared" : "private", "row", 0, 1, 0, shares);
    const ort::KernelContext looked = kernels.Look(Pairs({1, 2}));
    EXPECT_EQ(PlanOf(looked).scope, static_cast<std::uint32_t>(scope));
    kernels.Merge(looked, Pairs({1, 4}));
    Key key;
    std::memcpy(&key, looked.outputs[1].data() + sizeof(PlanHeader), sizeof(key));
    const EntryRef entry = Store::Process().Peek(key);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->scope(), scope);
  }
}

TEST(Kernels, RefuseThePlanOfACutThatTheirRegionDoesNotHave) {
  Kernels kernels("cut", "tensor");
  ort::KernelContext looked = kernels.Look(Pairs({1, 2}));
  PlanHeader header = PlanOf(looked);
  header.kind = PlanKind::kRow;
  std::memcpy(looked.outputs[1].data(), &header, sizeof(header));
  EXPECT_THROW(kernels.Merge(looked, Pairs({1, 4})), ort::Error);
}

// A row is found, computed all the same with a result that is half a percent away, and compared.
std::uint64_t MismatchesOf(const std::string& id, float tolerance) {
  Kernels kernels(id, "row", 0, 1, tolerance);
  kernels.Run(Pairs({1, 2}));
  Config::Process().Configure("verify_fraction", "1");
  const ort::KernelContext looked = kernels.Look(Pairs({1, 2}));
  kernels.Merge(looked, Pairs({1.0F, 4.02F}));
  Config::Process().Configure("verify_fraction", std::nullopt);
  EXPECT_EQ(kernels.counters().verified, 1u);
  return kernels.counters().mismatches;
}

TEST(Kernels, ResultsMayBeAsFarApartAsTheRegionSays) {
  EXPECT_EQ(MismatchesOf("fine", 0), 1u);
  EXPECT_EQ(MismatchesOf("coarse", 0.01F), 0u);
  EXPECT_THROW(Kernels("negative", "row", 0, 1, -1), ort::Error);
}

}  // namespace
}  // namespace actcache
