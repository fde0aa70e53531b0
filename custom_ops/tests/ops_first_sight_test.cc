// What kernels do with units that are seen for the first time while nothing repeats.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "audit/outcomes.h"
#include "config/config.h"
#include "ops_fake_region.h"
#include "region/registry.h"
#include "store/store.h"

namespace actcache {
namespace {

using fake::FakeRegion;
using fake::Numbers;
using fake::RowsOf;

// A region of rows that has found out that storing takes a fifth of the time to compute, and that
// nothing repeats.
class FirstSightsOfRows : public testing::Test {
 protected:
  FirstSightsOfRows()
      : id_(testing::UnitTest::GetInstance()->current_test_info()->name()),
        region_(Registry::Process().InternRegion(id_, id_)),
        fake_(id_, "row", 0) {
    Config::Process().Configure("bypass", "auto");
    fake_.Load();
    region_.policy.Begin(Config::Process().bypass());
    for (unsigned i = 0; i <= FirstSight::kFreeCalls; ++i) {
      region_.policy.Computed(0, 1, 1'000'000);
      region_.policy.Published({0, 1, 200'000, 0});
    }
  }
  ~FirstSightsOfRows() override { Config::Process().Configure("bypass", std::nullopt); }

  void Run(const Numbers& numbers) {
    const ort::Value x = RowsOf(numbers, 4, 0);
    EXPECT_TRUE(fake_.IsRight(fake_.Run(x), x));
  }
  std::size_t entries() const { return Held() - before_; }

 private:
  // Other tests may have used the number.
  std::size_t Held() const { return Store::Process().usage(region_.number).entries; }

 protected:
  const std::string id_;
  Region& region_;
  const std::size_t before_ = Held();
  FakeRegion fake_;
};

TEST_F(FirstSightsOfRows, AreNotedAndNotStored) {
  ASSERT_FALSE(region_.policy.StoresFirstSights());
  Run({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(entries(), 0u);
  EXPECT_EQ(region_.counters.first_sights, 6u);
  EXPECT_EQ(region_.counters.not_admitted, 6u);
}

TEST_F(FirstSightsOfRows, AloneAreLeftOutWhereLittleRepeats) {
  Run({1, 2, 3, 4, 5, 6});
  Run({1, 12, 13, 14, 15, 16});
  EXPECT_FALSE(region_.policy.StoresFirstSights());
  EXPECT_EQ(entries(), 1u);
  EXPECT_EQ(region_.counters.first_sights, 11u);
  Run({21, 1});
  EXPECT_EQ(region_.counters.hits, 1u);
}

TEST_F(FirstSightsOfRows, AreStoredAgainWithTheCallThatRepeats) {
  Run({1, 2, 3, 4, 5, 6});
  Run({1, 2, 3, 4, 5, 7});
  EXPECT_TRUE(region_.policy.StoresFirstSights());
  EXPECT_EQ(entries(), 6u);
  Run({8, 7});
  EXPECT_EQ(region_.counters.hits, 1u);
  EXPECT_EQ(entries(), 7u);
}

TEST_F(FirstSightsOfRows, AreStoredWhereNothingIsToBeBypassed) {
  Config::Process().Configure("bypass", "off");
  Run({1, 2, 3});
  EXPECT_EQ(entries(), 3u);
  EXPECT_EQ(region_.counters.first_sights, 0u);
}

}  // namespace
}  // namespace actcache
