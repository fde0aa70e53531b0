// Which values a store in a folder keeps, and that its sums and files follow.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tier/disk/directory.h"
#include "tier/disk/disk_tier.h"
#include "tier/disk/limits.h"
#include "tier/disk/value_files.h"
#include "tier/disk/writer.h"
#include "tier_disk_testing.h"

namespace actcache {
namespace {

// So many large values do not find room in the smallest store.
constexpr std::uint64_t kTooMany = kMinDiskBudget / kLarge + 10;

using DiskValuesTest = DiskStoreTest;

TEST_F(DiskValuesTest, AKeyIsKeptOnce) {
  DiskTier tier(store(), 0);
  for (const std::size_t bytes : {kSmall, kLarge}) {
    PutOne(&tier, bytes, bytes);
    const TierStats once = tier.stats();
    PutOne(&tier, bytes, bytes);
    EXPECT_EQ(tier.stats().entries, once.entries);
    EXPECT_EQ(tier.stats().bytes, once.bytes);
    EXPECT_EQ(tier.stats().errors, 0u);
    EXPECT_TRUE(IsTestValue(GetOne(&tier, bytes), bytes));
  }
}

TEST_F(DiskValuesTest, WhoWritesSaysWhichSizeGetsAFile) {
  DiskTier tier(store(), 0);
  const ValueFiles files(store());
  for (const std::uint64_t limit : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    DiskWriter writer(store(), files, limit);
    writer.SetBudget(0);
    for (const std::size_t bytes : {kSmall, kLarge}) {
      const Record record = TestRecord(bytes + limit % 2, bytes, tier.secret());
      EXPECT_EQ(writer.Put(&record, 1).stored, 1u);
      EXPECT_TRUE(IsTestValue(GetOne(&tier, bytes + limit % 2), bytes + limit % 2));
    }
  }
  std::size_t in_files = 0;
  for (std::uint64_t folder = 0; folder < ValueFiles::kFolders; ++folder) {
    in_files += files.List(folder).size();
  }
  EXPECT_EQ(in_files, 2u);
}

TEST_F(DiskValuesTest, WhatHasExpiredLeavesThoughNobodyAsks) {
  DiskTier tier(store(), 0);
  for (const std::size_t bytes : {kSmall, kLarge}) {
    const Record record = TestRecord(bytes, bytes, tier.secret(), UnixNow() - 1);
    tier.Put(&record, 1);
  }
  PutOne(&tier, 1, kSmall);
  ASSERT_EQ(tier.stats().entries, 3u);
  tier.Maintain();
  EXPECT_EQ(tier.stats().entries, 1u);
}

TEST_F(DiskValuesTest, OneValueDoesNotPushOutAllOthers) {
  DiskTier tier(store(), kMinDiskBudget);
  const DiskLimits limits(kMinDiskBudget);
  PutOne(&tier, 1, limits.largest_value() + 1, /*cost_ns=*/1'000'000'000);
  EXPECT_EQ(tier.stats().refused, 1u);
  EXPECT_FALSE(GetOne(&tier, 1));
  PutOne(&tier, 2, limits.largest_value() - 1000);
  EXPECT_TRUE(IsTestValue(GetOne(&tier, 2), 2));
}

TEST_F(DiskValuesTest, AValueWhoseFileCannotBeWrittenIsNotThere) {
  DiskTier tier(store(), 0);
  std::filesystem::remove_all(store() + "/values");
  std::ofstream(store() + "/values") << "a file where the folder should be";
  PutOne(&tier, 1, kLarge);
  EXPECT_EQ(tier.stats().refused, 1u);
  EXPECT_EQ(tier.stats().stored, 0u);
  std::filesystem::remove(store() + "/values");
  tier.Maintain();
  EXPECT_EQ(tier.stats().entries, 0u);
  EXPECT_EQ(tier.stats().bytes, 0u);
  PutOne(&tier, 1, kLarge);
  EXPECT_TRUE(IsTestValue(GetOne(&tier, 1), 1));
}

std::size_t FilesBelow(const std::string& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    count += entry.is_regular_file() ? 1 : 0;
  }
  return count;
}

TEST_F(DiskValuesTest, FilesGoWithTheirEntriesAndThoseWithoutOneGo) {
  DiskTier tier(store(), 0);
  for (std::uint64_t i = 0; i < 5; ++i) PutOne(&tier, i, kLarge);
  EXPECT_EQ(FilesBelow(store() + "/values"), 5u);
  const TierKey keys[] = {TestKey(1), TestKey(3)};
  tier.Remove(keys, 2);
  EXPECT_EQ(FilesBelow(store() + "/values"), 3u);
  // As a process leaves it that was killed: in the folder that is looked through first.
  std::filesystem::create_directories(store() + "/values/00");
  std::ofstream(store() + "/values/00/6400") << "of nobody";
  tier.Maintain();
  EXPECT_FALSE(std::filesystem::exists(store() + "/values/00/6400"));
  EXPECT_EQ(FilesBelow(store() + "/values"), 3u);
}

TEST_F(DiskValuesTest, WhatIsUsedStays) {
  DiskTier tier(store(), kMinDiskBudget);
  for (std::uint64_t i = 0; i < 5; ++i) PutOne(&tier, i, kLarge);
  for (int round = 0; round < 5; ++round) {
    for (std::uint64_t i = 0; i < 5; ++i) EXPECT_TRUE(GetOne(&tier, i));
    tier.Maintain();
  }
  for (std::uint64_t i = 100; i < 100 + 2 * kTooMany; ++i) PutOne(&tier, i, kLarge);
  EXPECT_GT(tier.stats().evicted, kTooMany / 2);
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_TRUE(GetOne(&tier, i)) << i;
}

// How many large values find room in the smallest store.
std::uint64_t MostIn(const std::string& folder) {
  DiskTier tier(folder, kMinDiskBudget);
  std::uint64_t number = 0;
  while (tier.stats().evicted == 0 && number < kTooMany) PutOne(&tier, number++, kLarge);
  return number - 1;
}

TEST_F(DiskValuesTest, WhatWasDearOnceLeavesForALoadThatGoesOn) {
  const std::uint64_t most = MostIn(folder_.path() + "/another");
  ASSERT_GT(most, 30u);
  DiskTier tier(store(), kMinDiskBudget);
  for (std::uint64_t i = 0; i < most; ++i) PutOne(&tier, i, kLarge, /*cost_ns=*/8'000'000);
  ASSERT_EQ(tier.stats().evicted, 0u);
  std::uint64_t number = 1000;
  const std::uint64_t stored = tier.stats().stored;
  while (tier.stats().stored == stored) {
    PutOne(&tier, number, kLarge, /*cost_ns=*/1'000'000);
    ASSERT_LT(++number, 3000u);
  }
  EXPECT_GT(number, 1010u);  // not at once
}

TEST_F(DiskValuesTest, NoMoreLeavesThanIsNeeded) {
  DiskTier tier(store(), kMinDiskBudget);
  std::uint64_t most = 0;
  std::uint64_t least_later = ~std::uint64_t{0};
  for (std::uint64_t i = 0; i < 2 * kTooMany; ++i) {
    PutOne(&tier, i, kLarge);
    const TierStats stats = tier.stats();
    most = std::max(most, stats.entries);
    if (stats.evicted > 0) least_later = std::min(least_later, stats.entries);
  }
  EXPECT_GT(most, 30u);
  EXPECT_GE(least_later + 5, most);
}

TEST_F(DiskValuesTest, ASecretOfAnotherLengthIsRefused) {
  {
    const DiskTier tier(store(), 0);
  }
  std::ofstream(store() + "/secret", std::ios::binary | std::ios::app) << "more";
  EXPECT_THROW(DiskTier(store(), 0), DirectoryError);
}

}  // namespace
}  // namespace actcache
