// What a store promises to one thread: contents, budget, removal, counters.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "store_testing.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(StoreBasic, FindsWhatWasPublished) {
  Store store(kMiB);
  EXPECT_FALSE(Has(&store, 1));
  EXPECT_EQ(Put(&store, 1, 1000, 77, {3, 5}), Rejection::kNone);
  const EntryRef found = Get(&store, 1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->key(), KeyNumber(1));
  EXPECT_EQ(found->cost_ns(), 77u);
  EXPECT_EQ(found->tag().name_space, 3u);
  EXPECT_EQ(found->tag().region, 5u);
  ASSERT_EQ(found->tensor_count(), 1u);
  EXPECT_TRUE(Holds(KeyNumber(1), found->data(0), found->bytes(0)));
}

TEST(StoreBasic, KeepsEveryTensorApart) {
  Store store(kMiB);
  const std::vector<TensorSpec> specs = {
      {1, {1, 3}, 12},         {7, {}, 8},          {2, {4097}, 4097},
      {9, {0, 4}, 0},          {8, {1}, 1},         {1, {32, 32}, 4096},
      {2, {2, 1, 5, 13}, 130}, {2, {70000}, 70000}, {2, {3}, 3}};
  Draft draft = store.Reserve(OfferOf(1, specs, 1));
  ASSERT_TRUE(draft);
  ASSERT_EQ(draft.tensor_count(), specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) Fill(KeyNumber(i), draft.data(i), draft.bytes(i));
  ASSERT_TRUE(store.Publish(std::move(draft)));
  const EntryRef found = Get(&store, 1);
  ASSERT_TRUE(found);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(found->dtype(i), specs[i].dtype);
    EXPECT_EQ(std::vector<std::int64_t>(found->dims(i).begin(), found->dims(i).end()),
              specs[i].dims);
    EXPECT_EQ(found->bytes(i), specs[i].bytes);
    const std::size_t alignment = specs[i].bytes < 65536 ? 16 : 64;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found->data(i)) % alignment, 0u);
    EXPECT_TRUE(Holds(KeyNumber(i), found->data(i), found->bytes(i)));
  }
}

TEST(StoreBasic, AnEntryMayHaveNoTensors) {
  Store store(kMiB);
  Draft draft = store.Reserve(OfferOf(1, {}));
  ASSERT_TRUE(store.Publish(std::move(draft)));
  EXPECT_EQ(Get(&store, 1)->tensor_count(), 0u);
}

TEST(StoreBasic, ComparesKeysInFull) {
  Store store(kMiB);
  const Key key = KeyNumber(1);
  ASSERT_EQ(Put(&store, 1, 10, 1), Rejection::kNone);
  for (int bit = 0; bit < 128; ++bit) {
    Key other = key;
    other.words[bit / 64] ^= std::uint64_t{1} << (bit % 64);
    EXPECT_FALSE(store.Find(other, {0})) << bit;
  }
}

TEST(StoreBasic, KeepsTheFirstOfEqualKeys) {
  Store store(kMiB);
  const auto specs = Bytes(100);
  Draft first = store.Reserve(OfferOf(1, specs, 1));
  Draft second = store.Reserve(OfferOf(1, specs, 2));
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(store.Publish(std::move(second)));
  EXPECT_FALSE(store.Publish(std::move(first)));
  EXPECT_EQ(Get(&store, 1)->cost_ns(), 2u);
  EXPECT_EQ(store.stats().bytes, ChargeOf(100));
  EXPECT_EQ(Put(&store, 1, 100, 3), Rejection::kPresent);
  EXPECT_EQ(store.stats().rejected, 0u);
}

