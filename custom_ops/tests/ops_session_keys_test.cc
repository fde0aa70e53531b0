// What a kernel puts into its keys: each thing that decides a result, as the session has it.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "config/config.h"
#include "ops_fake_lookup.h"
#include "units/tensor_digest.h"

namespace actcache {
namespace {

using fake::Floats;
using fake::Lookup;
using fake::MakeValue;
using fake::Vector;
using fake::Words;

class SessionKeys : public testing::Test {
 protected:
  // All of them miss, which would turn looking up off.
  void SetUp() override { Config::Process().Configure("bypass", "off"); }
  void TearDown() override { Config::Process().Configure("bypass", std::nullopt); }
};

TEST_F(SessionKeys, EqualSessionsHaveEqualKeys) {
  EXPECT_EQ(Lookup().Key(), Lookup().Key());
  EXPECT_EQ(Lookup().Key(), Lookup().Key(3));
  Lookup other;
  other.info.strings["region"] = "another name";
  other.session.model = "another statement";  // only who is trusted depends on it
  other.session.ttl_ns = 5;
  EXPECT_EQ(other.Key(), Lookup().Key());
}

TEST_F(SessionKeys, EachPartCounts) {
  const std::vector<std::function<void(Lookup*)>> changes = {
      [](Lookup*) {},
      [](Lookup* l) { l->info.strings["fingerprint"] = "g"; },
      [](Lookup* l) { l->session.name_space = "tenant"; },
      [](Lookup* l) { l->session.value_entries = "session.set_denormal_as_zero=1"; },
      [](Lookup* l) { l->session.value_entries = "session.set_denormal_as_zero=2"; },
      [](Lookup* l) { l->session.runtime = "1.31.0"; },
      [](Lookup* l) { l->info.constants[1] = Vector({1, 2, 4}); },
      [](Lookup* l) { l->info.constants[1] = Vector({1, 2, -3}); },  // the last byte alone
      [](Lookup* l) { l->info.constants[1] = Vector({1, 2, 3, 0}); },
      [](Lookup* l) {
        l->info.constants[1] = MakeValue(ElementType::kFloat, Dims{3, 1}, Floats{1, 2, 3});
      },
      [](Lookup* l) { l->info.constants[1].info.type = ElementType::kInt32; },
      [](Lookup* l) { l->info.numbers["min_rows"] = 4; },
      [](Lookup* l) { l->TakeNamespace(""); },
      [](Lookup* l) { l->TakeNamespace("tenant"); },
      [](Lookup* l) {
        l->TakeNamespace("");
        l->session.name_space = "tenant";
      },
      // The text of one part does not run into the next one's.
      [](Lookup* l) {
        l->session.name_space = "tenant";
        l->info.strings["fingerprint"] = "ftenant";
      },
  };
  std::set<Words> seen;
  for (const auto& change : changes) {
    Lookup lookup;
    change(&lookup);
    EXPECT_TRUE(seen.insert(lookup.Key()).second) << seen.size();
    EXPECT_TRUE(seen.count(lookup.Key())) << seen.size();
  }
}

TEST_F(SessionKeys, FewAndManyRowsAreClassesOfTheirOwn) {
  Lookup lookup;
  lookup.info.numbers["min_rows"] = 4;
  EXPECT_EQ(lookup.Key(2), lookup.Key(2));
  EXPECT_NE(lookup.Key(2), lookup.Key(4));
  EXPECT_EQ(lookup.Key(4), lookup.Key(5));
}

TEST_F(SessionKeys, TheHashThatWasAskedForIsTaken) {
  const Words safe = Lookup().Key();
  Config::Process().Configure("hash", "xxh3");
  const Words fast = Lookup().Key();
  Config::Process().Configure("hash", "blake3");
  EXPECT_EQ(Lookup().Key(), safe);
  Config::Process().Configure("hash", std::nullopt);
  EXPECT_NE(fast, safe);
}

TEST_F(SessionKeys, OfASessionThatMayNotShareAreNobodyElses) {
  Lookup alone;
  alone.session.shares = false;
  Lookup unseen;  // the runtime does not show the constant
  unseen.info.constants.clear();
  for (const Lookup& lookup : {alone, unseen}) {
    const std::set<Words> keys{lookup.Key(), lookup.Key(), Lookup().Key()};
    EXPECT_EQ(keys.size(), 3u);
  }
}

TEST_F(SessionKeys, MachinesMayShareWhereTheyAreToldTo) {
  const Words own = Lookup().Key();
  Config::Process().Configure("portable", "on");
  const Words portable = Lookup().Key();
  Config::Process().Configure("portable", std::nullopt);
  EXPECT_NE(own, portable);
  EXPECT_EQ(own, Lookup().Key());
}

// Rows may be apart for some axis, say, and not for the one that a session has instead.
TEST_F(SessionKeys, NothingIsCachedIfTheProofRestsOnOtherConstants) {
  const Floats compiled = {1, 2, 3};
  const Dims dims = {3};
  const Digest digest =
      DigestOfTensor({ElementType::kFloat, dims, compiled.size(), compiled.size() * sizeof(float),
                      reinterpret_cast<const std::byte*>(compiled.data()), std::nullopt});
  Lookup lookup;
  std::vector<std::int64_t>& assumed = lookup.info.ints["assumed_constants"];
  assumed.resize(5);
  assumed[0] = 7;
  std::memcpy(&assumed[1], digest.data(), digest.size());
  EXPECT_EQ(lookup.Kind(), PlanKind::kRow);
  lookup.info.constants[1] = Vector({1, 2, 4});
  EXPECT_EQ(lookup.Kind(), PlanKind::kPass);
  lookup.info.constants.clear();  // the session does not show it
  EXPECT_EQ(lookup.Kind(), PlanKind::kPass);
  assumed.pop_back();
  EXPECT_THROW(lookup.Load(), ort::Error);
}

// A region within another: the session shows the constant of both.
TEST_F(SessionKeys, AConstantWithTwoValuesIsRefused) {
  const Lookup outer;
  Lookup inner;
  inner.info.strings["region"] = "inner";
  inner.info.strings["outer"] = "keys";
  const auto outer_kernel = outer.Load();
  EXPECT_NO_THROW(inner.Load());
  inner.info.constants[1] = Vector({1, 2, 4});
  EXPECT_THROW(inner.Load(), ort::Error);
}

// A constant that only the outer region's lookup sees counts for the inner one as well.
TEST_F(SessionKeys, ConstantsOfTheRegionAroundCount) {
  std::set<Words> seen;
  for (const float value : {1.0F, 2.0F}) {
    Lookup outer;
    outer.info.constants[1] = Vector({value});
    const auto outer_kernel = outer.Load();
    Lookup inner;
    inner.info.strings["region"] = "inner";
    inner.info.strings["outer"] = "keys";
    inner.info.ints["constants"] = {};
    inner.info.inputs.pop_back();
    EXPECT_EQ(inner.Key(), inner.Key());
    seen.insert(inner.Key());
  }
  EXPECT_EQ(seen.size(), 2u);
}

}  // namespace
}  // namespace actcache
