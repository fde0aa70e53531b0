// What the kernels take from a store behind memory and give to it: only what may be, and with all
// that is to be known of it.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "config/config.h"
#include "ops_fake_session.h"
#include "ops_squares.h"
#include "policy/origins.h"
#include "region/registry.h"
#include "store/store.h"
#include "tier/tiers.h"
#include "tier_testing.h"

namespace actcache {
namespace {

using fake::Account;
using fake::kHit;
using fake::kHour;
using fake::kMiss;
using fake::Session;

constexpr std::uint64_t kLong = 20'000'000'000;

class KernelTiers : public testing::Test {
 protected:
  void SetUp() override {
    Config::Process().Configure("disk_path", folder_.path() + "/store");
    Config::Process().Configure("bypass", "off");
    // The first of all sessions has the number that an entry of nobody would have.
    Session("another region").Call(1);
  }
  void TearDown() override {
    Config::Process().Configure("verify_fraction", std::nullopt);
    Config::Process().Configure("bypass", std::nullopt);
    Config::Process().Configure("disk_path", std::nullopt);
    Store::Process().Invalidate({}, SteadyNow());
  }

  static std::string Name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  // As in a process that has just begun.
  static void ForgetMemory() {
    EXPECT_TRUE(Tiers::Process().Flush(kLong));
    Store::Process().Invalidate({}, SteadyNow());
  }
  static TierStats Stats() { return Tiers::Process().states().at(0).tier; }
  static std::uint64_t Asked() { return Stats().hits + Stats().misses; }

  // What the tier has for the row of a call.
  static Record InTier(const Session::Answer& answer) {
    EXPECT_TRUE(Tiers::Process().Flush(kLong));
    RegionUse use;
    const TierKey name = TierKeyOf(answer.key, answer.tail);
    Tiers::Found found;
    Tiers::Process().Get(&use, &name, 1, 0, &found);
    return std::move(found.record);
  }

  // A call of a process that has just begun. A busy machine may answer too late, once and again.
  static Session::Answer CallAnew(const Session& session) {
    Session::Answer answer;
    for (int attempt = 0; attempt < 10 && answer.account != kHit; ++attempt) {
      ForgetMemory();
      answer = session.Call(8);
    }
    return answer;
  }

  // What a session finds of a record like its own that is changed in one thing.
  struct Found {
    Account account;
    EntryRef entry;
  };
  static Found Finds(const Session& session, const std::function<void(RecordFields*)>& change) {
    const Session::Answer own = session.Call(7, "refresh");
    RecordFields fields;
    fields.key = TierKeyOf(own.key, own.tail);
    fields.identity = Origins::Process().IdentityOf(static_cast<Origin>(own.plan.origin));
    fields.fingerprint = session.region().fingerprint;
    fields.made_ns = UnixNow();
    fields.cost_ns = 1'000'000'000;
    change(&fields);
    const std::vector<TensorSpec> specs = {{1, {2}, 8}};
    const auto fill = [](Record* record) {
      const float values[] = {7, 7};
      std::memcpy(record->payload(0), values, sizeof(values));
    };
    RegionUse use;
    Tiers::Process().Put(&use, fields, specs, fill, /*replace=*/true);
    Account account = CallAnew(session).account;
    return {std::move(account), Store::Process().Peek(own.key)};
  }