TEST(StoreBasic, ADroppedDraftGivesItsBytesBack) {
  Store store(kMiB);
  const auto specs = Bytes(100);
  {
    Draft draft = store.Reserve(OfferOf(1, specs, 1, {0, 2}));
    EXPECT_EQ(store.stats().bytes, draft.charge());
    EXPECT_EQ(store.usage(2).bytes, draft.charge());
    EXPECT_EQ(store.stats().entries, 0u);
    EXPECT_FALSE(Has(&store, 1));
    Draft moved(std::move(draft));
    EXPECT_FALSE(draft);  // NOLINT: that is the point
    EXPECT_TRUE(moved);
  }
  EXPECT_EQ(store.stats().bytes, 0u);
  EXPECT_EQ(store.usage(2).bytes, 0u);
}

TEST(StoreBasic, RefusesWithAReason) {
  Store store(kMiB);
  EXPECT_EQ(Put(&store, 1, kMiB, 1), Rejection::kTooLarge);
  const std::size_t most = std::numeric_limits<std::size_t>::max();
  for (const std::size_t bytes : {most, most - 63, most - 64, most - 200, most / 2 + 1}) {
    const std::vector<TensorSpec> specs = {{1, {}, bytes}, {1, {}, bytes}};
    EXPECT_EQ(store.Reserve(OfferOf(1, specs, 1)).rejection(), Rejection::kTooLarge);
  }
  EXPECT_EQ(Put(&store, 1, 10, 1, {0, kMaxRegions}), Rejection::kTooLarge);
  EXPECT_EQ(store.stats().rejected, 7u);
  store.SetBudget(0);
  EXPECT_EQ(Put(&store, 1, 10, 1), Rejection::kOff);
  EXPECT_EQ(store.stats().rejected, 7u);
  EXPECT_EQ(store.stats().bytes, 0u);
}

TEST(StoreBasic, AcceptsWhatFitsTheBudgetExactly) {
  Store store(ChargeOf(5000));
  EXPECT_EQ(Put(&store, 1, 5000, 1), Rejection::kNone);
  EXPECT_EQ(store.stats().bytes, store.budget());
  Store smaller(ChargeOf(5000) - 1);
  EXPECT_EQ(Put(&smaller, 1, 5000, 1), Rejection::kTooLarge);
}

TEST(StoreBasic, ALowerBudgetEvictsAtOnce) {
  Store store(kMiB);
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_EQ(Put(&store, i, 1000, 1000), Rejection::kNone);
  store.SetBudget(10 * ChargeOf(1000));
  EXPECT_EQ(store.stats().entries, 10u);
  EXPECT_EQ(store.stats().bytes, 10 * ChargeOf(1000));
  EXPECT_EQ(store.stats().evictions, 90u);
  store.SetBudget(0);
  EXPECT_EQ(store.stats().entries, 0u);
  EXPECT_EQ(store.stats().bytes, 0u);
  store.SetBudget(kMiB);
  EXPECT_EQ(Put(&store, 1, 1000, 1), Rejection::kNone);
}

TEST(StoreBasic, ALowerBudgetVoidsDrafts) {
  Store store(kMiB);
  const auto specs = Bytes(100000);
  Draft draft = store.Reserve(OfferOf(1, specs, 1));
  store.SetBudget(1000);
  EXPECT_FALSE(store.Publish(std::move(draft)));
  EXPECT_EQ(store.stats().bytes, 0u);
}

TEST(StoreBasic, ReadersKeepEvictedEntriesAndTheirCharge) {
  Store store(kMiB);
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_EQ(Put(&store, i, 1000, 1), Rejection::kNone);
  EntryRef a = Get(&store, 3);
  EntryRef b = Get(&store, 4);
  const std::size_t charge = ChargeOf(1000);
  store.SetBudget(charge);  // the idle ones go; one of two in use becomes unfindable
  EXPECT_EQ(store.stats().bytes, 2 * charge);
  EXPECT_EQ(store.stats().entries, 1u);
  store.SetBudget(0);
  EXPECT_EQ(store.stats().entries, 0u);
  EXPECT_FALSE(Has(&store, 3) || Has(&store, 4));
  EXPECT_TRUE(Holds(KeyNumber(3), a->data(0), a->bytes(0)));
  const EntryRef copy = a;
  a = EntryRef();
  EXPECT_EQ(store.stats().bytes, 2 * charge);
  b = EntryRef();
  EXPECT_EQ(store.stats().bytes, charge);
  EXPECT_TRUE(Holds(KeyNumber(3), copy->data(0), copy->bytes(0)));
  EXPECT_EQ(store.stats().evictions, 10u);
}

