// What the store takes from the system: bookkeeping, memory given back, and none to be had.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "base/block_pool.h"
#include "base/memory.h"
#include "base/sanitized.h"
#include "resident.h"
#include "store_testing.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::size_t Bookkeeping(const TensorSpec& spec) {
  Store store(std::size_t{1} << 50);
  return store.Reserve(OfferOf(1, {spec})).charge() - spec.bytes;
}

TEST(StoreMemory, BookkeepingTakes128Bytes) {
  for (std::size_t bytes = 0; bytes < 70; ++bytes) {
    const auto size = static_cast<std::int64_t>(bytes);
    EXPECT_LE(Bookkeeping({1, {1, 1, size}, bytes}), bytes % 16 <= 8 ? 128u : 135u) << bytes;
  }
  for (const std::int64_t width : {64, 384, 768, 1000}) {
    for (const std::int64_t length : {1, 8, 16}) {
      const auto bytes = static_cast<std::size_t>(length * width * 4);
      EXPECT_LE(Bookkeeping({1, {1, length, width}, bytes}), 128u) << bytes;
      EXPECT_LE(Bookkeeping({1, {length, width}, bytes}), 128u) << bytes;
      EXPECT_LE(Bookkeeping({1, {length * width}, bytes}), 128u) << bytes;
    }
  }
}

// The sanitizers bring their own allocators.
#if !ACTCACHE_SANITIZED && defined(__GLIBC__)

std::size_t InUse() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd + BlockPool::Process().held();
}

// The charges cover what malloc and the pool really gave out, index included, for any size; but for
// a little that malloc keeps of what was freed (the arrays of the index before they grew).
TEST(StoreMemory, IsChargedAsItIs) {
  constexpr std::size_t kKept = 256 << 10;
  for (const std::size_t bytes : {1u, 8u, 16u, 100u, 1000u, 1024u, 5000u, 9000u, 100000u}) {
    Store store(std::size_t{1} << 40);
    const std::size_t before = InUse();
    const std::uint64_t count = bytes < 9000 ? 20000 : 100;
    for (std::uint64_t n = 0; n < count; ++n) {
      ASSERT_EQ(Put(&store, n, bytes, 1000), Rejection::kNone);
    }
    const std::size_t real = InUse() - before;
    EXPECT_LE(real, store.stats().bytes + kKept) << bytes;
    EXPECT_GE(real, store.stats().bytes - count * 16) << bytes;
  }
}

// Of malloc, and of the pool.
class StoreMemoryOf : public ::testing::TestWithParam<std::size_t> {
 protected:
  // 100 MB, all of it touched.
  void FillUp(Store* store) const {
    const auto specs = Bytes(GetParam());
    for (std::uint64_t n = 0; n < 100000000 / GetParam(); ++n) {
      Draft draft = store->Reserve(OfferOf(n, specs, 1000, {static_cast<std::uint32_t>(n % 2), 0}));
      ASSERT_TRUE(draft);
      std::memset(draft.data(0), 1, draft.bytes(0));
      ASSERT_TRUE(store->Publish(std::move(draft)));
    }
  }
};

TEST_P(StoreMemoryOf, GoesBackToTheSystem) {
  Store store(512 * kMiB);
  const std::size_t before = ResidentBytes();
  FillUp(&store);
  // Between the entries, so that the heap cannot simply be cut off at its end.
  ASSERT_EQ(Put(&store, 50000, GetParam(), 1000, {2, 0}), Rejection::kNone);
  ASSERT_GT(ResidentBytes(), before + 80 * kMiB);
  Selection one;
  one.name_space = 0;
  store.Invalidate(one, 0);
  one.name_space = 1;
  store.Invalidate(one, 0);
  EXPECT_LT(ResidentBytes(), before + 30 * kMiB);
  FillUp(&store);
  ASSERT_GT(ResidentBytes(), before + 80 * kMiB);
  store.SetBudget(kMiB);
  EXPECT_LT(ResidentBytes(), before + 30 * kMiB);
}

INSTANTIATE_TEST_SUITE_P(Sizes, StoreMemoryOf, ::testing::Values(5000, 10000, 240000, 3000000));

