// Ends: what is known behind the last position of a call alone. The last unit of a row has it, and
// a call goes on from the last position whose unit has.
#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <limits>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store_testing.h"
#include "units/chain_search.h"
#include "units/computed_units.h"
#include "units/prefix_cut.h"

namespace actcache {
namespace {

constexpr auto kFloat = ElementType::kFloat;
const ElementTypes kTypes{kFloat, kFloat};
using Ints = std::vector<int>;
using Rows = std::initializer_list<std::initializer_list<std::uint64_t>>;

Key KeyNumber(std::uint64_t n) { return Key{{n * 0x9e3779b97f4a7c15u + 1, n}}; }

TensorSpec Spec(std::int64_t positions, std::int64_t width) {
  return {static_cast<std::int32_t>(kFloat),
          {positions, width},
          static_cast<std::size_t>(positions * width) * sizeof(float)};
}

// Of y [rows, positions, 2] and an end [rows, 1, 3].
class EndsTest : public ::testing::Test {
 protected:
  EntryRef Put(std::uint64_t n, bool with_end, std::int64_t width = 3, std::int64_t result = 2) {
    const std::vector<TensorSpec> specs{Spec(1, result), Spec(with_end ? 1 : 0, width)};
    const Offer offer = [&] {
      Offer made = testing_support::OfferOf(n, specs);
      made.key = KeyNumber(n);
      return made;
    }();
    Draft draft = store_.Reserve(offer);
    EXPECT_TRUE(draft);
    for (std::size_t i = 0; i < specs.size(); ++i) std::memset(draft.data(i), 0, specs[i].bytes);
    EXPECT_TRUE(store_.Publish(std::move(draft)));
    return store_.Peek(KeyNumber(n));
  }
  void PutAll(std::initializer_list<std::uint64_t> numbers,
              std::initializer_list<std::uint64_t> with_ends) {
    for (const std::uint64_t n : numbers) Put(n, false);
    for (const std::uint64_t n : with_ends) Put(n, true);
  }
  Match Find(const Rows& rows) { return Find(rows, cut_); }
  Match Find(const Rows& rows, const PrefixCut& cut) {
    Keys keys;
    for (const auto& row : rows) {
      for (const std::uint64_t n : row) keys.push_back(KeyNumber(n));
    }
    const std::size_t length = rows.begin()->size();
    return FindUnits(store_, keys, {&cut, keys.size(), OneUnit::kNone, length, 0}, kTypes, rules_);
  }
  static Ints Flags(const Match& match) {
    return {match.missing_flags.begin(), match.missing_flags.end()};
  }

