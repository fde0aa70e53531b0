// What lookups hand over: it is given out once, bounded, and taken from no run that may go on.
#include "ops/hand_over_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "store/store.h"
#include "store_testing.h"

namespace actcache {
namespace {

constexpr std::size_t kBytes = 1000;
constexpr std::size_t kAll = std::size_t{1} << 30;

class HandOvers : public ::testing::Test {
 protected:
  HandOvers() {
    testing_support::Put(&store_, 1, kBytes, 1);
    entry_ = store_.Peek(testing_support::KeyNumber(1));
  }

  // Of one entry of kBytes.
  std::unique_ptr<HandedOver> Found(std::uint32_t region = 0) {
    auto found = std::make_unique<HandedOver>();
    found->region = region;
    found->tensors.push_back({0, ElementType::kUint8, {kBytes}, Window::Whole(kBytes)});
    found->bytes = kBytes;
    found->entries.push_back(entry_);
    return found;
  }
  HandOverToken Put(std::size_t most = kAll, std::uint64_t now_ns = 0, const void* node = nullptr) {
    return table_.Put(Found(), node, most, now_ns);
  }

  Store store_{std::size_t{1} << 20};
  EntryRef entry_;
  HandOverTable table_;
};

TEST_F(HandOvers, AreGivenOutOnce) {
  const HandOverToken token = table_.Put(Found(7), nullptr, kAll, 0);
  ASSERT_NE(token, kNothingHandedOver);
  EXPECT_EQ(table_.Take(token + 1), nullptr);
  EXPECT_EQ(table_.Take(kNothingHandedOver), nullptr);
  const std::unique_ptr<HandedOver> found = table_.Take(token);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->region, 7u);
  EXPECT_EQ(found->entries.size(), 1u);
  EXPECT_EQ(table_.Take(token), nullptr);
  EXPECT_EQ(table_.count(), 0u);
}

TEST_F(HandOvers, KeepTheirEntriesWhateverTheStoreDoes) {
  const HandOverToken token = Put();
  entry_ = EntryRef();
  store_.SetBudget(0);
  EXPECT_GE(store_.stats().bytes, kBytes);
  table_.Take(token);
  EXPECT_EQ(store_.stats().bytes, 0u);
}

TEST_F(HandOvers, AreBoundedInNumber) {
  std::set<HandOverToken> tokens;
  for (std::size_t i = 0; i < HandOverTable::kMost; ++i) tokens.insert(Put());
  EXPECT_EQ(tokens.size(), HandOverTable::kMost);
  EXPECT_EQ(tokens.count(kNothingHandedOver), 0u);
  EXPECT_EQ(Put(), kNothingHandedOver);
  ASSERT_NE(table_.Take(*tokens.begin()), nullptr);
  EXPECT_NE(Put(), kNothingHandedOver);
  for (auto token = std::next(tokens.begin()); token != tokens.end(); ++token) {
    EXPECT_NE(table_.Take(*token), nullptr);  // nobody lost what was his
  }
}

TEST_F(HandOvers, AreBoundedInBytes) {
  EXPECT_EQ(Put(kBytes - 1), kNothingHandedOver);
  const HandOverToken first = Put(2 * kBytes + 1);
  const HandOverToken second = Put(2 * kBytes + 1);
  EXPECT_EQ(Put(2 * kBytes + 1), kNothingHandedOver);
  EXPECT_EQ(Put(kBytes), kNothingHandedOver);  // the budget was lowered meanwhile
  EXPECT_NE(table_.Take(first), nullptr);
  EXPECT_NE(Put(2 * kBytes), kNothingHandedOver);
  EXPECT_NE(table_.Take(second), nullptr);
}

TEST_F(HandOvers, GiveWayToOthersAfterTenMinutes) {
  const std::uint64_t begin = 1'000;
  const HandOverToken old = Put(2 * kBytes, begin);
  const HandOverToken young = Put(2 * kBytes, begin + 1);
  EXPECT_EQ(Put(2 * kBytes, begin + HandOverTable::kMostNs), kNothingHandedOver);
  EXPECT_EQ(table_.count(), 2u);
  const HandOverToken next = Put(2 * kBytes, begin + HandOverTable::kMostNs + 1);
  EXPECT_EQ(table_.Take(old), nullptr);
  EXPECT_NE(table_.Take(young), nullptr);
  EXPECT_NE(table_.Take(next), nullptr);
}

TEST_F(HandOvers, DoNotGiveWayToACallThatCameEarlierAndGotTheLockLater) {
  const HandOverToken young = Put(kBytes, 1'000);
  EXPECT_EQ(Put(kBytes, 999), kNothingHandedOver);
  EXPECT_NE(table_.Take(young), nullptr);
}

TEST_F(HandOvers, WaitLongerWhileTheirRegionIsComputed) {
  const std::uint64_t hour = 6 * HandOverTable::kMostNs;
  for (const auto& [usual, most] : {std::pair{std::uint64_t{0}, HandOverTable::kDayNs},
                                    {hour, HandOverTable::kDayNs},
                                    {7, HandOverTable::kMostNs + 700}}) {
    std::unique_ptr<HandedOver> found = Found();
    found->computes = true;
    found->computing_ns = usual;
    const HandOverToken computing = table_.Put(std::move(found), nullptr, kBytes, 0);
    EXPECT_EQ(Put(kBytes, most), kNothingHandedOver);
    const HandOverToken next = Put(kBytes, most + 1);
    EXPECT_EQ(table_.Take(computing), nullptr);
    EXPECT_NE(table_.Take(next), nullptr);
  }
}

TEST_F(HandOvers, AreKeptIfThereIsRoomHoweverOld) {
  const HandOverToken old = Put(kAll, 0);
  Put(kAll, 100 * HandOverTable::kMostNs);
  EXPECT_NE(table_.Take(old), nullptr);
}

TEST_F(HandOvers, EndWhereTheirPlanLayIfAnotherIsThere) {
  std::vector<std::byte> memory(400);
  const HandOverToken sent = Put();
  table_.Send(sent, 5, 0, memory.data() + 100, 72);
  const HandOverToken unsent = Put();
  table_.EndOfPlansAt(memory.data(), 100);
  table_.EndOfPlansAt(memory.data() + 172, 200);
  table_.EndOfPlansAt(memory.data() + 120, 0);
  EXPECT_EQ(table_.count(), 2u);
  table_.EndOfPlansAt(memory.data() + 164, 8);
  EXPECT_EQ(table_.count(), 1u);
  EXPECT_EQ(table_.Take(sent), nullptr);
  const HandOverToken next = Put();  // where that was held
  table_.EndOfPlansAt(memory.data(), memory.size());
  EXPECT_NE(table_.Take(next), nullptr);
  EXPECT_NE(table_.Take(unsent), nullptr);
}

TEST_F(HandOvers, KnowWhatTheirLookupSays) {
  const std::byte plan[8] = {};
  const HandOverToken token = Put();
  table_.Send(token, 42, 7, plan, sizeof(plan));
  const std::unique_ptr<HandedOver> found = table_.Take(token);
  EXPECT_EQ(found->call, 42u);
  EXPECT_EQ(found->looked_ns, 7u);
  table_.Send(token, 43, 7, plan, sizeof(plan));  // gone: nothing
  EXPECT_EQ(table_.count(), 0u);
}

TEST_F(HandOvers, EndWithTheirSession) {
  const int nodes[2] = {};
  const HandOverToken one = Put(kAll, 0, &nodes[0]);
  const HandOverToken other = Put(kAll, 0, &nodes[1]);
  table_.EndOfNode(&nodes[0]);
  EXPECT_EQ(table_.Take(one), nullptr);
  EXPECT_NE(table_.Take(other), nullptr);
}

TEST_F(HandOvers, EndWithARunThatFailedOnTheirThread) {
  const HandOverToken before = Put(kAll, 9);  // of a run around it, say
  const HandOverToken failed = Put(kAll, 10);
  HandOverToken elsewhere = kNothingHandedOver;
  std::thread([&] {
    elsewhere = Put(kAll, 11);
    table_.EndOfRun(CurrentThread(), 12);  // nothing was put since then
    EXPECT_EQ(table_.count(), 3u);
  }).join();
  table_.EndOfRun(ThreadId{}, 0);  // no thread is that
  EXPECT_EQ(table_.count(), 3u);
  table_.EndOfRun(CurrentThread(), 10);
  EXPECT_EQ(table_.Take(failed), nullptr);
  EXPECT_NE(table_.Take(before), nullptr);
  EXPECT_NE(table_.Take(elsewhere), nullptr);
}

TEST_F(HandOvers, AreTakenBackIfTheirLookupFails) {
  {
    HandOver over;
    EXPECT_FALSE(over.made());
    EXPECT_TRUE(over.Put(Found(), nullptr, kAll, 0));
    EXPECT_EQ(HandOverTable::Process().count(), 1u);
  }
  EXPECT_EQ(HandOverTable::Process().count(), 0u);
  HandOver over;
  EXPECT_EQ(over.Send(1, 0, nullptr, 0), kNothingHandedOver);
  over.Put(Found(), nullptr, kAll, 0);
  const std::byte plan[8] = {};
  const HandOverToken token = over.Send(1, 0, plan, sizeof(plan));
  EXPECT_NE(HandOverTable::Process().Take(token), nullptr);
}

TEST_F(HandOvers, AreEachTheirOwnWhateverOthersDo) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      std::vector<std::byte> plan(72);
      for (int i = 0; i < 500; ++i) {
        const HandOverToken token = table_.Put(Found(number), &plan, 8 * kBytes, 0);
        if (token == kNothingHandedOver) continue;
        table_.EndOfPlansAt(plan.data(), plan.size());  // of its own last one
        table_.Send(token, 1, 0, plan.data(), plan.size());
        if (i % 8 == 0) continue;  // given up
        const std::unique_ptr<HandedOver> found = table_.Take(token);
        if (found == nullptr || found->region != number) ++wrong;
      }
      table_.EndOfNode(&plan);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(table_.count(), 0u);
}

}  // namespace
}  // namespace actcache
