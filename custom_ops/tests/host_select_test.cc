// Which entries a host program means.
#include "host/select.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/knobs.h"

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
  EXPECT_FALSE(Selected(nullptr, "decoder", "f0"));
}

// What is wrong with the selectors; "" if nothing is.
std::string Complaint(const Registry& registry, const Selectors& selectors) {
  try {
    Select(registry, selectors);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST_F(SelectTest, NamesThatNoRegionEverHadAreRefusedAndTheOthersListed) {
  EXPECT_EQ(Complaint(registry_, {nullptr, "encodr", nullptr, 0}),
            "actcache: no session of this process has had a region \"encodr\"; known are decoder, "
            "encoder");
  EXPECT_EQ(Complaint(registry_, {nullptr, nullptr, "f", 0}),
            "actcache: no session of this process has had a region of fingerprint \"f\"; known are "
            "f0, f1");
  // Whatever else is wrong or unknown: a misspelt region is no region that holds nothing.
  EXPECT_NE(Complaint(registry_, {"c", "", nullptr, 0}), "");
  EXPECT_NE(Complaint(registry_, {"a", "decoder", "f2", 0}), "");
  EXPECT_NE(Complaint(Registry(), {nullptr, "encoder", nullptr, 0}).find("no compiled model yet"),
            std::string::npos);
}

TEST_F(SelectTest, AMessageListsAFewOfManyNames) {
  for (int i = 0; i < 100; ++i) registry_.InternRegion("r" + std::to_string(i), "f0");
  const std::string many = Complaint(registry_, {nullptr, "typo", nullptr, 0});
  EXPECT_NE(many.find(" and 94 more"), std::string::npos) << many;
  registry_.InternRegion(std::string(5000, 'a'), "f0");
  EXPECT_LT(Complaint(registry_, {nullptr, "typo", nullptr, 0}).size(), 900u);
}

TEST_F(SelectTest, ANamespaceThatNoneCanHaveIsRefused) {
  const std::string longest(kMaxNamespaceBytes, 'n');
  EXPECT_FALSE(Selected(longest.c_str(), nullptr, nullptr));
  EXPECT_NE(Complaint(registry_, {(longest + "n").c_str(), nullptr, nullptr, 0}), "");
}

TEST_F(SelectTest, AgesAreNumbersThatAreNotNegative) {
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_GT(Selected(nullptr, nullptr, nullptr, infinite)->min_age_ns, std::uint64_t{1} << 62);
  EXPECT_THROW(Selected(nullptr, nullptr, nullptr, -1e-9), std::invalid_argument);
  EXPECT_THROW(Selected(nullptr, nullptr, nullptr, std::nan("")), std::invalid_argument);
}

}  // namespace
}  // namespace actcache