  Store store_{1 << 20};
  const PrefixCut cut_{{{0}, {1}, {0, 0}, {1, 1}, 1}, 1, 2};
  const PrefixCut handing_on_{{{0}, {1}, {0, 0}, {1, 1}, 1, true}, 1, 2};
  LookupRules rules_{FindLimits{SteadyNow()}};
};

// What a unit has of two tensors: two numbers of its own, and the `ends` of its row; without any,
// 0.
std::pair<std::vector<float>, std::vector<float>> Parts(const ComputedUnits& units,
                                                        std::size_t unit, std::size_t ends) {
  std::pair<std::vector<float>, std::vector<float>> parts{std::vector<float>(2),
                                                          std::vector<float>(ends)};
  units.CopyTo(
      1, [&](std::size_t) { return unit; },
      [&](std::size_t, std::size_t i) {
        return reinterpret_cast<std::byte*>(i == 0 ? parts.first.data() : parts.second.data());
      },
      Parallel(nullptr, nullptr));
  return parts;
}

TEST_F(EndsTest, TheLastOutputsAreEnds) {
  EXPECT_TRUE(cut_.has_ends());
  EXPECT_EQ(cut_.first_end(), 1u);
  EXPECT_FALSE(PrefixCut({{0}, {1}, {0, 0}, {1, 1}}, 1, 2).has_ends());
}

TEST_F(EndsTest, ACallGoesOnBehindTheLastPositionThatHasSome) {
  PutAll({1, 3, 4, 6}, {2, 5});
  const Match match = Find({{1, 2, 3, 4, 5, 6, 7, 8}});
  EXPECT_EQ(match.handed_out.length, 4u);
  EXPECT_EQ(match.hits.size(), 4u);
  ASSERT_EQ(match.ends.size(), 1u);
  EXPECT_EQ(match.ends[0]->key(), KeyNumber(5));
  EXPECT_EQ(Flags(match), (Ints{kKept, kKept, 0, 0}));
}

TEST_F(EndsTest, OnePositionMoreGoesOnBehindTheOneBefore) {
  PutAll({1, 2}, {3});
  const Match match = Find({{1, 2, 3, 4}});
  EXPECT_EQ(match.handed_out.length, 2u);
  EXPECT_EQ(match.ends.size(), 1u);
}

TEST_F(EndsTest, WithoutOneNothingIsUsed) {
  PutAll({1, 2, 3}, {});
  EXPECT_EQ(Find({{1, 2, 3, 4, 5}}).hits.size(), 0u);
  EXPECT_FALSE(Find({{1, 2, 3}}).any_miss()) << "all of it is known";
  PutAll({21}, {22});
  EXPECT_EQ(Find({{21, 22}}).hits.size(), 2u);
  EXPECT_TRUE(Find({{22, 23, 24}}).ends.empty()) << "one position is not worth it";
}

TEST_F(EndsTest, AllRowsHaveItAtTheSamePosition) {
  PutAll({1, 11}, {2, 3, 12});
  PutAll({13}, {});
  const Match match = Find({{1, 2, 3, 4, 5}, {11, 12, 13, 14, 15}});
  EXPECT_EQ(match.handed_out.length, 1u);
  ASSERT_EQ(match.ends.size(), 2u);
  EXPECT_EQ(match.ends[0]->key(), KeyNumber(2));
  EXPECT_EQ(match.ends[1]->key(), KeyNumber(12));
}

TEST_F(EndsTest, EndsOfAnotherShapeAreNotUsed) {
  PutAll({1, 11}, {2});
  Put(12, true, 4);
  EXPECT_EQ(Find({{1, 2, 3, 4}, {11, 12, 13, 14}}).hits.size(), 0u);
}

TEST_F(EndsTest, ResultsOfAnotherShapeEndAChain) {
  PutAll({1}, {2});
  Put(3, true, 3, 5);
  const Match match = Find({{1, 2, 3, 4, 5}});
  EXPECT_EQ(match.handed_out.length, 1u);
  EXPECT_EQ(Flags(match), (Ints{kKept, kReplace, 0, 0}));
}

TEST_F(EndsTest, WhatEndsForTheFirstTimeTakesThePlaceOfItsEntry) {
  PutAll({1, 2, 3}, {});
  EXPECT_EQ(Flags(Find({{1, 2, 3}, {11, 12, 13}})), (Ints{kKept, kKept, kReplace, 0, 0, 0}));
  PutAll({21, 22}, {23});
  EXPECT_EQ(Flags(Find({{21, 22, 23}, {31, 32, 33}})), (Ints{kKept, kKept, kKept, 0, 0, 0}));
}

TEST_F(EndsTest, WhereOthersGoOnInAnotherWayACallIsDivided) {
  PutAll({1, 2, 3, 4, 5, 6}, {});
  const Match fresh = Find({{1, 2, 3, 4, 5, 6, 17, 18}});
  EXPECT_EQ(fresh.hits.size(), 0u);
  EXPECT_EQ(fresh.divided, 6u);
  EXPECT_EQ(Flags(fresh), (Ints{kKept, kKept, kKept, kKept, kKept, kReplace | kDivides, 0, 0}));
  PutAll({21, 23, 24, 25, 26, 27}, {22});
  const Match behind = Find({{21, 22, 23, 24, 25, 26, 27, 38}});
  EXPECT_EQ(behind.handed_out.length, 1u);
  EXPECT_EQ(behind.divided, 5u) << "of the positions behind the ends";
  EXPECT_EQ(Flags(behind), (Ints{kKept, kKept, kKept, kKept, kKept, kReplace | kDivides, 0}));
  EXPECT_EQ(Find({{21, 22, 23, 24, 25, 38}}).divided, 0u) << "too little to be worth it";
  EXPECT_EQ(Find({{1, 2, 3, 4, 5, 6}}).divided, 0u);
}

TEST_F(EndsTest, AllRowsAreDividedAtTheSamePosition) {
  PutAll({1, 2, 3, 4, 5, 6, 11, 12, 13, 14}, {15});
  const Match match = Find({{1, 2, 3, 4, 5, 6}, {11, 12, 13, 14, 15, 26}});
  EXPECT_EQ(match.divided, 5u);
  EXPECT_EQ(Flags(match), (Ints{kKept, kKept, kKept, kKept, kReplace | kDivides, kReplace, kKept,
                                kKept, kKept, kKept, kKept | kDivides, 0}));
}

TEST_F(EndsTest, OfAWholeCallThoseOfTheLastPositionAreHandedOn) {
  PutAll({1, 2, 11, 12}, {3, 13});
  const Match match = Find({{1, 2, 3}, {11, 12, 13}}, handing_on_);
  EXPECT_FALSE(match.any_miss());
  ASSERT_EQ(match.ends.size(), 2u);
  EXPECT_EQ(match.ends[0]->key(), KeyNumber(3));
  EXPECT_EQ(match.ends[1]->key(), KeyNumber(13));
  EXPECT_TRUE(Find({{1, 2, 3}, {11, 12, 13}}).ends.empty()) << "nobody reads them";
}

TEST_F(EndsTest, WhereOneIsMissingACallIsNotFoundAsAWhole) {
  PutAll({1, 3, 4, 5, 6, 11, 13, 14, 15}, {2, 12, 16});
  const Rows rows{{1, 2, 3, 4, 5, 6}, {11, 12, 13, 14, 15, 16}};
  const Match match = Find(rows, handing_on_);
  EXPECT_TRUE(match.any_miss());
  EXPECT_EQ(match.handed_out.length, 1u);
  ASSERT_EQ(match.ends.size(), 2u);
  EXPECT_EQ(match.ends[0]->key(), KeyNumber(2));
  EXPECT_EQ(match.divided, 0u) << "nothing follows what is known";
  EXPECT_EQ(Flags(match),
            (Ints{kKept, kKept, kKept, kKept, kReplace, kKept, kKept, kKept, kKept, kKept}));
  EXPECT_FALSE(Find(rows).any_miss()) << "nobody reads them";
}

TEST_F(EndsTest, OnePositionAloneIsComputedForItsEnd) {
  PutAll({1}, {});
  const Match match = Find({{1}}, handing_on_);
  EXPECT_EQ(match.hits.size(), 0u);
  EXPECT_EQ(Flags(match), (Ints{kReplace}));
}

TensorView View(const Dims& dims, const std::vector<float>& data) {
  TensorView view;
  view.type = kFloat;
  view.dims = dims;
  view.elements = data.size();
  view.bytes = data.size() * sizeof(float);
  view.data = reinterpret_cast<const std::byte*>(data.data());
  return view;
}

TEST_F(EndsTest, OfWhatIsComputedTheLastUnitOfEachRowHasThem) {
  std::vector<float> y(2 * 3 * 2);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(i);
  const std::vector<float> ends{100, 101, 102, 200, 201, 202};
  const std::vector<TensorView> computed{View({2, 3, 2}, y), View({2, 1, 3}, ends)};
  const ComputedUnits units(cut_, computed);
  for (std::size_t unit = 0; unit < 6; ++unit) {
    const bool last = unit % 3 == 2;
    EXPECT_EQ(units.specs(unit)[1].dims, (std::vector<std::int64_t>{last ? 1 : 0, 3}));
    EXPECT_EQ(units.unit_bytes(unit), (last ? 5 : 2) * sizeof(float));
    const auto [own, end] = Parts(units, unit, 3);
    EXPECT_EQ(own, (std::vector<float>{y[2 * unit], y[2 * unit + 1]}));
    const auto first = static_cast<float>(100 * (unit / 3 + 1));
    EXPECT_EQ(end,
              last ? (std::vector<float>{first, first + 1, first + 2}) : std::vector<float>(3));
  }
}

TEST_F(EndsTest, OfADividedCallTheUnitThereHasThemToo) {
  const std::vector<float> y(2 * 3 * 2);
  const std::vector<float> ends{1, 2, 3, 4};  // of two rows, behind the second unit and the third
  const std::vector<TensorView> computed{View({2, 3, 2}, y), View({2, 2, 1}, ends)};
  const ComputedUnits units(cut_, computed, 2);
  std::vector<float> found;
  for (std::size_t unit = 0; unit < 6; ++unit) {
    const std::vector<float> end = Parts(units, unit, 1).second;
    EXPECT_EQ(units.specs(unit)[1].dims[0], end[0] == 0 ? 0 : 1);
    found.push_back(end[0]);
  }
  EXPECT_EQ(found, (std::vector<float>{0, 1, 2, 0, 3, 4}));
}

TEST_F(EndsTest, TheyAreComparedWhereBothHaveSome) {
  const std::vector<float> zeros(4);
  const std::vector<float> ends{1, 0, 0};
  const std::vector<TensorView> computed{View({1, 2, 2}, zeros), View({1, 1, 3}, ends)};
  const ComputedUnits units(cut_, computed);
  EXPECT_EQ(units.DifferenceFrom(*Put(1, true), 0), 0);
  EXPECT_EQ(units.DifferenceFrom(*Put(2, false), 1), 0);
  EXPECT_GT(units.DifferenceFrom(*Put(3, true), 1), 0.1);
}

}  // namespace
}  // namespace actcache
