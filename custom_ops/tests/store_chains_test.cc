// Chains in the store: what is left of one is its beginning, whatever presses.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "store_testing.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

constexpr double kFirst = std::numeric_limits<double>::infinity();
constexpr std::size_t kBytes = 1000;

// The keys of chain `chain` are those numbers.
std::uint64_t Number(std::uint64_t chain, std::size_t unit) { return chain * 1000 + unit; }

// What the operators do about a call: it finds the beginning of its chain, and offers the rest.
// Returns how many units it found.
std::size_t Call(Store* store, std::uint64_t chain, std::size_t length, std::uint64_t cost_ns,
                 EntryTag tag = {0, 0}) {
  const auto specs = Bytes(kBytes);
  double before = kFirst;
  std::size_t unit = 0;
  while (unit < length && store->Find(KeyNumber(Number(chain, unit)), {0}, nullptr, &before)) {
    ++unit;
  }
  const std::size_t found = unit;
  for (; unit < length; ++unit) {
    Offer offer = OfferOf(Number(chain, unit), specs, cost_ns, tag);
    offer.before = before;
    offer.followers = length - 1 - unit;
    Draft draft = store->Reserve(offer);
    if (draft.rejection() == Rejection::kPresent) {
      before = *store->WorthOf(offer.key);
      continue;
    }
    if (!draft) break;
    before = draft.worth();
    store->Publish(std::move(draft));
  }
  return found;
}

std::size_t Kept(Store* store, std::uint64_t chain, std::size_t length) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < length; ++i) {
    if (store->Peek(KeyNumber(Number(chain, i)))) ++kept;
  }
  return kept;
}
// Whether none of them has lost what it follows.
bool IsBeginning(Store* store, std::uint64_t chain, std::size_t length) {
  bool ended = false;
  for (std::size_t i = 0; i < length; ++i) {
    const bool present = static_cast<bool>(store->Peek(KeyNumber(Number(chain, i))));
    if (present && ended) return false;
    ended = ended || !present;
  }
  return true;
}

TEST(StoreChains, KeepTheirBeginningsUnderPressure) {
  constexpr std::size_t kLongest = 60;
  std::mt19937 random(8);
  for (const bool quota : {false, true}) {
    Store store(150 * ChargeOf(kBytes));
    if (quota) store.SetNamespaceQuota(50 * ChargeOf(kBytes));
    std::size_t found = 0;
    for (int call = 0; call < 3000; ++call) {
      const std::uint64_t chain = random() % 12;
      const EntryTag tag{static_cast<std::uint32_t>(chain % 4), 0};
      // The first units of a chain are cheap: they are computed together. Later ones come alone.
      const std::size_t length = 1 + random() % kLongest;
      found += Call(&store, chain, length, 100 + random() % 3000, tag);
      if (call % 7 == 0) Put(&store, 500000 + random() % 100, kBytes, random() % 5000, {5, 1});
      ASSERT_TRUE(IsBeginning(&store, chain, kLongest)) << call;
    }
    for (std::uint64_t chain = 0; chain < 12; ++chain) {
      EXPECT_TRUE(IsBeginning(&store, chain, kLongest)) << chain;
    }
    EXPECT_GT(found, 3000u);
    EXPECT_GT(store.stats().evictions, 1000u);
    store.SetBudget(40 * ChargeOf(kBytes));
    std::size_t left = 0;
    for (std::uint64_t chain = 0; chain < 12; ++chain) {
      EXPECT_TRUE(IsBeginning(&store, chain, kLongest)) << chain;
      left += Kept(&store, chain, kLongest);
    }
    EXPECT_GT(left, 10u);
  }
}

TEST(StoreChains, LongerThanTheBudgetAreKeptAsFarAsTheyFit) {
  Store store(20 * ChargeOf(kBytes));
  for (int call = 0; call < 3; ++call) {
    EXPECT_EQ(Call(&store, 1, 60, 1000), call == 0 ? 0u : 20u);
    EXPECT_EQ(Kept(&store, 1, 20), 20u);
  }
  EXPECT_EQ(store.stats().evictions, 0u) << "nothing was stored to be evicted at once";
}

// Else it would keep what is worth more than the next chain out for good.
TEST(StoreChains, ThatAreRefusedAgeTheStoreAsAWhole) {
  const auto calls_until_in = [](std::size_t length) {
    Store store(40 * ChargeOf(kBytes));
    for (std::uint64_t n = 0; n < 40; ++n) Put(&store, 100000 + n, kBytes, 50000);
    int calls = 0;
    for (std::uint64_t chain = 1; Kept(&store, chain - 1, 1) == 0; ++chain, ++calls) {
      if (calls == 100000) break;
      Call(&store, chain, length, 1000);
    }
    return calls;
  };
  const int of_one = calls_until_in(1);
  const int of_ten = calls_until_in(10);
  EXPECT_GT(of_one, 20);
  EXPECT_LT(of_ten, of_one / 5);
}

// Behind one that is gone nothing is found, so it is worth no more than the rest when that returns.
TEST(StoreChains, AreBoundByABeginningThatIsMadeAnew) {
  Store store(100 * ChargeOf(kBytes));
  for (int call = 0; call < 5; ++call) Call(&store, 1, 10, 5000);
  ASSERT_TRUE(store.Remove(KeyNumber(Number(1, 0)), Ledger::Removal::kMismatched));
  const double tail = *store.WorthOf(KeyNumber(Number(1, 9)));
  Call(&store, 1, 10, 1);
  EXPECT_LT(*store.WorthOf(KeyNumber(Number(1, 0))), tail);
  EXPECT_EQ(Call(&store, 1, 10, 1), 10u);
  for (std::size_t i = 1; i < 10; ++i) {
    EXPECT_LT(*store.WorthOf(KeyNumber(Number(1, i))), *store.WorthOf(KeyNumber(Number(1, i - 1))));
  }
  store.SetBudget(4 * ChargeOf(kBytes));
  EXPECT_EQ(Kept(&store, 1, 10), 4u);
  EXPECT_TRUE(IsBeginning(&store, 1, 10));
}

TEST(StoreChains, EndOneAfterTheOther) {
  Store store(40 * ChargeOf(kBytes));
  for (std::uint64_t chain = 1; chain <= 4; ++chain) Call(&store, chain, 10, 1000);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Call(&store, 3, 10, 1000), 10u);
  EXPECT_EQ(Call(&store, 9, 10, 1000), 0u);
  EXPECT_EQ(Kept(&store, 3, 10), 10u) << "what was found is kept";
  EXPECT_EQ(Kept(&store, 9, 10), 10u);
  std::size_t others = 0;
  for (const std::uint64_t chain : {1, 2, 4}) {
    others += Kept(&store, chain, 10);
    EXPECT_TRUE(IsBeginning(&store, chain, 10)) << chain;
  }
  EXPECT_EQ(others, 20u);
}

}  // namespace
}  // namespace actcache
