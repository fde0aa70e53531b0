// A simulated store finds chains as far as a real one, and keeps what a real one keeps.
#include "units/chain_simulation.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace actcache {
namespace {

using Row = std::vector<std::uint64_t>;

class ChainSimulationTest : public ::testing::Test {
 protected:
  // A call of so many equally long rows, one after the other in `keys`.
  std::size_t Call(const Row& keys, std::size_t rows = 1) {
    return Simulate(store_, {0, rows, keys.size() / rows, 2, keys.data(), bytes_, end_bytes_, 1000,
                             hands_ends_on_});
  }

  Simulation store_{std::size_t{1} << 40};
  std::size_t bytes_ = 900;
  std::size_t end_bytes_ = 0;
  bool hands_ends_on_ = false;
};

TEST_F(ChainSimulationTest, FindsWhatBeginsAlike) {
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6}), 0u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6}), 6u);
  EXPECT_EQ(Call({1, 2, 3, 4, 17, 18}), 4u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6, 27}), 5u);  // two are computed, if any are
  EXPECT_EQ(Call({31, 32, 33, 34}), 0u);
  EXPECT_EQ(Call({}), 0u);
}

TEST_F(ChainSimulationTest, AllRowsUseAsManyUnitsAsTheOneWithTheFewest) {
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6}), 0u);
  EXPECT_EQ(Call({1, 2, 3, 14, 15, 16, 1, 2, 3, 4, 5, 26}, 2), 3u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 26}), 6u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 26, 1, 2, 3, 4, 5, 26}, 2), 6u);
}

class SmallSimulationTest : public ChainSimulationTest {
 protected:
  SmallSimulationTest() { store_.store().SetBudget(6 * 1100); }
};

TEST_F(SmallSimulationTest, OfAChainThatHasNoRoomTheBeginningIsKept) {
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}), 0u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}), 6u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6}), 6u);
}

TEST_F(SmallSimulationTest, AnotherChainTakesTheRoomOfEnds) {
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6}), 0u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6}), 6u);
  for (int i = 0; i < 4; ++i) Call({21, 22, 23});
  const std::size_t other = Call({21, 22, 23});
  const std::size_t left = Call({1, 2, 3, 4, 5, 6});
  EXPECT_GE(other, 1u);
  EXPECT_GE(left, 1u);
  EXPECT_LE(left + other, 6u);
}

class EndsSimulationTest : public ChainSimulationTest {
 protected:
  EndsSimulationTest() { end_bytes_ = 100; }
};

TEST_F(EndsSimulationTest, GoesOnWhereAnEarlierCallEnded) {
  EXPECT_EQ(Call({1, 2, 3, 4, 5}), 0u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6}), 4u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6, 7}), 5u);
  EXPECT_EQ(Call({1, 2, 3, 14, 15, 16}), 0u);  // no call ended among what is shared
}

TEST_F(EndsSimulationTest, WithoutEndsThatAreHandedOnACallIsNotFoundAsAWhole) {
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6}), 0u);
  EXPECT_EQ(Call({1, 2, 3, 4}), 4u);
  hands_ends_on_ = true;
  EXPECT_EQ(Call({1, 2, 3}), 0u);
  EXPECT_EQ(Call({1, 2, 3}), 3u);
}

TEST_F(EndsSimulationTest, TheThirdCallGoesOnWhereTheSecondLeftTheFirst) {
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6, 7, 8}), 0u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6, 17, 18}), 0u);
  EXPECT_EQ(Call({1, 2, 3, 4, 5, 6, 27, 28}), 5u);
}

}  // namespace
}  // namespace actcache