TEST(StoreBasic, ClearsEverythingOrOneNamespace) {
  Store store(kMiB);
  for (std::uint32_t i = 0; i < 100; ++i) {
    ASSERT_EQ(Put(&store, i, 100, 1, {i % 4, i % 3}), Rejection::kNone);
  }
  EXPECT_EQ(ClearNamespace(&store, 2), 25u);
  EXPECT_EQ(ClearNamespace(&store, 2), 0u);
  EXPECT_EQ(ClearNamespace(&store, 9), 0u);
  for (std::uint32_t i = 0; i < 100; ++i) EXPECT_EQ(Has(&store, i), i % 4 != 2);
  const EntryRef held = Get(&store, 0);
  EXPECT_EQ(Clear(&store), 75u);
  EXPECT_TRUE(Holds(KeyNumber(0), held->data(0), held->bytes(0)));
  EXPECT_EQ(store.stats().bytes, held->charge());
  EXPECT_EQ(store.stats().entries, 0u);
  EXPECT_EQ(store.stats().evictions, 0u);
}

TEST(StoreBasic, NothingReservedBeforeAClearIsPublishedAfter) {
  Store store(kMiB);
  const auto specs = Bytes(100);
  Draft a = store.Reserve(OfferOf(1, specs, 1, {7, 0}));
  ClearNamespace(&store, 7);
  Draft b = store.Reserve(OfferOf(1, specs, 1, {7, 0}));
  EXPECT_FALSE(store.Publish(std::move(a)));
  EXPECT_TRUE(store.Publish(std::move(b)));
  EXPECT_TRUE(Has(&store, 1));
}

TEST(StoreBasic, CountsPerRegion) {
  Store store(10 * ChargeOf(1000));
  for (std::uint64_t i = 0; i < 10; ++i)
    ASSERT_EQ(Put(&store, i, 1000, 1000, {0, 40}), Rejection::kNone);
  for (std::uint64_t i = 10; i < 14; ++i)
    ASSERT_EQ(Put(&store, i, 1000, 5000, {0, 2}), Rejection::kNone);
  EXPECT_EQ(store.usage(40).entries, 6u);
  EXPECT_EQ(store.usage(40).bytes, 6 * ChargeOf(1000));
  EXPECT_EQ(store.usage(40).evictions, 4u);
  EXPECT_EQ(store.usage(2).entries, 4u);
  EXPECT_EQ(store.usage(2).bytes, 4 * ChargeOf(1000));
  EXPECT_EQ(store.usage(2).evictions, 0u);
  EXPECT_EQ(store.usage(12345).entries, 0u);
  const StoreStats stats = store.stats();
  EXPECT_EQ(stats.entries, 10u);
  EXPECT_EQ(stats.insertions, 14u);
  EXPECT_EQ(stats.evictions, 4u);
  EXPECT_EQ(stats.bytes, stats.budget_bytes);
}

TEST(StoreBasic, OneLargeEntryMayTakeTheWholeBudget) {
  Store store(16 * kMiB);  // 1 MiB per shard, were the budget split
  EXPECT_EQ(Put(&store, 1, 15 * kMiB, 1), Rejection::kNone);
  EXPECT_TRUE(Has(&store, 1));
}

TEST(StoreBasic, TheProcessHasOne) { EXPECT_EQ(&Store::Process(), &Store::Process()); }

}  // namespace
}  // namespace actcache