TEST(StoreMemory, LargeEntriesAreInThePool) {
  Store store(64 * kMiB);
  const std::size_t before = BlockPool::Process().held();
  ASSERT_EQ(Put(&store, 1, kPooledBytes / 2, 1000), Rejection::kNone);
  EXPECT_EQ(BlockPool::Process().held(), before);
  ASSERT_EQ(Put(&store, 2, kPooledBytes, 1000), Rejection::kNone);
  EXPECT_GT(BlockPool::Process().held(), before);
  Clear(&store);
  EXPECT_EQ(BlockPool::Process().held(), before);
}

#endif

// Everything a store can do, with an allocation failing at any point: no step may do more than
// refuse, and the accounts hold at every one.
class Scenario {
 public:
  void Play() {
    for (std::uint64_t n = 0; n < 30; ++n) Step([&] { Store(n, false); });
    Step([&] { store_.SetNamespaceQuota(12 * charge_); });
    for (std::uint64_t n = 30; n < 60; ++n) Step([&] { Store(n, false); });
    Step([&] { store_.Pin(OfRegion(1), 0); });
    for (std::uint64_t n = 20; n < 80; ++n) Step([&] { Store(n, true); });
    Step([&] { store_.SetBudget(10 * charge_); });
    Step([&] { store_.Unpin({}, 0); });
    Step([&] { store_.SetBudget(1000 * charge_); });
    for (std::uint64_t n = 80; n < 120; ++n) Step([&] { Store(n, false); });
    Step([&] { store_.Find(KeyNumber(90), {~std::uint64_t{0} >> 12}); });
    Step([&] { store_.Remove(KeyNumber(91), Ledger::Removal::kMismatched); });
    Step([&] { store_.Invalidate(OfRegion(2), 0); });
    Step([&] { store_.SetNamespaceQuota(0); });
  }

  // With memory again, the store is as good as new.
  void ExpectSound() {
    for (std::uint64_t n = 200; n < 300; ++n)
      EXPECT_EQ(Put(&store_, n, 100, 1000), Rejection::kNone);
    for (std::uint64_t n = 200; n < 300; ++n) EXPECT_TRUE(Has(&store_, n));
    const std::size_t entries = store_.stats().entries;
    EXPECT_EQ(Clear(&store_), entries);
    EXPECT_EQ(store_.stats().bytes, 0u);
    EXPECT_EQ(store_.stats().entries, 0u);
    EXPECT_EQ(store_.stats().pinned_bytes, 0u);
  }

 private:
  static Selection OfRegion(std::uint32_t region) {
    Selection selection;
    selection.regions = {region};
    return selection;
  }

  void Store(std::uint64_t n, bool replace) {
    const auto specs = Bytes(100);
    const auto id = static_cast<std::uint32_t>(n);
    Offer offer = OfferOf(n, specs, 1000 + n, {id % 40, id % 20});
    offer.replace = replace;
    PutCandidate(&store_, offer);
    if (const EntryRef found = Get(&store_, n)) {
      EXPECT_TRUE(Holds(KeyNumber(n), found->data(0), found->bytes(0)));
    }
  }

  void Step(const std::function<void()>& step) {
    step();
    const StoreStats stats = store_.stats();
    EXPECT_LE(stats.bytes, stats.budget_bytes);
    EXPECT_EQ(stats.bytes % 16, 0u);
    EXPECT_EQ(stats.entries, stats.insertions - stats.evictions - stats.expired -
                                 stats.invalidated - stats.replaced);
  }

  const std::size_t charge_ = ChargeOf(100);
  actcache::Store store_{40 * charge_};
};

TEST(StoreMemory, EveryAllocationMayFail) {
  std::uint64_t nth = 1;
  for (bool failed = true; failed; ++nth) {
    Scenario scenario;
    FailAllocationsFromForTest(nth);
    scenario.Play();
    void* const more = Allocate(1);
    failed = more == nullptr;
    Free(more);
    FailAllocationsFromForTest(0);
    scenario.ExpectSound();
    if (HasFailure()) FAIL() << "allocation " << nth;
  }
  EXPECT_GT(nth, 100u);
}

}  // namespace
}  // namespace actcache
