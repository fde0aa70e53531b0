#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hash/hasher.h"
#include "tier/fetch_times.h"
#include "tier/region_use.h"
#include "tier/tiers.h"
#include "tier/write_queue.h"
#include "tier_testing.h"

namespace actcache {
namespace {

constexpr std::uint64_t kLong = 20'000'000'000;

// Keeps everything, in a list.
class ListTier : public Tier {
 public:
  const char* name() const noexcept override { return "list"; }
  const DigestKey& secret() const noexcept override { return secret_; }
  bool available() const noexcept override { return true; }
  void Get(const TierKey*, std::size_t, std::uint64_t, Record*) noexcept override {}
  void Put(const Record* records, std::size_t count) noexcept override {
    writing = true;
    while (hold) std::this_thread::yield();
    for (std::size_t i = 0; i < count; ++i) {
      const char* problem = nullptr;
      Record::Open(Buffer::Copy(records[i].data(), records[i].size()), records[i].fields().key,
                   secret_, &problem);
      if (problem != nullptr) unsound = true;
      log.push_back({records[i].fields().key, true});
    }
  }
  void Remove(const TierKey* keys, std::size_t count) noexcept override {
    for (std::size_t i = 0; i < count; ++i) log.push_back({keys[i], false});
  }
  TierStats stats() const noexcept override { return {}; }
  void LockForFork() noexcept override {}
  void UnlockAfterFork() noexcept override {}
  void ReopenInForkedChild() noexcept override {}

  std::vector<std::pair<TierKey, bool>> log;  // of the queue's thread, until it is flushed
  std::atomic<bool> hold{false};
  std::atomic<bool> writing{false};  // Put() was called
  std::atomic<bool> unsound{false};

