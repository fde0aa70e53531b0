// Copies past the caches, of all lengths and places relative to a cache line.
#include "base/streamed_copy.h"

#include <gtest/gtest.h>

#include <vector>

#include "units/window.h"

namespace actcache {
namespace {

constexpr std::size_t kMargin = 80;

std::vector<std::byte> Counting(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 37 + i / 251);
  return bytes;
}

TEST(StreamedCopy, WritesWhatWasAskedForAndNothingElse) {
  const std::vector<std::byte> source = Counting(kLeastStreamed + 4 * kMargin);
  for (std::size_t from = 0; from < kMargin; from += 5) {
    for (std::size_t to = 0; to < kMargin; ++to) {
      for (std::size_t more = 0; more < kMargin; more += 3) {
        const std::size_t bytes = kLeastStreamed - 1 + more;
        std::vector<std::byte> target(source.size());
        std::vector<std::byte> wanted(source.size());
        std::memcpy(wanted.data() + to, source.data() + from, bytes);
        StreamedCopy(target.data() + to, source.data() + from, bytes);
        ASSERT_EQ(target, wanted) << from << " " << to << " " << bytes;
      }
    }
  }
}

TEST(StreamedCopy, ShortOnesAreCopiedToo) {
  const std::vector<std::byte> source = Counting(kMargin);
  for (std::size_t bytes = 0; bytes <= kMargin; ++bytes) {
    std::vector<std::byte> target(kMargin);
    std::vector<std::byte> wanted(kMargin);
    std::memcpy(wanted.data(), source.data(), bytes);
    StreamedCopy(target.data(), source.data(), bytes);
    ASSERT_EQ(target, wanted);
  }
}

TEST(StreamedCopy, LargeCopiesOfUnitsAreMadeOfThem) {
  for (const std::size_t unit : {std::size_t{300}, 4 * kLeastStreamed + 12}) {
    const Dims dims{2, static_cast<std::int64_t>(kStreamedBytes / unit), 1};
    const Window window = Window::Along(dims, 1, unit);
    const std::vector<std::byte> units = Counting(2 * window.units * unit);
    std::vector<std::byte> tensor(units.size());
    CopyUnits(
        Parallel(), window.units, window.unit_bytes(),
        [&](std::size_t i) {
          return ConstUnit{units.data() + i * window.unit_bytes(), window.Dense(), 0};
        },
        [&](std::size_t i) { return MutableUnit{tensor.data(), window, i}; });
    for (std::size_t i = 0; i < window.units; ++i) {
      for (std::size_t chunk = 0; chunk < 2; ++chunk) {
        ASSERT_EQ(std::memcmp(tensor.data() + window.offset(i, chunk),
                              units.data() + (2 * i + chunk) * unit, unit),
                  0);
      }
    }
  }
}

}  // namespace
}  // namespace actcache