  TestFolder folder_;
};

TEST_F(KernelTiers, WhatMemoryHasForgottenComesFromTheTier) {
  const Session session(Name());
  EXPECT_EQ(session.Call(7).account, kMiss);
  EXPECT_EQ(session.Call(8).account, kHit);
  const Session::Answer again = CallAnew(session);
  EXPECT_EQ(again.account, kHit);
  EXPECT_EQ(again.result, 7);
  EXPECT_EQ(session.region().counters.disk_hits, 1u);
  EXPECT_EQ(session.Call(8).account, kHit);
  EXPECT_EQ(session.region().counters.disk_hits, 1u);  // it is in memory again
}

// Rows of one call, of which memory has some and the tier the others.
TEST_F(KernelTiers, EachRowIsAskedForByItsOwnName) {
  Kernels kernels(Name());
  const ort::Value both = Pairs({1, 2, 3, 4});
  kernels.Run(both);
  for (int attempt = 0; attempt < 10; ++attempt) {
    ForgetMemory();
    kernels.SeemsSlow();
    kernels.Run(Pairs({1, 2}));
    kernels.SeemsSlow();
    const std::uint64_t before = kernels.counters().disk_hits;
    ExpectSquare(kernels.Run(both), both);
    if (before == kernels.counters().disk_hits) continue;
    EXPECT_EQ(kernels.counters().disk_hits, before + 1);
    return;
  }
  ADD_FAILURE() << "the second row is never found";
}

TEST_F(KernelTiers, ARecordSaysAllThatIsKnown) {
  SessionSettings settings{"", 0};
  settings.ttl_ns = kHour;
  const Session session(Name(), settings);
  const std::uint64_t before = UnixNow();
  const Session::Answer answer = session.Call(7);
  const Record record = InTier(answer);
  ASSERT_TRUE(record);
  const RecordFields& fields = record.fields();
  EXPECT_EQ(fields.fingerprint, Name());
  EXPECT_EQ(fields.region, Name());
  EXPECT_EQ(fields.name_space, "tenant");
  EXPECT_EQ(fields.identity,
            Origins::Process().IdentityOf(static_cast<Origin>(answer.plan.origin)));
  EXPECT_NE(fields.identity, Digest{});
  EXPECT_GE(fields.made_ns, before);
  EXPECT_LE(fields.made_ns, UnixNow());
  EXPECT_EQ(fields.expires_ns, fields.made_ns + kHour);
  const float values[] = {7, 7};
  ASSERT_EQ(record.spec(0).bytes, sizeof(values));
  EXPECT_EQ(std::memcmp(record.payload(0), values, sizeof(values)), 0);
}

TEST_F(KernelTiers, ItsOwnRecordIsTakenWithAllThatItSays) {
  const Found found = Finds(Session(Name()), [](RecordFields* fields) {
    fields->made_ns -= kHour;
    fields->expires_ns = fields->made_ns + 3 * kHour;
  });
  EXPECT_EQ(found.account, kHit);
  ASSERT_TRUE(found.entry);
  EXPECT_EQ(found.entry->scope(), KeyScope::kShared);
  EXPECT_GE(found.entry->AgeAtMost(SteadyNow()), kHour);
  EXPECT_LE(found.entry->AgeAtMost(SteadyNow()), kHour + kHour / 2);
  EXPECT_GE(found.entry->TimeToLive(SteadyNow()), kHour);
  EXPECT_LE(found.entry->TimeToLive(SteadyNow()), 2 * kHour + kTickNs);
}

TEST_F(KernelTiers, TheValueOfAnotherRegionIsNotTaken) {
  EXPECT_EQ(
      Finds(Session(Name()), [](RecordFields* fields) { fields->fingerprint = "another"; }).account,
      kMiss);
}

TEST_F(KernelTiers, WhatIsTooOldForTheSessionIsNotTaken) {
  SessionSettings settings{"", 0};
  settings.max_age_ns = kHour;
  const Session session(Name(), settings);
  const auto made = [&](std::uint64_t ns) {
    return Finds(session, [&](RecordFields* fields) { fields->made_ns = ns; }).account;
  };
  EXPECT_EQ(made(UnixNow() - kHour / 2), kHit);
  EXPECT_EQ(made(UnixNow() - 2 * kHour), kMiss);
  EXPECT_EQ(made(UnixNow() + kHour), kMiss);  // a clock was set back: nobody knows how old it is
}

TEST_F(KernelTiers, WhatAnotherSessionComputedIsComparedFirst) {
  const Found found =
      Finds(Session(Name()), [](RecordFields* fields) { fields->identity.fill(9); });
  EXPECT_EQ(found.account, kMiss);
  EXPECT_EQ(Registry::Process().InternRegion(Name(), Name()).counters.compared, 1u);
}

TEST_F(KernelTiers, ANewerValueTakesThePlaceOfOneThatIsTooOld) {
  SessionSettings settings{"", 0};
  settings.max_age_ns = kHour;
  const Session reader(Name(), settings);
  const Session::Answer own = reader.Call(7);
  ASSERT_TRUE(Tiers::Process().Flush(kLong));
  // In memory, the same key is a day old.
  const TensorSpec spec{1, {2}, 8};
  Offer offer{};
  offer.key = own.key;
  offer.specs = &spec;
  offer.count = 1;
  offer.now_ns = SteadyNow();
  offer.age_ns = 24 * kHour;
  offer.origin = static_cast<Origin>(own.plan.origin);
  offer.replace = true;
  Draft draft = Store::Process().Reserve(offer);
  ASSERT_TRUE(draft);
  std::memset(draft.data(0), 0, 8);
  ASSERT_TRUE(Store::Process().Publish(std::move(draft)));
  const Session::Answer again = reader.Call(8);
  EXPECT_EQ(again.account, kHit);
  EXPECT_EQ(again.result, 7);
  EXPECT_LT(Store::Process().Peek(own.key)->AgeAtMost(SteadyNow()), kHour);
}

TEST_F(KernelTiers, ARefreshAsksNobodyAndReplacesWhatTheyHave) {
  const Session session(Name());
  const Session::Answer answer = session.Call(7);
  ForgetMemory();
  const std::uint64_t asked = Asked();
  const Session::Answer refreshed = session.Call(8, "refresh");
  EXPECT_EQ(refreshed.account, kMiss);
  EXPECT_EQ(refreshed.result, 8);
  EXPECT_EQ(Asked(), asked);
  const Record record = InTier(answer);
  ASSERT_TRUE(record);
  const float value = 8;
  EXPECT_EQ(std::memcmp(record.payload(0), &value, sizeof(value)), 0);
}

TEST_F(KernelTiers, KeysThatMeanNothingElsewhereStayInTheProcess) {
  SessionSettings settings{"", 0};
  settings.shares = false;
  const Session session(Name(), settings);
  ASSERT_TRUE(Tiers::Process().Flush(kLong));
  const TierStats before = Stats();
  session.Call(7);
  ForgetMemory();
  EXPECT_EQ(session.Call(7).account, kMiss);
  ASSERT_TRUE(Tiers::Process().Flush(kLong));
  EXPECT_EQ(Stats().stored, before.stored);
  EXPECT_EQ(Stats().misses, before.misses);
}

TEST_F(KernelTiers, WhatIsToBeVerifiedIsComputedAndAValueThatDiffersLeavesAll) {
  const Session session(Name());
  const Session::Answer answer = session.Call(7);
  ASSERT_TRUE(Tiers::Process().Flush(kLong));
  const std::uint64_t asked = Asked();
  Config::Process().Configure("verify_fraction", "1");
  EXPECT_EQ(session.Call(8).result, 8);
  EXPECT_EQ(session.region().counters.mismatches, 1u);
  EXPECT_EQ(Asked(), asked);
  EXPECT_FALSE(InTier(answer));
  EXPECT_FALSE(Store::Process().Peek(answer.key));
}

}  // namespace
}  // namespace actcache