 private:
  const DigestKey secret_{{1, 2, 3}};
};

Record Unsealed(std::uint64_t number, std::size_t bytes) {
  return TestRecord(number, bytes, DigestKey{});
}

TEST(WriteQueue, WritesSealedRecordsInOrder) {
  ListTier tier;
  WriteQueue queue(&tier);
  queue.Put(Unsealed(1, 100), false);
  queue.Remove(TestKey(2));
  queue.Put(Unsealed(3, 100), true);
  ASSERT_TRUE(queue.Flush(kLong));
  const std::vector<std::pair<TierKey, bool>> wanted = {
      {TestKey(1), true}, {TestKey(2), false}, {TestKey(3), false}, {TestKey(3), true}};
  EXPECT_EQ(tier.log, wanted);
  EXPECT_FALSE(tier.unsound);
  EXPECT_EQ(queue.stats().queued_bytes, 0u);
  EXPECT_TRUE(queue.Finish(kLong));
}

TEST(WriteQueue, DropsWhatFindsNoRoomAndWaitsForNothing) {
  ListTier tier;
  tier.hold = true;
  WriteQueue queue(&tier, 10'000);
  std::uint64_t kept = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    if (!queue.HasRoom(1000)) continue;
    queue.Put(Unsealed(i, 1000), false);
    ++kept;
  }
  EXPECT_GT(kept, 0u);
  EXPECT_LE(kept, 10u);
  EXPECT_GE(queue.stats().dropped, 90u);
  EXPECT_FALSE(queue.Flush(1'000'000));
  tier.hold = false;
  EXPECT_TRUE(queue.Finish(kLong));
  EXPECT_EQ(tier.log.size() + queue.stats().dropped, 100u);
}

TEST(WriteQueue, ItsRoomHoldsForWhoeverDoesNotAskFirst) {
  ListTier tier;
  tier.hold = true;
  WriteQueue queue(&tier, 10'000);
  for (std::uint64_t i = 0; i < 100; ++i) queue.Put(Unsealed(i, 1000), false);
  EXPECT_LE(queue.stats().queued_bytes, 10'000u);
  EXPECT_GE(queue.stats().dropped, 90u);
  tier.hold = false;
  EXPECT_TRUE(queue.Finish(kLong));
}

TEST(WriteQueue, AFlushWaitsForWhatIsBeingWritten) {
  ListTier tier;
  tier.hold = true;
  WriteQueue queue(&tier);
  queue.Put(Unsealed(1, 100), false);
  while (!tier.writing) std::this_thread::yield();
  EXPECT_FALSE(queue.Flush(1'000'000));
  tier.hold = false;
  EXPECT_TRUE(queue.Flush(kLong));
  EXPECT_TRUE(queue.Finish(kLong));
}

TEST(WriteQueue, AChildWritesNothingOfItsParents) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer takes the parent's locks for the child's";
#elif defined(ACTCACHE_EMULATED)
  GTEST_SKIP()
      << "qemu stops where a child starts threads (qemu_plugin_vcpu_init_hook, seen in 7.2)";
#endif
  ListTier tier;
  tier.hold = true;
  WriteQueue queue(&tier);
  queue.Put(Unsealed(1, 100), false);
  while (!tier.writing) std::this_thread::yield();
  queue.Put(Unsealed(2, 100), false);
  queue.LockForFork();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(60);
    queue.ResetInForkedChild();
    tier.hold = false;
    queue.Put(Unsealed(3, 100), false);
    const bool written = queue.Finish(kLong);
    const std::vector<std::pair<TierKey, bool>> wanted = {{TestKey(3), true}};
    _exit(written && tier.log == wanted ? 0 : 1);
  }
  queue.UnlockAfterFork();
  tier.hold = false;
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(queue.Finish(kLong));
  EXPECT_EQ(tier.log.size(), 2u);
}

TEST(WriteQueue, WhatAnotherTierHadLeavesHalfOfTheRoom) {
  ListTier tier;
  tier.hold = true;
  WriteQueue queue(&tier, 20'000);
  for (std::uint64_t i = 0; i < 100; ++i) queue.Promote(Unsealed(i, 1000));
  const std::uint64_t promoted = queue.stats().promoted;
  EXPECT_GT(promoted, 0u);
  EXPECT_LE(promoted, 10u);
  EXPECT_EQ(queue.stats().dropped, 0u);
  EXPECT_TRUE(queue.HasRoom(8000));
  queue.Put(Unsealed(200, 8000), false);
  EXPECT_EQ(queue.stats().dropped, 0u);
  tier.hold = false;
  EXPECT_TRUE(queue.Finish(kLong));
  EXPECT_EQ(tier.log.size(), promoted + 1);
  EXPECT_FALSE(tier.unsound);
}

TEST(WriteQueue, FinishWritesWhatWaits) {
  ListTier tier;
  WriteQueue queue(&tier);
  for (std::uint64_t i = 0; i < 1000; ++i) queue.Put(Unsealed(i, 100), false);
  EXPECT_TRUE(queue.Finish(kLong));
  EXPECT_EQ(tier.log.size(), 1000u);
  queue.Put(Unsealed(1, 100), false);
  EXPECT_EQ(queue.stats().dropped, 1u);
}

TEST(FetchTimes, KnowsSizesApart) {
  FetchTimes times;
  EXPECT_EQ(times.Found(1000), 0u);
  times.Add(1, 0, 0, 100);
  times.Add(1, 1, 1000, 1'000'000);  // the first one of all may have had to wait
  EXPECT_EQ(times.Found(1000), 0u);
  for (int i = 0; i < 4; ++i) times.Add(2, 2, 2000, 3000);
  EXPECT_EQ(times.Absent(), 100u);
  EXPECT_EQ(times.Found(1000), 1500u);
  EXPECT_EQ(times.Found(100), 1500u);
  EXPECT_EQ(times.Found(4000), 6000u);
}

TEST(RegionUse, AsksWhereFetchingIsFasterAndThingsAreFound) {
  FetchTimes times;
  RegionUse region;
  EXPECT_TRUE(region.Asks(0, times, 0));
  for (int i = 0; i < 3; ++i) times.Add(1, 1, 1000, 10'000);
  times.Add(1, 0, 0, 1000);
  region.Seen(1000, 0);
  EXPECT_TRUE(region.Asks(0, times, 20'000));
  int asked = 0;
  for (int i = 0; i < 320; ++i) asked += region.Asks(0, times, 15'000) ? 1 : 0;
  EXPECT_EQ(asked, 10);
  for (int i = 0; i < 1000; ++i) region.Asked(0, 1, 0);
  asked = 0;
  for (int i = 0; i < 320; ++i) asked += region.Asks(0, times, 1'000'000) ? 1 : 0;
  EXPECT_EQ(asked, 10);
  for (int i = 0; i < 20; ++i) region.Asked(0, 1, 1);
  EXPECT_TRUE(region.Asks(0, times, 1'000'000));
}

class TiersTest : public testing::Test {
 protected:
  static TierSettings OnDisk(const std::string& folder) {
    TierSettings settings;
    settings.disk_path = folder;
    return settings;
  }
  void TearDown() override { Tiers::Process().Configure({}); }
  TestFolder folder_;
};

TEST_F(TiersTest, WhatIsPutIsFoundByTheNextProcess) {
  Tiers& tiers = Tiers::Process();
  EXPECT_FALSE(tiers.on());
  tiers.Configure(OnDisk(folder_.path() + "/store"));
  ASSERT_TRUE(tiers.on());
  RegionUse region;
  RecordFields fields;
  fields.key = TestKey(7);
  fields.cost_ns = 1'000'000'000;
  const std::vector<TensorSpec> specs = {{2, {100}, 100}};
  const auto fill = [](Record* record) { FillWithTestBytes(record->payload(0), 7, 100); };
  tiers.Put(&region, fields, specs, fill, false);
  tiers.Configure({});  // writes what waits
  EXPECT_FALSE(tiers.on());
  tiers.Configure(OnDisk(folder_.path() + "/store"));
  const TierKey keys[] = {TestKey(6), TestKey(7)};
  std::vector<Tiers::Found> found(2);
  tiers.Get(&region, keys, 2, 0, found.data());
  EXPECT_FALSE(found[0].record);
  ASSERT_TRUE(found[1].record);
  EXPECT_TRUE(IsTestValue(found[1].record, 7));
  EXPECT_STREQ(Tiers::NameOf(found[1].tier), "disk");
  ASSERT_EQ(tiers.states().size(), 1u);
  EXPECT_EQ(tiers.states()[0].tier.hits, 1u);
}

// Keys hashed with the secret of the store mean the same to whoever uses the store.
TEST_F(TiersTest, TheSecretOfTheStoreKeysAllHashes) {
  const auto name_in = [&](const std::string& store) {
    Tiers::Process().Configure(OnDisk(folder_.path() + "/" + store));
    KeyTail tail;
    const Key key = Hasher(HashKind::kBlake3).Finish(&tail);
    return TierKeyOf(key, tail);
  };
  const TierKey first = name_in("a");
  EXPECT_NE(name_in("b"), first);
  EXPECT_EQ(name_in("a"), first);
  EXPECT_NE(TierKeyOf(Key{{1, 2}}, KeyTail{{3, 4}}), TierKeyOf(Key{{1, 2}}, KeyTail{{3, 5}}));
  EXPECT_NE(TierKeyOf(Key{{1, 2}}, KeyTail{{3, 4}}), TierKeyOf(Key{{1, 0}}, KeyTail{{3, 4}}));
}

TEST_F(TiersTest, WhatIsFetchedNoFasterThanComputedIsNotWritten) {
  Tiers& tiers = Tiers::Process();
  tiers.Configure(OnDisk(folder_.path() + "/store"));
  RegionUse region;
  const std::vector<TensorSpec> specs = {{2, {100}, 100}};
  const auto put = [&](std::uint64_t number, std::uint64_t cost_ns) {
    RecordFields fields;
    fields.key = TestKey(number);
    fields.cost_ns = cost_ns;
    tiers.Put(&region, fields, specs, [](Record*) {}, false);
  };
  put(1, 1'000'000'000);
  ASSERT_TRUE(tiers.Flush(kLong));
  for (int i = 0; i < 5; ++i) {  // now it is known what fetching takes
    const TierKey key = TestKey(1);
    Tiers::Found found;
    tiers.Get(&region, &key, 1, 0, &found);
    ASSERT_TRUE(found.record);
  }
  put(2, 1);
  put(3, 1'000'000'000);
  ASSERT_TRUE(tiers.Flush(kLong));
  EXPECT_EQ(tiers.states().at(0).tier.stored, 2u);
}

TEST_F(TiersTest, AFolderThatWillNotDoIsRefusedAndChangesNothing) {
  Tiers& tiers = Tiers::Process();
  tiers.Configure(OnDisk(folder_.path() + "/store"));
  EXPECT_THROW(tiers.Configure(OnDisk("/proc/no/such/folder")), std::runtime_error);
  ASSERT_TRUE(tiers.on());
  EXPECT_THROW(tiers.Configure(OnDisk("/dev/null")), std::runtime_error);
  EXPECT_TRUE(tiers.on());
}

}  // namespace
}  // namespace actcache
