#include "units/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace actcache {
namespace {

template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits.
double FromHalf(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const int fraction = bits & 0x3ff;
  double magnitude;
  if (exponent == 0x1f) {
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity()
                              : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(fraction, -24);
  } else {
    magnitude = std::ldexp(fraction | 0x400, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// bfloat16 is the upper half of a float.
double FromBfloat16(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

double Distance(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  const double distance = std::fabs(a - b);
  return std::isnan(distance) ? std::numeric_limits<double>::infinity() : distance;
}

}  // namespace

template <typename Read>
void RowComparison::AddFloats(const std::byte* computed, const std::byte* kept, std::size_t bytes,
                              std::size_t unit, const Read& read) {
  for (std::size_t at = 0; at < bytes; at += unit) {
    const double expected = read(kept + at);
    difference_ = std::max(difference_, Distance(read(computed + at), expected));
    if (std::isfinite(expected)) largest_ = std::max(largest_, std::fabs(expected));
  }
}

void RowComparison::Add(const std::byte* computed, const std::byte* kept, std::size_t bytes) {
  switch (type_) {
    case ElementType::kFloat:
      return AddFloats(computed, kept, bytes, sizeof(float),
                       [](const std::byte* at) -> double { return Load<float>(at); });
    case ElementType::kDouble:
      return AddFloats(computed, kept, bytes, sizeof(double), Load<double>);
    case ElementType::kFloat16:
      return AddFloats(computed, kept, bytes, sizeof(std::uint16_t),
                       [](const std::byte* at) { return FromHalf(Load<std::uint16_t>(at)); });
    case ElementType::kBfloat16:
      return AddFloats(computed, kept, bytes, sizeof(std::uint16_t),
                       [](const std::byte* at) { return FromBfloat16(Load<std::uint16_t>(at)); });
    default:
      if (std::memcmp(computed, kept, bytes) != 0) {
        difference_ = std::numeric_limits<double>::infinity();
      }
  }
}

double RowComparison::difference() const {
  if (difference_ == 0) return 0;
  return largest_ == 0 ? std::numeric_limits<double>::infinity() : difference_ / largest_;
}

}  // namespace actcache
