// How far the chains of a call reach, and what is computed behind them.
#include "units/chain_search.h"

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <vector>

#include "base/clock.h"
#include "policy/origins.h"
#include "units/prefix_cut.h"

namespace actcache {
namespace {

const ElementTypes kTypes{ElementType::kFloat};

Key KeyNumber(std::uint64_t n) { return Key{{n * 0x9e3779b97f4a7c15u + 1, n}}; }

class ChainSearchTest : public ::testing::Test {
 protected:
  // Entries of block number n, [block, 2] or other dims.
  void Put(std::initializer_list<std::uint64_t> numbers, std::vector<std::int64_t> dims = {1, 2},
           Origin origin = 0) {
    for (const std::uint64_t n : numbers) {
      std::size_t bytes = sizeof(float);
      for (const std::int64_t dim : dims) bytes *= static_cast<std::size_t>(dim);
      const TensorSpec spec{static_cast<std::int32_t>(ElementType::kFloat), dims, bytes};
      Offer offer{};
      offer.key = KeyNumber(n);
      offer.tag = {0, 0};
      offer.specs = &spec;
      offer.count = 1;
      offer.cost_ns = 100 + n;
      offer.origin = origin;
      Draft draft = store_.Reserve(offer);
      ASSERT_TRUE(draft);
      std::memset(draft.data(0), 0, bytes);
      ASSERT_TRUE(store_.Publish(std::move(draft)));
    }
  }

  // Rows of equally many blocks of one position, and `tail` positions more.
  Match Find(std::initializer_list<std::initializer_list<std::uint64_t>> rows,
             std::size_t tail = 0) {
    Keys keys;
    for (const auto& row : rows) {
      for (const std::uint64_t n : row) keys.push_back(KeyNumber(n));
    }
    const std::size_t length = rows.begin()->size();
    return FindUnits(store_, keys, {&cut_, keys.size(), OneUnit::kNone, length, tail}, kTypes,
                     rules_);
  }

  static std::vector<int> Flags(const Match& match) {
    return {match.missing_flags.begin(), match.missing_flags.end()};
  }
  static std::vector<std::uint32_t> Missing(const Match& match) {
    return {match.missing.begin(), match.missing.end()};
  }

  using Numbers = std::vector<std::uint32_t>;

