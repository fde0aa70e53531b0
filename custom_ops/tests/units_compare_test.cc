// What counts as the same result.
#include "units/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace actcache {
namespace {

template <typename T>
double Difference(ElementType type, const std::vector<T>& computed, const std::vector<T>& kept) {
  RowComparison comparison(type);
  comparison.Add(reinterpret_cast<const std::byte*>(computed.data()),
                 reinterpret_cast<const std::byte*>(kept.data()), kept.size() * sizeof(T));
  return comparison.difference();
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Compare, DifferencesCountAgainstTheLargestMagnitude) {
  EXPECT_NEAR(Difference<float>(ElementType::kFloat, {1, -8.5f}, {1, -8}), 0.0625, 1e-9);
  EXPECT_NEAR(Difference<double>(ElementType::kDouble, {0.5, 100}, {1, 100}), 0.005, 1e-12);
  EXPECT_EQ(Difference<float>(ElementType::kFloat, {0, -0.0f, 3}, {-0.0f, 0, 3}), 0);
}

TEST(Compare, TheLargestMagnitudeMayComeInALaterPiece) {
  const float computed[] = {1.5f, 10};
  const float kept[] = {1, 10};
  RowComparison comparison(ElementType::kFloat);
  for (int i = 0; i < 2; ++i) {
    comparison.Add(reinterpret_cast<const std::byte*>(computed + i),
                   reinterpret_cast<const std::byte*>(kept + i), sizeof(float));
  }
  EXPECT_NEAR(comparison.difference(), 0.05, 1e-9);
}

TEST(Compare, NonFiniteValuesEqualOnlyThemselves) {
  EXPECT_EQ(Difference<float>(ElementType::kFloat, {kNan, kInfinity}, {kNan, kInfinity}), 0);
  EXPECT_EQ(Difference<float>(ElementType::kFloat, {1, kNan}, {1, 2}), INFINITY);
  EXPECT_EQ(Difference<float>(ElementType::kFloat, {1, 2}, {1, kNan}), INFINITY);
  EXPECT_EQ(Difference<float>(ElementType::kFloat, {kInfinity}, {-kInfinity}), INFINITY);
  EXPECT_EQ(Difference<float>(ElementType::kFloat, {1, 5}, {1, kInfinity}), INFINITY);
}

TEST(Compare, NothingIsCloseToZeroButZero) {
  EXPECT_EQ(Difference<float>(ElementType::kFloat, {1e-30f}, {0}), INFINITY);
}

TEST(Compare, IntegersThatDifferAreNotClose) {
  EXPECT_EQ(Difference<std::int32_t>(ElementType::kInt32, {1000000, 7}, {1000001, 7}), INFINITY);
}

TEST(Compare, HalvesAreRead) {
  // 1, -2, the smallest subnormal, infinity.
  const std::vector<std::uint16_t> kept{0x3c00, 0xc000, 0x0001, 0x7c00};
  EXPECT_EQ(Difference<std::uint16_t>(ElementType::kFloat16, kept, kept), 0);
  EXPECT_NEAR(Difference<std::uint16_t>(ElementType::kFloat16, {0x4200}, {0x4400}), 0.25, 1e-9);
  EXPECT_NEAR(Difference<std::uint16_t>(ElementType::kFloat16, {0x3c00}, {0xbc00}), 2, 1e-9);
  EXPECT_NEAR(Difference<std::uint16_t>(ElementType::kFloat16, {0xc000, 0x0002}, {0xc000, 0x0001}),
              std::ldexp(1, -25), 1e-12);
}

TEST(Compare, BrainFloatsAreRead) {
  EXPECT_NEAR(Difference<std::uint16_t>(ElementType::kBfloat16, {0x3fc0}, {0x4000}), 0.25, 1e-9);
}

TEST(Compare, OtherTypesHaveToBeEqual) {
  EXPECT_EQ(Difference<std::int64_t>(ElementType::kInt64, {1, 2}, {1, 2}), 0);
  EXPECT_EQ(Difference<std::int64_t>(ElementType::kInt64, {1, 1000000}, {1, 1000001}), INFINITY);
}

}  // namespace
}  // namespace actcache
