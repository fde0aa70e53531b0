// CacheStore after CacheLookup, on a fake runtime: where some rows are missing, large ones that
// were found are copied once, whatever happens in between.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "ops_fetching.h"
#include "store/store.h"

namespace actcache {
namespace {

TEST(StoreFetch, CopiesWhatTheLookupHasNotCopied) {
  const std::size_t held = Held();
  Fetching region("store fetch");
  region.Keep(Wide({1, 2, 3}));
  const ort::Value x = Wide({1, 4, 2, 3});
  const ort::KernelContext looked = region.Look(x);
  EXPECT_EQ(*looked.outputs[0].data(), std::byte{1});
  EXPECT_TRUE(HandedOverBy(looked));
  EXPECT_EQ(looked.outputs[2].info.dims, Dims{0});
  EXPECT_EQ(looked.outputs[3].info.dims, (Dims{1, kWidth}));  // what is to be computed
  EXPECT_EQ(Held(), held + 1);
  ExpectSquare(region.Merge(looked), x);
  EXPECT_EQ(Held(), held);
  EXPECT_EQ(region.counters().hits, 3u);
  EXPECT_EQ(region.counters().stored, 4u);
}

TEST(StoreFetch, PutsEqualRowsAndRowsOfOtherAxesTogether) {
  for (const std::int64_t axis : {0, 1}) {
    Fetching region("store fetch axis " + std::to_string(axis), "row", axis);
    region.Keep(Wide({1, 2, 3}, axis));
    const ort::Value x = Wide({3, 4, 1, 5, 3, 4, 2}, axis);
    const ort::KernelContext looked = region.Look(x);
    EXPECT_TRUE(HandedOverBy(looked));
    ExpectSquare(region.Merge(looked), x);
    ExpectSquare(region.Fetch(region.Look(x)), x);  // and what is new was stored
  }
}

TEST(StoreFetch, LookupsCopyWhatIsSmallOrWhatOthersRead) {
  Fetching small("store fetch small");
  small.Keep(Wide({1}));  // of 32 KiB
  const ort::KernelContext looked = small.Look(Wide({1, 2}));
  EXPECT_FALSE(HandedOverBy(looked));
  ExpectSquare(looked.outputs[2], Wide({1}));
  ExpectSquare(small.Merge(looked), Wide({1, 2}));

  Fetching without("store fetch none", "row", 0, /*hands_over=*/false);  // as an older model has it
  without.Keep(Wide({1, 2, 3}));
  const ort::KernelContext partly = without.Look(Wide({1, 2, 3, 4}));
  EXPECT_FALSE(HandedOverBy(partly));
  ExpectSquare(partly.outputs[2], Wide({1, 2, 3}));
  ExpectSquare(without.Merge(partly), Wide({1, 2, 3, 4}));
}

TEST(StoreFetch, NothingIsHandedOverWhereNothingWasFound) {
  Fetching region("store fetch cold");
  const ort::Value x = Wide({1, 2, 3});
  const ort::KernelContext cold = region.Look(x);
  EXPECT_FALSE(HandedOverBy(cold));
  ExpectSquare(region.Merge(cold), x);
  Fetching whole("store fetch whole", "tensor");
  ExpectSquare(whole.Merge(whole.Look(x)), x);
}

TEST(StoreFetch, DoesNotMindThatEntriesAreGone) {
  Fetching region("store fetch evicted");
  const ort::Value known = Wide({1, 2, 3});
  const ort::Value x = Wide({4, 1, 2, 3});
  region.Keep(known);
  const ort::KernelContext looked = region.Look(x);
  Store::Process().Invalidate(Selection{}, SteadyNow());
  EXPECT_GE(Store::Process().stats().bytes, known.words.size() * 8 - 8);  // counted as long
  ExpectSquare(region.Merge(looked), x);
  EXPECT_LT(Store::Process().stats().bytes, known.words.size() * 8 / 2);  // only the new row
  Store::Process().Invalidate(Selection{}, SteadyNow());
  EXPECT_EQ(Store::Process().stats().bytes, 0u);
}

TEST(StoreFetch, WhatWasFoundMakesRoomForWhatIsStored) {
  Fetching region("store fetch room");
  const ort::Value known = Wide({1, 2, 3});
  region.Keep(known);
  const std::size_t room = Store::Process().stats().bytes;
  const ort::KernelContext looked = region.Look(Wide({4, 1, 2, 3}));
  ASSERT_TRUE(HandedOverBy(looked));
  Config::Process().Configure("budget_bytes", std::to_string(room));
  Store::Process().Invalidate(Selection{}, SteadyNow());
  EXPECT_EQ(Store::Process().stats().bytes, room);  // held, so nothing else has room
  region.Merge(looked);
  Config::Process().Configure("budget_bytes", std::nullopt);
  EXPECT_EQ(region.counters().stored, 4u);
}

TEST(StoreFetch, LookupsCopyWhereTheTableHasNoRoom) {
  Fetching region("store fetch full");
  region.Keep(Wide({1, 2, 3}));
  const ort::Value x = Wide({1, 2, 3, 4});
  Config::Process().Configure("single_flight", "off");  // they all compute the same
  std::vector<ort::KernelContext> pending;
  while (pending.empty() || HandedOverBy(pending.back())) pending.push_back(region.Look(x));
  EXPECT_EQ(Held(), HandOverTable::kMost);
  for (const ort::KernelContext& looked : pending) ExpectSquare(region.Merge(looked), x);
  EXPECT_EQ(Held(), 0u);
  Config::Process().Configure("single_flight", std::nullopt);
}

TEST(StoreFetch, ARunThatIsGivenUpHoldsItsEntriesUntilItsMemoryIsUsedAgain) {
  const std::size_t held = Held();
  Fetching region("store fetch given up");
  region.Keep(Wide({1, 2, 3}));
  ort::KernelContext looked = region.Look(Wide({1, 2, 3, 4}));
  EXPECT_EQ(Held(), held + 1);
  for (ort::Value& output : looked.outputs) output.info.dims.clear();
  looked.inputs = {Wide({1})};
  region.Look(&looked);
  EXPECT_EQ(Held(), held);
  region.Look(Wide({1, 2, 3, 5}));
  EXPECT_EQ(Held(), held + 1);
  region.EndSession();
  EXPECT_EQ(Held(), held);
}

TEST(StoreFetch, OperatorsThatFailHoldNothing) {
  const std::size_t held = Held();
  Fetching region("store fetch fails");
  region.Keep(Wide({1, 2, 3}));
  const ort::Value x = Wide({1, 2, 3, 4});
  for (std::size_t output = 0; output < 4; ++output) {
    ort::KernelContext context = region.Context(x);
    context.failing_output = output;
    EXPECT_THROW(region.Look(&context), ort::Error);
    EXPECT_EQ(Held(), held);
  }
  const ort::KernelContext looked = region.Look(x);
  ort::KernelContext context = region.StoreContext(looked);
  context.failing_output = 0;
  EXPECT_THROW(region.Store(&context), ort::Error);
  EXPECT_EQ(Held(), held);
  EXPECT_FALSE(OthersWait(looked));
  context = region.StoreContext(region.Look(x));
  context.unread_output = 0;
  region.Store(&context);
  EXPECT_EQ(Held(), held);
  ExpectSquare(region.Fetch(region.Look(x)), x);
}

TEST(StoreFetch, WhatIsGoneFailsTheRunAndNobodyWaits) {
  Fetching region("store fetch gone");
  region.Keep(Wide({1, 2, 3}));
  const ort::KernelContext looked = region.Look(Wide({1, 2, 3, 4}));
  ASSERT_TRUE(OthersWait(looked));
  HandOverTable::Process().Take(PlanOf(looked).handed_over);
  ExpectRefused([&] { region.Merge(looked); },
                "a hundred times as long as usual or longer; run it again");
  EXPECT_FALSE(OthersWait(looked));
}

// Puts the token of one plan into another.
void GiveToken(const ort::KernelContext& from, ort::KernelContext* to) {
  PlanHeader header = PlanOf(*to);
  header.handed_over = PlanOf(from).handed_over;
  std::memcpy(to->outputs[1].data(), &header, sizeof(header));
}

TEST(StoreFetch, RefusesWhatIsNotItsOwn) {
  Config::Process().Configure("single_flight", "off");
  Fetching region("store fetch own");
  Fetching other("store fetch other");
  region.Keep(Wide({1, 2, 3}));
  other.Keep(Wide({1, 2, 3}));
  ort::KernelContext looked = region.Look(Wide({1, 2, 3, 4}));
  GiveToken(other.Look(Wide({1, 2, 3, 4})), &looked);
  ExpectRefused([&] { region.Merge(looked); }, "the plan is of another region");
  looked = region.Look(Wide({1, 2, 3, 4}));
  GiveToken(region.Look(Wide({1, 2, 3})), &looked);  // nothing is missing of that
  ExpectRefused([&] { region.Merge(looked); }, "the plan is of another region");
  looked = region.Look(Wide({1, 2, 3, 4}));
  GiveToken(region.Look(Wide({1, 2, 5})), &looked);  // of other rows
  ExpectRefused([&] { region.Merge(looked); }, "does not fit its cached rows");
  Config::Process().Configure("single_flight", std::nullopt);
}

TEST(StoreFetch, RefusesUnitsThatDoNotFitTheEntries) {
  Fetching region("store fetch shapes");
  region.Keep(Wide({1, 2, 3}));
  const ort::KernelContext looked = region.Look(Wide({1, 2, 3, 4}));
  ort::KernelContext context = region.StoreContext(looked);
  context.inputs[2] = Batch(Floats(kWidth / 2), {1, kWidth / 2});
  const std::size_t held = Held();
  ExpectRefused([&] { region.Store(&context); }, "does not fit its cached rows of shape [3, 8192]");
  EXPECT_EQ(Held(), held - 1);
}

TEST(StoreFetch, IsWhatHitsCost) {
  Fetching region("store fetch costs");
  region.Keep(Wide({1, 2, 3}));
  const std::uint64_t before = region.counters().copy_ns;
  const ort::KernelContext looked = region.Look(Wide({1, 2, 3, 4}));
  const std::uint64_t looking = region.counters().copy_ns;
  region.Merge(looked);
  EXPECT_GT(looking, before);
  EXPECT_GT(region.counters().copy_ns, looking);
  EXPECT_GT(region.policy().Computed(PlanOf(looked).shape, 1, 1'000'000'000).fetch_ns, 0u);
}

}  // namespace
}  // namespace actcache
