// What computing is expected to take.
#include "flight/recompute_time.h"

#include <gtest/gtest.h>

namespace actcache {
namespace {

TEST(RecomputeTime, IsUnknownAtFirstAndThenWhatWasMeasured) {
  RecomputeTime time;
  EXPECT_EQ(time.Expected(1), 0u);
  time.Add(10, 5000);
  EXPECT_EQ(time.Expected(10), 5000u);
  EXPECT_EQ(time.Expected(20), 10000u);
}

TEST(RecomputeTime, FewRowsTakeAtLeastAUsualCall) {
  RecomputeTime time;
  time.Add(10, 5000);
  EXPECT_EQ(time.Expected(1), 5000u);
}

TEST(RecomputeTime, FollowsWhatIsMeasured) {
  RecomputeTime time;
  time.Add(1, 1'000'000);
  time.Add(1, 9'000'000);
  EXPECT_EQ(time.Expected(1), 2'000'000u);
  for (int i = 0; i < 100; ++i) time.Add(1, 9'000'000);
  EXPECT_NEAR(static_cast<double>(time.Expected(1)), 9e6, 1e5);
}

TEST(RecomputeTime, IsNeverTakenForUnmeasured) {
  RecomputeTime time;
  for (int i = 0; i < 100; ++i) time.Add(1000, 0);
  EXPECT_GT(time.Expected(1), 0u);
}

}  // namespace
}  // namespace actcache
