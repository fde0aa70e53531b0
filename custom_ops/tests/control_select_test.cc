// Which entries a host program means.
#include "control/select.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace actcache {
namespace {

using Regions = std::vector<std::uint32_t>;

class SelectTest : public testing::Test {
 protected:
  SelectTest() {
    registry_.InternNamespace("a");
    registry_.InternNamespace("b");
    registry_.InternRegion("encoder", "f0");
    registry_.InternRegion("encoder", "f1");
    registry_.InternRegion("decoder", "f1");
  }
  std::optional<Selection> Selected(const char* name_space, const char* region,
                                    const char* fingerprint, double age = 0) {
    return Select(registry_, {name_space, region, fingerprint, age});
  }
  Registry registry_;
};

TEST_F(SelectTest, NothingGivenSelectsAll) {
  const auto all = Selected(nullptr, nullptr, nullptr);
  ASSERT_TRUE(all);
  EXPECT_FALSE(all->name_space);
  EXPECT_TRUE(all->regions.empty());
  EXPECT_FALSE(all->min_age_ns);
}

TEST_F(SelectTest, EverySelectorNarrows) {
  EXPECT_EQ(Selected("b", nullptr, nullptr)->name_space, 1u);
  EXPECT_EQ(Selected(nullptr, "encoder", nullptr)->regions, (Regions{0, 1}));
  EXPECT_EQ(Selected(nullptr, nullptr, "f1")->regions, (Regions{1, 2}));
  EXPECT_EQ(Selected("a", "encoder", "f1")->regions, (Regions{1}));
  EXPECT_EQ(Selected(nullptr, nullptr, nullptr, 1.5)->min_age_ns, 1500000000u);
}

TEST_F(SelectTest, WhatThereIsNotSelectsNothingRatherThanAll) {
  EXPECT_FALSE(Selected("", nullptr, nullptr));
  EXPECT_FALSE(Selected("c", "encoder", nullptr));
  EXPECT_FALSE(Selected(nullptr, "", nullptr));
  EXPECT_FALSE(Selected(nullptr, "decoder", "f0"));
  EXPECT_FALSE(Selected(nullptr, nullptr, "f"));
}

TEST_F(SelectTest, AgesAreNumbersThatAreNotNegative) {
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_GT(Selected(nullptr, nullptr, nullptr, infinite)->min_age_ns, std::uint64_t{1} << 62);
  EXPECT_THROW(Selected(nullptr, nullptr, nullptr, -1e-9), std::invalid_argument);
  EXPECT_THROW(Selected(nullptr, nullptr, nullptr, std::nan("")), std::invalid_argument);
}

}  // namespace
}  // namespace actcache
