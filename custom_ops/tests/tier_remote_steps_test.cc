// The remote tier on one thread, with a clock and a server of the test's own: what one call after
// the other finds.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "tier/remote/link_pool.h"
#include "tier_remote_testing.h"
#include "tier_testing.h"

namespace actcache {
namespace {

// What the server has, what it says next, and how often it was asked.
struct Server {
  LinkResult says = LinkResult::kAnswered;
  std::map<std::string, std::string> values;
  int gets = 0;
};

class ServerLink final : public Link {
 public:
  explicit ServerLink(Server* server) : server_(*server) {}

  bool Idle() noexcept override { return true; }
  LinkResult Get(const std::string* keys, std::size_t count, std::size_t, std::uint64_t,
                 Buffer* values) noexcept override {
    ++server_.gets;
    for (std::size_t i = 0; Usable(server_.says) && i < count; ++i) {
      const auto found = server_.values.find(keys[i]);
      if (found == server_.values.end()) continue;
      values[i] = Buffer::Copy(found->second.data(), found->second.size());
    }
    return server_.says;
  }
  LinkResult Exist(const std::string*, std::size_t, std::uint64_t, bool*) noexcept override {
    return server_.says;
  }
  LinkResult Set(const LinkItem* items, std::size_t count, std::uint64_t,
                 std::size_t* kept) noexcept override {
    for (*kept = 0; *kept < count; ++*kept) {
      server_.values.emplace(items[*kept].key, items[*kept].value);
    }
    return server_.says;
  }
  LinkResult Delete(const std::string*, std::size_t, std::uint64_t) noexcept override {
    return server_.says;
  }
  const std::string& problem() const noexcept override { return problem_; }

 private:
  Server& server_;
  const std::string problem_ = "the test wants it so";
};

class ServerConnector final : public Connector {
 public:
  explicit ServerConnector(Server* server) : server_(*server) {}
  std::unique_ptr<Link> Connect(std::uint64_t, std::string*) noexcept override {
    return std::make_unique<ServerLink>(&server_);
  }

 private:
  Server& server_;
};

// Whoever waits does the background work meanwhile, and a millisecond passes.
class OwnTime final : public TimeSource {
 public:
  std::uint64_t Now() const noexcept override { return now; }
  void Wait(Condition*, Mutex* mutex,
            std::uint64_t) noexcept override ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
    mutex->Unlock();
    if (work) work();
    now += 1'000'000;
    mutex->Lock();
  }

  std::uint64_t now = kSecondNs;
  std::function<void()> work;
};

class RemoteStepsTest : public testing::Test {
 protected:
  void SetUp() override {
    time_->work = [this] { tier_.client().Step(); };
  }
  static RemoteSettings Settings() {
    RemoteSettings settings = TestSettings();
    settings.max_value_bytes = 4000;
    return settings;
  }
  static Record Value(std::uint64_t number, std::size_t bytes, std::uint64_t expires_ns = 0) {
    return TestRecord(number, bytes, TestSecret(), expires_ns);
  }
  Record Get(std::uint64_t number, std::size_t expected_bytes = 0) {
    const TierKey key = TestKey(number);
    Record found;
    tier_.GetOfSize(&key, 1, expected_bytes, time_->now + kSecondNs, &found);
    return found;
  }
  // The server says so to one call; returns how long it is left alone then.
  std::uint64_t LeftAloneAfter(LinkResult says) {
    server_.says = says;
    EXPECT_FALSE(Get(1));
    server_.says = LinkResult::kAnswered;
    return tier_.client().Step() - time_->now;
  }
  // The probe, which succeeds.
  void Probe() {
    time_->now = tier_.client().Step();
    tier_.client().Step();
    EXPECT_TRUE(tier_.available());
  }

