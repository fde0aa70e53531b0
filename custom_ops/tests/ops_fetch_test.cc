// CacheFetch after CacheLookup, on a fake runtime: large hits are copied once, whatever happens in
// between.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "ops/cache_fetch.h"
#include "ops_fetching.h"
#include "store/store.h"

namespace actcache {
namespace {

TEST(Fetch, CopiesALargeHitThatTheLookupHasNotCopied) {
  const std::size_t held = Held();
  Fetching region("fetch");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  const ort::KernelContext looked = region.Look(x);
  EXPECT_EQ(*looked.outputs[0].data(), std::byte{0});
  EXPECT_TRUE(HandedOverBy(looked));
  EXPECT_EQ(looked.outputs[2].info.dims, Dims{0});
  EXPECT_EQ(Held(), held + 1);
  const std::uint64_t copying = region.counters().copy_ns;
  ExpectSquare(region.Fetch(looked), x);
  EXPECT_EQ(Held(), held);
  EXPECT_GT(region.counters().copy_ns, copying);  // it is the fetch that took the time
}

TEST(Fetch, CopiesEqualRowsAndRowsOfOtherAxes) {
  for (const std::int64_t axis : {0, 1}) {
    Fetching region("fetch axis " + std::to_string(axis), "row", axis);
    region.Keep(Wide({1, 2, 3}, axis));
    const ort::Value x = Wide({3, 1, 3, 3, 2}, axis);
    const ort::KernelContext looked = region.Look(x);
    EXPECT_TRUE(HandedOverBy(looked));
    ExpectSquare(region.Fetch(looked), x);
  }
}

TEST(Fetch, CopiesWholeCalls) {
  Fetching region("fetch whole", "tensor");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  const ort::KernelContext looked = region.Look(x);
  EXPECT_TRUE(HandedOverBy(looked));
  ExpectSquare(region.Fetch(looked), x);
}

TEST(Fetch, HandsOnWhatTheLookupHasCopied) {
  Fetching small("fetch small");
  const ort::Value few = Wide({1});  // of 32 KiB
  small.Keep(few);
  const ort::KernelContext looked = small.Look(few);
  EXPECT_FALSE(HandedOverBy(looked));
  ExpectSquare(looked.outputs[2], few);
  ExpectSquare(small.Fetch(looked), few);

  Fetching without("fetch none", "row", 0, /*hands_over=*/false);  // as an older model has it
  const ort::Value x = Wide({1, 2, 3});
  without.Keep(x);
  ExpectSquare(without.Look(x).outputs[2], x);
}

TEST(Fetch, DoesNotMindThatEntriesAreGone) {
  Fetching region("fetch evicted");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  const ort::KernelContext looked = region.Look(x);
  Store::Process().Invalidate(Selection{}, SteadyNow());
  EXPECT_GE(Store::Process().stats().bytes, x.words.size() * 8 - 8);  // counted as long
  ExpectSquare(region.Fetch(looked), x);
  EXPECT_EQ(Store::Process().stats().bytes, 0u);
}

TEST(Fetch, LookupsCopyWhereTheTableHasNoRoom) {
  Fetching region("fetch full");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  std::vector<ort::KernelContext> pending;
  while (pending.empty() || HandedOverBy(pending.back())) pending.push_back(region.Look(x));
  EXPECT_EQ(Held(), HandOverTable::kMost);
  for (const ort::KernelContext& looked : pending) ExpectSquare(region.Fetch(looked), x);
  EXPECT_EQ(Held(), 0u);

  Config::Process().Configure("budget_bytes", std::to_string(3 * x.words.size() * 8));
  const ort::KernelContext looked = region.Look(x);  // a quarter of the budget is less
  Config::Process().Configure("budget_bytes", std::nullopt);
  EXPECT_FALSE(HandedOverBy(looked));
  ExpectSquare(region.Fetch(looked), x);
}

TEST(Fetch, ARunThatIsGivenUpHoldsItsEntriesUntilItsMemoryIsUsedAgain) {
  const std::size_t held = Held();
  Fetching region("fetch given up");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  ort::KernelContext looked = region.Look(x);
  EXPECT_EQ(Held(), held + 1);
  const ort::KernelContext other = region.Look(x);  // its plan lies elsewhere
  EXPECT_EQ(Held(), held + 2);
  const HandOverToken stale = PlanOf(looked).handed_over;
  for (ort::Value& output : looked.outputs) output.info.dims.clear();
  region.Look(&looked);
  EXPECT_EQ(Held(), held + 2);
  EXPECT_EQ(HandOverTable::Process().Take(stale), nullptr);
  ExpectSquare(region.Fetch(looked), x);
  ExpectSquare(region.Fetch(other), x);
}

TEST(Fetch, AnySmallCallEndsTheRunThatHadItsMemory) {
  const std::size_t held = Held();
  Fetching region("fetch given up, then small");
  const ort::Value x = Wide({1, 2, 3});
  const ort::Value few = Wide({1});
  region.Keep(x);
  ort::KernelContext looked = region.Look(x);
  EXPECT_EQ(Held(), held + 1);
  for (ort::Value& output : looked.outputs) output.info.dims.clear();
  looked.inputs = {few};
  region.Look(&looked);
  EXPECT_EQ(Held(), held);
}

TEST(Fetch, ASessionThatEndsHoldsNothing) {
  const std::size_t held = Held();
  {
    Fetching region("fetch session");
    const ort::Value x = Wide({1, 2, 3});
    region.Keep(x);
    region.Look(x);
    EXPECT_EQ(Held(), held + 1);
    region.EndSession();
    EXPECT_EQ(Held(), held);
  }
}

TEST(Fetch, ALookupThatFailsHoldsNothing) {
  const std::size_t held = Held();
  Fetching region("fetch lookup fails");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  for (std::size_t output = 0; output < 4; ++output) {
    ort::KernelContext context = region.Context(x);
    context.failing_output = output;
    EXPECT_THROW(region.Look(&context), ort::Error);
    EXPECT_EQ(Held(), held);
  }
  ort::KernelContext unread = region.Context(x);
  unread.unread_output = 1;  // nobody can fetch
  region.Look(&unread);
  EXPECT_EQ(Held(), held);
}

TEST(Fetch, ThatFailsHoldsNothing) {
  const std::size_t held = Held();
  Fetching region("fetch fails");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  ort::KernelContext context = region.FetchContext(region.Look(x));
  context.failing_output = 0;
  EXPECT_THROW(region.Compute(&context), ort::Error);
  context = region.FetchContext(region.Look(x));
  context.unread_output = 0;
  region.Compute(&context);
  EXPECT_EQ(Held(), held);
}

TEST(Fetch, RefusesWhatIsNotItsOwn) {
  Fetching region("fetch own");
  Fetching other("fetch other");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  other.Keep(x);
  ort::KernelContext looked = region.Look(x);
  const auto fetch = [&] { region.Fetch(looked); };
  ExpectRefused([&] { other.Fetch(looked); }, "it belongs to another region");
  // A plan of this region with the token of another.
  const ort::KernelContext foreign = other.Look(x);
  PlanHeader header = PlanOf(looked);
  header.handed_over = PlanOf(foreign).handed_over;
  std::memcpy(looked.outputs[1].data(), &header, sizeof(header));
  ExpectRefused(fetch, "the plan is of another region");
  // A token that was used, or that nobody has.
  ExpectRefused(fetch, "run it again");
  looked.outputs[1].data()[0] ^= std::byte{1};
  ExpectRefused(fetch, "bad plan");
  // That of a call of which something is missing.
  looked = region.Look(Wide({1, 2, 4}));
  ExpectRefused(fetch, "something is missing");
  ExpectSquare(region.Merge(looked), Wide({1, 2, 4}));
}

TEST(Fetch, RefusesFewerResultsThanItGives) {
  Fetching region("fetch fewer");
  const ort::Value x = Wide({1, 2, 3});
  region.Keep(x);
  const ort::KernelContext looked = region.Look(x);
  ort::KernelInfo info;
  info.strings = {{"region", "fetch fewer"}, {"fingerprint", "fetch fewer"}};
  info.ints = {{"output_types", {1, 1}}};
  info.inputs = {ElementType::kUint8, ElementType::kFloat, ElementType::kFloat};
  info.outputs = {ElementType::kFloat, ElementType::kFloat};
  const CacheFetch fetch(fake::Api::Get(), &info, SessionSettings{"", 0});
  ort::KernelContext context{
      &info, {looked.outputs[1], looked.outputs[2], looked.outputs[2]}, std::vector<ort::Value>(2)};
  ExpectRefused([&] { fetch.Compute(&context); }, "the plan is of another region");
}

TEST(Fetch, RefusesAttributesThatDoNotFitTheNode) {
  const SessionSettings session{"", 0};
  const auto make = [&](const std::vector<ElementType>& inputs,
                        const std::vector<ElementType>& outputs, const std::string& region = "r") {
    ort::KernelInfo info;
    info.strings = {{"region", region}, {"fingerprint", "f"}};
    info.ints = {{"output_types", {1, 7}}};
    info.inputs = inputs;
    info.outputs = outputs;
    const CacheFetch fetch(fake::Api::Get(), &info, session);
  };
  const ElementType u8 = ElementType::kUint8;
  const ElementType f32 = ElementType::kFloat;
  const ElementType i64 = ElementType::kInt64;
  make({u8, f32, i64}, {f32, i64});
  EXPECT_THROW(make({u8, f32}, {f32, i64}), ort::Error);
  EXPECT_THROW(make({u8, f32, i64}, {f32}), ort::Error);
  EXPECT_THROW(make({u8, f32, f32}, {f32, i64}), ort::Error);
  EXPECT_THROW(make({u8, f32, i64}, {f32, u8}), ort::Error);
  EXPECT_THROW(make({u8, f32, i64}, {f32, i64}, ""), ort::Error);
}

}  // namespace
}  // namespace actcache
