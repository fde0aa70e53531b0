// A simulation decides as a store does.
#include "store/simulation.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace actcache {
namespace {

using Outcome = Simulation::Outcome;

TEST(Simulation, EvictsWhatSavesLeastForItsBytes) {
  Simulation store(10 * 1100);
  for (std::uint64_t key = 0; key < 8; ++key) {
    EXPECT_EQ(store.Touch({0, key, 900, 9'000'000}), Outcome::kMiss);
  }
  EXPECT_EQ(store.Touch({0, 100, 900, 1'000'000}), Outcome::kMiss);
  EXPECT_EQ(store.Touch({0, 101, 900, 4'000'000}), Outcome::kMiss);
  EXPECT_EQ(store.Touch({0, 102, 900, 5'000'000}), Outcome::kMiss);
  for (std::uint64_t key = 0; key < 8; ++key) {
    EXPECT_EQ(store.Touch({0, key, 900, 9'000'000}), Outcome::kHit);
  }
  EXPECT_EQ(store.Touch({0, 102, 900, 5'000'000}), Outcome::kHit);
  EXPECT_EQ(store.Touch({0, 100, 900, 1'000'000}), Outcome::kMiss);
}

TEST(Simulation, KeepsRegionsApart) {
  Simulation store(1 << 20);
  EXPECT_EQ(store.Touch({1, 7, 10, 1000}), Outcome::kMiss);
  EXPECT_EQ(store.Touch({2, 7, 10, 1000}), Outcome::kMiss);
  EXPECT_EQ(store.Touch({1, 7, 10, 1000}), Outcome::kHit);
}

TEST(Simulation, TakesNoMemoryForValues) {
  Simulation store(std::size_t{1} << 50);
  for (std::uint64_t key = 0; key < 1000; ++key) {
    EXPECT_EQ(store.Touch({0, key, std::size_t{1} << 39, 1000}), Outcome::kMiss);
    EXPECT_EQ(store.Touch({0, key, std::size_t{1} << 39, 1000}), Outcome::kHit);
  }
  EXPECT_EQ(store.Touch({0, 5000, std::size_t{1} << 51, 1000}), Outcome::kMiss);
  EXPECT_EQ(store.Touch({0, 5000, std::size_t{1} << 51, 1000}), Outcome::kMiss);
}

}  // namespace
}  // namespace actcache
