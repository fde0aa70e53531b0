// What is charged against budget and quota, to the byte.
#include "store/ledger.h"

#include <gtest/gtest.h>

#include <cstddef>

namespace actcache {
namespace {

using Verdict = Ledger::Verdict;

TEST(Ledger, FillsTheBudgetToTheLastByteAndNotOneMore) {
  Ledger ledger(100);
  EXPECT_EQ(ledger.TryCharge({0, 0}, 60, 0), Verdict::kCharged);
  EXPECT_EQ(ledger.TryCharge({1, 0}, 41, 0), Verdict::kFull);
  EXPECT_EQ(ledger.Deficit({1, 0}, 41, 0), 1u);
  EXPECT_EQ(ledger.TryCharge({1, 0}, 40, 0), Verdict::kCharged);
  EXPECT_EQ(ledger.stats().bytes, 100u);
  EXPECT_EQ(ledger.TryCharge({0, 0}, 101, 0), Verdict::kTooLarge);
}

TEST(Ledger, FillsAQuotaToTheLastByteAndNotOneMore) {
  Ledger ledger(1000);
  ledger.SetQuota(50);
  EXPECT_EQ(ledger.TryCharge({1, 0}, 30, 0), Verdict::kCharged);
  EXPECT_EQ(ledger.TryCharge({1, 0}, 21, 0), Verdict::kOverQuota);
  EXPECT_EQ(ledger.Deficit({1, 0}, 21, 0), 1u);
  EXPECT_EQ(ledger.TryCharge({1, 0}, 20, 0), Verdict::kCharged);
  EXPECT_EQ(ledger.TryCharge({2, 0}, 50, 0), Verdict::kCharged);
  EXPECT_EQ(ledger.TryCharge({3, 0}, 51, 0), Verdict::kTooLarge);
}

TEST(Ledger, HasNoRoomForRegionsAndNamespacesBeyondTheLimit) {
  Ledger ledger(1000);
  EXPECT_EQ(ledger.TryCharge({kMaxRegions, 0}, 1, 0), Verdict::kTooLarge);
  EXPECT_EQ(ledger.TryCharge({0, kMaxNamespaces}, 1, 0), Verdict::kTooLarge);
  EXPECT_EQ(ledger.stats().bytes, 0u);
}

TEST(Ledger, RoomThatWasMadeIsUsedAndTheRestReturned) {
  Ledger ledger(100);
  ASSERT_EQ(ledger.TryCharge({0, 0}, 100, 0), Verdict::kCharged);
  ledger.Take({0, 0}, 70);
  EXPECT_EQ(ledger.TryCharge({0, 0}, 71, 70), Verdict::kFull);
  EXPECT_EQ(ledger.TryCharge({0, 0}, 50, 70), Verdict::kCharged);
  EXPECT_EQ(ledger.stats().bytes, 80u);
}

}  // namespace
}  // namespace actcache
