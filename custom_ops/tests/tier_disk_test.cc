#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "tier/disk/directory.h"
#include "tier/disk/disk_tier.h"
#include "tier/disk/limits.h"
#include "tier/disk/schema.h"
#include "tier_disk_testing.h"

namespace actcache {

std::uint64_t DiskUsage(const std::string& path) {
  namespace fs = std::filesystem;
  std::uint64_t blocks = 0;
  const auto add = [&](const fs::path& one) {
    struct stat status{};
    if (lstat(one.c_str(), &status) == 0) blocks += static_cast<std::uint64_t>(status.st_blocks);
  };
  add(path);
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(
           path, fs::directory_options::skip_permission_denied, error)) {
    add(entry.path());
  }
  return blocks * 512;
}

namespace {

using DiskTierTest = DiskStoreTest;

TEST_F(DiskTierTest, WhatWasPutIsThereAfterReopening) {
  {
    DiskTier tier(store(), 0);
    PutOne(&tier, 1, kSmall);
    PutOne(&tier, 2, kLarge);
    EXPECT_TRUE(IsTestValue(GetOne(&tier, 1), 1));
    EXPECT_EQ(tier.stats().stored, 2u);
    EXPECT_EQ(tier.stats().budget_bytes, kDefaultDiskBudget);
  }
  DiskTier tier(store(), 0);
  const Record small = GetOne(&tier, 1);
  const Record large = GetOne(&tier, 2);
  ASSERT_TRUE(small);
  ASSERT_TRUE(large);
  EXPECT_TRUE(IsTestValue(small, 1));
  EXPECT_TRUE(IsTestValue(large, 2));
  EXPECT_EQ(small.spec(0).bytes, kSmall);
  EXPECT_EQ(large.fields().region, "region");
  EXPECT_FALSE(GetOne(&tier, 3));
  const TierStats stats = tier.stats();
  EXPECT_EQ(stats.hits, 2u);
  EXPECT_EQ(stats.misses, 1u);
  EXPECT_EQ(stats.entries, 2u);
  EXPECT_EQ(stats.errors, 0u);
}

TEST_F(DiskTierTest, NobodyWaitsForALockBeyondTheDeadline) {
  const DiskTier tier(store(), 0);
  const auto holder = OpenIndex(store(), Database::Access::kWrite, 100);
  const Transaction held(holder.get(), Transaction::Kind::kWrite);
  const auto waiter = OpenIndex(store(), Database::Access::kWrite, /*busy_timeout_ms=*/30'000);
  const std::uint64_t begin = SteadyNow();
  const WaitLimit limit(begin + 1'000'000);
  EXPECT_THROW(Transaction(waiter.get(), Transaction::Kind::kWrite), DatabaseError);
  EXPECT_LT(SteadyNow() - begin, 15'000'000'000u);
}

TEST_F(DiskTierTest, ABatchIsAnsweredKeyByKey) {
  DiskTier tier(store(), 0);
  for (std::uint64_t i = 0; i < 10; i += 2) PutOne(&tier, i, i == 4 ? kLarge : kSmall);
  std::vector<TierKey> keys;
  for (std::uint64_t i = 0; i < 10; ++i) keys.push_back(TestKey(i));
  std::vector<Record> found(keys.size());
  tier.Get(keys.data(), keys.size(), ~std::uint64_t{0}, found.data());
  for (std::uint64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(static_cast<bool>(found[i]), i % 2 == 0) << i;
    if (i % 2 == 0) {
      EXPECT_TRUE(IsTestValue(found[i], i));
    }
  }
}

TEST_F(DiskTierTest, NothingIsReadAfterTheDeadline) {
  DiskTier tier(store(), 0);
  PutOne(&tier, 1, kSmall);
  const TierKey key = TestKey(1);
  Record found;
  tier.Get(&key, 1, SteadyNow(), &found);
  EXPECT_FALSE(found);
  EXPECT_EQ(tier.stats().late, 1u);
}

TEST_F(DiskTierTest, RemovedAndExpiredValuesAreGone) {
  DiskTier tier(store(), 0);
  PutOne(&tier, 1, kSmall);
  PutOne(&tier, 2, kLarge);
  const Record expired[] = {TestRecord(3, kSmall, tier.secret(), UnixNow() - 1),
                            TestRecord(4, kLarge, tier.secret(), UnixNow() - 1)};
  tier.Put(expired, 2);
  EXPECT_FALSE(GetOne(&tier, 3));
  EXPECT_FALSE(GetOne(&tier, 4));
  const TierKey keys[] = {TestKey(1), TestKey(2)};
  tier.Remove(keys, 2);
  EXPECT_FALSE(GetOne(&tier, 1));
  EXPECT_FALSE(GetOne(&tier, 2));
  tier.Maintain();
  EXPECT_EQ(tier.stats().entries, 0u);
  EXPECT_EQ(tier.stats().bytes, 0u);
  EXPECT_EQ(tier.stats().damaged, 0u);
  EXPECT_EQ(tier.stats().errors, 0u);
}

TEST_F(DiskTierTest, AnotherProcessSeesAndAddsToTheSameStore) {
#if defined(ACTCACHE_EMULATED)
  GTEST_SKIP() << "the system cannot start a program of another processor by itself";
#endif
  DiskTier mine(store(), 0);
  PutOne(&mine, 1, kSmall);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    execl("/proc/self/exe", "tests", "--gtest_filter=DiskTierChild.*",
          "--gtest_also_run_disabled_tests", ("--folder=" + store()).c_str(), nullptr);
    _exit(100);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(IsTestValue(GetOne(&mine, 2), 2));
}

// The value of --NAME=VALUE in this process's command line.
std::string Argument(const std::string& name) {
  std::ifstream file("/proc/self/cmdline");
  for (std::string argument; std::getline(file, argument, '\0');) {
    if (argument.rfind("--" + name + "=", 0) == 0) return argument.substr(name.size() + 3);
  }
  return "";
}

TEST(DiskTierChild, DISABLED_ReadsAndWrites) {
  DiskTier tier(Argument("folder"), 0);
  EXPECT_TRUE(IsTestValue(GetOne(&tier, 1), 1));
  PutOne(&tier, 2, kLarge);
  EXPECT_EQ(tier.stats().stored, 1u);
}

TEST_F(DiskTierTest, AForkedChildUsesTheStoreToo) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer takes the parent's locks for the child's";
#endif
  DiskTier tier(store(), 0);
  PutOne(&tier, 1, kSmall);
  EXPECT_TRUE(GetOne(&tier, 1));
  tier.LockForFork();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    tier.ReopenInForkedChild();
    alarm(60);
    // While the other process writes, an index that is busy is a miss.
    while (!IsTestValue(GetOne(&tier, 1), 1)) continue;
    while (!IsTestValue(GetOne(&tier, 2), 2)) PutOne(&tier, 2, kLarge);
    _exit(0);
  }
  tier.UnlockAfterFork();
  while (!IsTestValue(GetOne(&tier, 3), 3)) PutOne(&tier, 3, kLarge);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  for (const std::uint64_t number : {1U, 2U, 3U}) {
    EXPECT_TRUE(IsTestValue(GetOne(&tier, number), number)) << number;
  }
  EXPECT_EQ(tier.stats().errors, 0u);
}

TEST_F(DiskTierTest, TheBudgetHoldsForSmallAndLargeValues) {
  const std::uint64_t budget = kMinDiskBudget;
  DiskTier tier(store(), budget);
  std::uint64_t most = 0;
  std::uint64_t number = 0;
  for (const std::size_t bytes : {kSmall * 20, kLarge, kSmall, kLarge * 2}) {
    // More than the budget of each, so that each has to push the others out.
    const std::uint64_t batch = budget / 20 / bytes;
    for (std::uint64_t written = 0; written < budget / 8 * 9; written += batch * bytes) {
      std::vector<Record> records;
      for (std::uint64_t i = 0; i < batch; ++i) {
        records.push_back(TestRecord(number++, bytes, tier.secret()));
      }
      tier.Put(records.data(), records.size());
      most = std::max(most, DiskUsage(store()));
    }
    EXPECT_TRUE(IsTestValue(GetOne(&tier, number - 1), number - 1)) << bytes;
  }
  EXPECT_LE(most, budget);
  EXPECT_GT(most, budget / 2);
  EXPECT_GT(tier.stats().evicted, 0u);
  EXPECT_EQ(tier.stats().errors, 0u);
}

TEST_F(DiskTierTest, WhatIsDearStaysAndWhatIsCheapLeaves) {
  DiskTier tier(store(), kMinDiskBudget);
  for (std::uint64_t i = 0; i < 10; ++i) PutOne(&tier, i, kLarge, /*cost_ns=*/1'000'000'000);
  for (std::uint64_t i = 100; i < 300; ++i) PutOne(&tier, i, kLarge, /*cost_ns=*/1000);
  for (std::uint64_t i = 0; i < 10; ++i) EXPECT_TRUE(GetOne(&tier, i)) << i;
}

TEST_F(DiskTierTest, ALowerBudgetIsKeptToByMaintain) {
  {
    DiskTier tier(store(), 4 * kMinDiskBudget);
    for (std::uint64_t i = 0; i < 4 * kMinDiskBudget / kLarge; ++i) PutOne(&tier, i, kLarge);
    for (std::uint64_t i = 0; i < 200; ++i) PutOne(&tier, 10'000 + i, 30 * kSmall);
  }
  ASSERT_GT(DiskUsage(store()), kMinDiskBudget);
  DiskTier tier(store(), kMinDiskBudget);
  for (int i = 0; i < 50 && DiskUsage(store()) > kMinDiskBudget; ++i) tier.Maintain();
  EXPECT_LE(DiskUsage(store()), kMinDiskBudget);
}

TEST_F(DiskTierTest, OthersMayNeitherReadNorWrite) {
  const DiskTier tier(store(), 0);
  const auto mode = [&](const std::string& path) {
    struct stat status{};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  };
  EXPECT_EQ(mode(store()), 0700u);
  EXPECT_EQ(mode(store() + "/secret"), 0600u);
  EXPECT_EQ(mode(IndexPath(store())), 0600u);
  std::filesystem::permissions(store() + "/secret", std::filesystem::perms(0644));
  EXPECT_THROW(DiskTier(store(), 0), DirectoryError);
  std::filesystem::permissions(store() + "/secret", std::filesystem::perms(0600));
  std::filesystem::permissions(store(), std::filesystem::perms(0777));
  EXPECT_THROW(DiskTier(store(), 0), DirectoryError);
  std::filesystem::permissions(store(), std::filesystem::perms(0700));
}

TEST_F(DiskTierTest, ThreadsReadWhileOneWrites) {
  DiskTier tier(store(), kMinDiskBudget);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> read{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      for (std::uint64_t n = static_cast<std::uint64_t>(i); !done || read == 0; ++n) {
        const Record found = GetOne(&tier, n % 100);
        if (!found) continue;
        ++read;
        if (!IsTestValue(found, n % 100)) ++wrong;
      }
    });
  }
  for (std::uint64_t n = 0; n < 200; ++n) PutOne(&tier, n % 100, n % 3 == 0 ? kLarge : kSmall);
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(read, 0u);
}

}  // namespace
}  // namespace actcache
