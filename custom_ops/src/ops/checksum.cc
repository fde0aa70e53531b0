#include "ops/checksum.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace actcache {
namespace {

using Sizes = std::array<std::size_t, 3>;
using Numbers = std::vector<std::int64_t>;

template <typename T>
T Read(const std::byte* data, std::size_t i) {
  T value;
  std::memcpy(&value, data + i * sizeof(T), sizeof(T));
  return value;
}

float FloatOfBits(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float FloatOfHalf(std::uint16_t half) {
  const int exponent = (half >> 10) & 0x1f;
  const int mantissa = half & 0x3ff;
  float value = 0;
  if (exponent == 0x1f) {
    value = mantissa == 0 ? std::numeric_limits<float>::infinity()
                          : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    value = std::ldexp(static_cast<float>(mantissa + 0x400), exponent - 25);
  }
  return (half & 0x8000) != 0 ? -value : value;
}

// No product, which might overflow.
bool Fit(const Sizes& sizes, std::size_t elements) {
  const auto [a, b, c] = sizes;
  return a > 0 && b > 0 && c > 0 && elements % a == 0 && elements / a % b == 0 &&
         elements / a / b == c;
}

// How many bits each of so many integers has, so that their sum is exact as a double.
int BitsOf(std::size_t elements) {
  int bits = 0;
  while ((std::size_t{1} << bits) < elements) ++bits;
  return std::min(30, 53 - bits);
}

// Appends the sums over all but the first, the second and the third axis. `at`: element to int32.
template <typename At>
void AppendSums(const Sizes& sizes, const At& at, Numbers* numbers) {
  const std::size_t before = numbers->size();
  numbers->resize(before + sizes[0] + sizes[1] + sizes[2]);
  std::int64_t* const first = numbers->data() + before;
  std::int64_t* const second = first + sizes[0];
  std::int64_t* const third = second + sizes[1];
  std::size_t i = 0;
  for (std::size_t a = 0; a < sizes[0]; ++a) {
    for (std::size_t b = 0; b < sizes[1]; ++b) {
      std::int64_t line = 0;
      for (std::size_t c = 0; c < sizes[2]; ++c) {
        const std::int64_t value = at(i++);
        line += value;
        third[c] += value;
      }
      first[a] += line;
      second[b] += line;
    }
  }
}

bool Equal(const TensorView& loaded, const Numbers& numbers) {
  return loaded.elements == numbers.size() &&
         std::memcmp(loaded.data, numbers.data(), loaded.bytes) == 0;
}

template <typename At>
bool EqualIntegers(const TensorView& loaded, const Sizes& sizes, const At& at) {
  Numbers numbers;
  AppendSums(sizes, at, &numbers);
  return Equal(loaded, numbers);
}

// `T` is the type that is computed in, `at` gives it for an element.
template <typename T, typename At>
bool EqualFloats(const TensorView& loaded, std::size_t elements, const Sizes& sizes, const At& at) {
  T magnitude = 0;
  bool finite = true;
  for (std::size_t i = 0; i < elements; ++i) {
    const T value = at(i);
    finite = finite && std::isfinite(value);
    magnitude = std::max(magnitude, std::fabs(value));
  }
  const T unit = magnitude * std::ldexp(T{1}, -BitsOf(elements));
  if (!finite || !std::isfinite(magnitude / unit)) {
    return loaded.elements > 0 && Read<std::int64_t>(loaded.data, 0) == 1;
  }
  Numbers numbers{0};
  for (int power = -100; power <= 166; power += 38) {
    const double step = std::ldexp(static_cast<double>(magnitude), power);
    numbers.push_back(static_cast<std::int64_t>(std::min(step, std::ldexp(1.0, 62))));
  }
  AppendSums(
      sizes, [&](std::size_t i) { return static_cast<std::int32_t>(at(i) / unit); }, &numbers);
  return Equal(loaded, numbers);
}

}  // namespace

bool IsChecksumOf(const TensorView& loaded, const TensorView& tensor, const Sizes& sizes) {
  if (loaded.type != ElementType::kInt64 || !Fit(sizes, tensor.elements)) return false;
  const std::byte* const data = tensor.data;
  const auto integers = [&](auto zero) {
    return EqualIntegers(loaded, sizes, [data](std::size_t i) {
      return static_cast<std::int32_t>(Read<decltype(zero)>(data, i));
    });
  };
  const auto floats = [&](const auto& at) {
    return EqualFloats<decltype(at(0))>(loaded, tensor.elements, sizes, at);
  };
  switch (tensor.type) {
    case ElementType::kFloat:
      return floats([data](std::size_t i) { return Read<float>(data, i); });
    case ElementType::kDouble:
      return floats([data](std::size_t i) { return Read<double>(data, i); });
    case ElementType::kFloat16:
      return floats([data](std::size_t i) { return FloatOfHalf(Read<std::uint16_t>(data, i)); });
    case ElementType::kBfloat16:
      return floats([data](std::size_t i) {
        return FloatOfBits(static_cast<std::uint32_t>(Read<std::uint16_t>(data, i)) << 16);
      });
    case ElementType::kInt8:
      return integers(std::int8_t{0});
    case ElementType::kUint8:
      return integers(std::uint8_t{0});
    case ElementType::kInt16:
      return integers(std::int16_t{0});
    case ElementType::kUint16:
      return integers(std::uint16_t{0});
    case ElementType::kInt32:
      return integers(std::int32_t{0});
    default:
      return false;
  }
}

}  // namespace actcache