  Store store_{1 << 20};
  const PrefixCut cut_{{{0}, {1}, {0}, {1}}, 1, 2};
  LookupRules rules_{FindLimits{SteadyNow()}};
};

TEST_F(ChainSearchTest, GoesToTheFirstUnitThatIsMissing) {
  Put({1, 2, 4, 5});
  const Match match = Find({{1, 2, 3, 4, 5, 6}});
  EXPECT_EQ(match.handed_out.rows, 1u);
  EXPECT_EQ(match.handed_out.length, 2u);
  EXPECT_EQ(match.hits.size(), 2u);
  EXPECT_EQ(Missing(match), (Numbers{2, 3, 4, 5}));
  EXPECT_EQ(Flags(match), (std::vector<int>{0, 0, 0, 0}));
  EXPECT_EQ(match.saved_ns, 101u + 102u);
  EXPECT_EQ(match.sources[1].index(), 1u);
  EXPECT_TRUE(match.sources[1].cached());
  EXPECT_EQ(match.sources[5].index(), 3u);
}

TEST_F(ChainSearchTest, ComputesAgainWhatTheSuffixIsTooShortWithout) {
  Put({1, 2, 3});
  const Match match = Find({{1, 2, 3, 4}});
  EXPECT_EQ(match.handed_out.length, 2u);
  EXPECT_EQ(Missing(match), (Numbers{2, 3}));
  EXPECT_EQ(Flags(match), (std::vector<int>{kKept, 0}));
  EXPECT_FALSE(Find({{1, 2, 3}}).any_miss());
  EXPECT_TRUE(Find({{1, 2, 3}}, 1).any_miss());  // positions behind the blocks
}

TEST_F(ChainSearchTest, AllRowsUseAsManyUnitsAsTheOneWithTheFewest) {
  Put({1, 2, 3, 4, 11});
  const Match match = Find({{1, 2, 3, 4}, {11, 12, 13, 14}});
  EXPECT_EQ(match.handed_out.rows, 2u);
  EXPECT_EQ(match.handed_out.length, 1u);
  EXPECT_EQ(match.sources[4].index(), 1u);
  EXPECT_EQ(Missing(match), (Numbers{1, 2, 3, 5, 6, 7}));
  EXPECT_EQ(Flags(match), (std::vector<int>{kKept, kKept, kKept, 0, 0, 0}));
}

TEST_F(ChainSearchTest, OfEqualRowsOneIsStored) {
  const Match match = Find({{1, 2}, {1, 3}, {1, 2}});
  EXPECT_EQ(Flags(match), (std::vector<int>{0, 0, kKept, 0, kKept, kKept}));
  EXPECT_EQ(match.duplicates, 0u);
}

TEST_F(ChainSearchTest, EntriesOfOtherShapesEndAChain) {
  Put({1, 2});
  Put({3}, {1, 5});
  const Match match = Find({{1, 2, 3, 4, 5}});
  EXPECT_EQ(match.handed_out.length, 2u);
  EXPECT_EQ(Flags(match), (std::vector<int>{kReplace, 0, 0}));
  Put({21}, {2, 2});  // two positions
  EXPECT_EQ(Find({{21, 22, 23}}).hits.size(), 0u);
}

TEST_F(ChainSearchTest, ARefreshReplacesAllUnits) {
  Put({1, 2, 3});
  rules_.refresh = true;
  const Match match = Find({{1, 2, 3, 4}, {1, 2, 3, 4}});
  EXPECT_EQ(match.hits.size(), 0u);
  EXPECT_EQ(Flags(match),
            (std::vector<int>{kReplace, kReplace, kReplace, kReplace, kKept, kKept, kKept, kKept}));
}

TEST_F(ChainSearchTest, AVerifiedCallComparesAllThatIsFound) {
  Put({1, 2, 3, 11});
  Sampler sampler;
  rules_.verify_share = 1;
  rules_.verified = &sampler;
  const Match match = Find({{1, 2, 3, 4}, {11, 12, 13, 14}});
  EXPECT_EQ(match.hits.size(), 0u);
  EXPECT_EQ(match.verified, 4u);
  EXPECT_EQ(Flags(match), (std::vector<int>{kVerify, kVerify, kVerify, 0, kVerify, 0, 0, 0}));
}

TEST_F(ChainSearchTest, AsManyUnitsAreVerifiedAsWereAskedFor) {
  Put({1, 2, 3, 4, 5, 6, 7, 8});
  Sampler sampler;
  rules_.verify_share = 0.25;
  rules_.verified = &sampler;
  std::size_t verified = 0;
  for (int call = 0; call < 1000; ++call) {
    verified += Find({{1, 2, 3, 4, 5, 6, 7, 8}}).verified;
  }
  EXPECT_NEAR(static_cast<double>(verified), 0.25 * 8000, 400);
}

TEST_F(ChainSearchTest, WhatAnotherSessionMadeIsComparedFirst) {
  const Origin mine = Origins::Process().Of(Digest{1, 1});
  rules_.origin = mine;
  Put({1}, {1, 2}, mine);
  Put({2}, {1, 2}, Origins::Process().Of(Digest{2, 2}));
  Put({3}, {1, 2}, mine);
  const Match match = Find({{1, 2, 3, 4}});
  EXPECT_EQ(match.handed_out.length, 1u);
  EXPECT_EQ(Flags(match), (std::vector<int>{kVerify, kKept, 0}));
  EXPECT_EQ(match.compared, 1u);
}

}  // namespace
}  // namespace actcache