  Server server_;
  const std::shared_ptr<OwnTime> time_ = std::make_shared<OwnTime>();
  RemoteTier tier_{Settings(), std::make_shared<ServerConnector>(&server_), time_, 1,
                   Background::kCaller};
};

TEST_F(RemoteStepsTest, OnlyAnAnswerMakesTheNextWaitShortAgain) {
  std::uint64_t wait = 0;
  for (int failures = 0; failures < 6; ++failures) {
    wait = LeftAloneAfter(LinkResult::kLate);
    Probe();
  }
  EXPECT_GT(wait, 10 * CircuitBreaker::kFirstWaitNs) << "probes that succeed are no answers";
  EXPECT_FALSE(Get(1));  // an answer: it has nothing
  EXPECT_TRUE(tier_.available());
  EXPECT_LE(LeftAloneAfter(LinkResult::kLate), CircuitBreaker::kFirstWaitNs);
}

TEST_F(RemoteStepsTest, AServerThatRefusesToBeReadIsLeftAlone) {
  EXPECT_GT(LeftAloneAfter(LinkResult::kRefused), 0u);
  EXPECT_FALSE(tier_.available());
  const int gets = server_.gets;
  EXPECT_FALSE(Get(1));
  EXPECT_EQ(server_.gets, gets);
  Probe();
  EXPECT_FALSE(Get(1));
  EXPECT_EQ(server_.gets, gets + 1);
}

TEST_F(RemoteStepsTest, ValuesThatAreTooLargeAreNotAskedFor) {
  EXPECT_FALSE(Get(1, Settings().max_value_bytes));
  EXPECT_EQ(server_.gets, 1);
  EXPECT_FALSE(Get(1, Settings().max_value_bytes + 1));
  EXPECT_EQ(server_.gets, 1);
  EXPECT_EQ(tier_.stats().misses, 2u);
}

TEST_F(RemoteStepsTest, ValuesThatAreTooLargeAreNotSent) {
  const Record records[] = {Value(1, 5000), Value(2, 3000)};
  ASSERT_GT(records[0].size(), Settings().max_value_bytes);
  ASSERT_LT(records[1].size(), Settings().max_value_bytes);
  tier_.Put(records, 2);
  EXPECT_EQ(server_.values.size(), 1u);
  EXPECT_EQ(tier_.stats().stored, 1u);
  EXPECT_EQ(tier_.stats().refused, 1u);
  EXPECT_TRUE(IsTestValue(Get(2), 2));
  EXPECT_FALSE(Get(1));
}

TEST_F(RemoteStepsTest, WhatHasExpiredIsAMissThoughTheServerStillHasIt) {
  const Record lasting = Value(1, 100, UnixNow() + 3600 * kSecondNs);
  tier_.Put(&lasting, 1);
  ASSERT_EQ(server_.values.size(), 1u);
  EXPECT_TRUE(IsTestValue(Get(1), 1));
  const Record expired = Value(1, 100, UnixNow() - 1);
  server_.values.begin()->second.assign(reinterpret_cast<const char*>(expired.data()),
                                        expired.size());
  EXPECT_FALSE(Get(1));
  EXPECT_EQ(tier_.stats().damaged, 0u);
  EXPECT_EQ(tier_.stats().hits, 1u);
}

// Connections that were out while the others were closed.
class LinkPoolTest : public testing::Test {
 protected:
  LinkPool::Taken TakeNewOne() {
    pool_.Add(LinkPool::kSmall, std::make_unique<ServerLink>(&server_));
    LinkPool::Taken taken = pool_.Take(LinkPool::kSmall, time_.now);
    EXPECT_NE(taken.link, nullptr);
    return taken;
  }

  Server server_;
  OwnTime time_;
  LinkPool pool_{&time_};
};

TEST_F(LinkPoolTest, AConnectionFromBeforeAFailureDoesNotComeBack) {
  pool_.GiveBack(LinkPool::kSmall, TakeNewOne());
  LinkPool::Taken taken = pool_.Take(LinkPool::kSmall, time_.now);
  EXPECT_NE(taken.link, nullptr);
  pool_.Clear();
  pool_.GiveBack(LinkPool::kSmall, std::move(taken));
  EXPECT_EQ(pool_.Take(LinkPool::kSmall, time_.now).link, nullptr);
}

TEST_F(LinkPoolTest, WhatAConnectionFromBeforeAFailureMeetsSaysNothingOfTheServer) {
  EXPECT_TRUE(pool_.Discard(LinkPool::kSmall, TakeNewOne()));
  const LinkPool::Taken before = TakeNewOne();
  pool_.Clear();
  EXPECT_FALSE(pool_.Discard(LinkPool::kSmall, before));
}

}  // namespace
}  // namespace actcache
