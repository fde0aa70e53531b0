// What one session uses of what others and it itself have stored, and what it leaves to them.
#include <gtest/gtest.h>

#include <string>

#include "base/clock.h"
#include "config/config.h"
#include "flight/flight_table.h"
#include "ops_fake_session.h"
#include "store/store.h"

namespace actcache {
namespace {

using fake::kHit;
using fake::kHour;
using fake::kMiss;
using fake::kPassed;
using fake::Session;

class Sessions : public testing::Test {
 protected:
  void SetUp() override {
    Config::Process().Configure("bypass", "off");
    // The first of all sessions has the number that an entry of nobody would have.
    Session("another region").Call(1);
  }
  void TearDown() override {
    for (const char* knob : {"bypass", "verify_fraction", "on_mismatch", "single_flight"}) {
      Config::Process().Configure(knob, std::nullopt);
    }
  }
  static std::string Name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  static float ValueOf(const Key& key) {
    const EntryRef entry = Store::Process().Peek(key);
    return entry ? *static_cast<const float*>(entry->data(0)) : 0;
  }
};

TEST_F(Sessions, ThatAgreeInTwoRowsShareFromThenOn) {
  const Session one(Name());
  const Session other(Name());
  one.Call(7);
  for (const std::uint64_t compared : {1U, 2U}) {
    const Session::Answer answer = other.Call(7);
    EXPECT_EQ(answer.account, kMiss);
    EXPECT_EQ(answer.result, 7);
    EXPECT_EQ(other.region().counters.compared, compared);
  }
  EXPECT_EQ(other.Call(8).account, kHit);
  EXPECT_EQ(other.region().counters.compared, 2U);
}

TEST_F(Sessions, ThatDifferKeepApartAndKeepTheirEntries) {
  const Session one(Name());
  const Session other(Name());
  const Key key = one.Call(7).key;
  const Session::Answer differs = other.Call(9);
  EXPECT_EQ(differs.result, 9);
  EXPECT_EQ(other.region().counters.kept_apart, 1U);
  EXPECT_EQ(ValueOf(key), 7);
  EXPECT_EQ(one.Call(8).account, kHit);
  const Session::Answer apart = other.Call(9);
  EXPECT_EQ(apart.account, kMiss);
  EXPECT_FALSE(apart.key == key);
  EXPECT_EQ(other.Call(1).result, 9);
  EXPECT_EQ(one.Call(1).result, 7);
}

TEST_F(Sessions, AnOwnEntryThatDiffersLeavesAndTheRegionIsTurnedOffIfThatIsWanted) {
  for (const bool disable : {false, true}) {
    const Session session(Name() + (disable ? " off" : ""));
    Config::Process().Configure("on_mismatch", disable ? "disable" : "evict");
    const Key key = session.Call(7).key;
    Config::Process().Configure("verify_fraction", "1");
    const Session::Answer differs = session.Call(9);
    Config::Process().Configure("verify_fraction", std::nullopt);
    EXPECT_EQ(differs.result, 9);
    EXPECT_EQ(session.region().counters.mismatches, 1U);
    EXPECT_FALSE(Store::Process().Peek(key));
    EXPECT_EQ(session.Call(9).account, disable ? kPassed : kMiss);
  }
}

TEST_F(Sessions, WhatIsTooOldForOneIsReplaced) {
  SessionSettings settings{"", 0};
  settings.max_age_ns = 0;
  const Session session(Name(), settings);
  const Key key = session.Call(7).key;
  const Session::Answer again = session.Call(8);
  EXPECT_EQ(again.account, kMiss);
  EXPECT_EQ(again.result, 8);
  EXPECT_EQ(ValueOf(key), 8);
  EXPECT_EQ(session.region().counters.expired, 1U);
}

TEST_F(Sessions, EntriesLiveAsLongAsTheirSessionSaysAndBelongToTheNamespaceOfTheCall) {
  SessionSettings settings{"", 0};
  settings.ttl_ns = kHour;
  const Session session(Name(), settings);
  const EntryRef entry = Store::Process().Peek(session.Call(7).key);
  ASSERT_TRUE(entry);
  EXPECT_GT(entry->TimeToLive(SteadyNow()), kHour / 2);
  EXPECT_LE(entry->TimeToLive(SteadyNow()), kHour + kTickNs);
  EXPECT_EQ(entry->tag().name_space, Registry::Process().InternNamespace("tenant"));
  EXPECT_NE(entry->tag().name_space, Registry::Process().InternNamespace(""));
}

TEST_F(Sessions, ARefreshIsDoneThoughLookingUpDoesNotPay) {
  Config::Process().Configure("bypass", "auto");
  const Session session(Name());
  while (session.Call(7, "use").account != kPassed) {
    Store::Process().Invalidate({}, SteadyNow());
    ASSERT_LT(session.region().counters.calls, 10'000U);
  }
  const Session::Answer refreshed = session.Call(8, "refresh");
  EXPECT_EQ(refreshed.account, kMiss);
  EXPECT_EQ(ValueOf(refreshed.key), 8);
}

TEST_F(Sessions, NobodyWaitsForOthersWhereThatIsTurnedOff) {
  const Session session(Name());
  for (const bool on : {true, false}) {
    Config::Process().Configure("single_flight", on ? "on" : "off");
    Store::Process().Invalidate({}, SteadyNow());
    EXPECT_EQ(session.Call(7).plan.flight != kNoFlight, on);
  }
}

}  // namespace
}  // namespace actcache
