// Numbers of bytes as people write them.
#include "config/byte_size.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

namespace actcache {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

TEST(ByteSize, NumbersWithAndWithoutUnits) {
  const std::pair<const char*, std::uint64_t> cases[] = {
      {"0", 0},
      {"4096", 4096},
      {"18446744073709551615", kMost},
      {"512MiB", std::uint64_t{512} << 20},
      {" 1.5 gib ", std::uint64_t{3} << 29},
      {"10B", 10},
      {"2TiB", std::uint64_t{2} << 40},
      {"0.375KiB", 384},
      {"0.1KiB", 102},
      {"7.9", 7},
  };
  for (const auto& [text, bytes] : cases) EXPECT_EQ(ParseByteSize(text, 1000), bytes) << text;
}

TEST(ByteSize, PercentagesAreOfTheWhole) {
  EXPECT_EQ(ParseByteSize("10%", 1000), 100u);
  EXPECT_EQ(ParseByteSize(" 12.5 % ", 1000), 125u);
  EXPECT_EQ(ParseByteSize("0%", 1000), 0u);
  EXPECT_EQ(ParseByteSize("100%", kMost), kMost);
}

TEST(ByteSize, AnythingElseIsRefused) {
  for (const char* text : {"",
                           " ",
                           "much",
                           "-1",
                           "+1",
                           "1.2.3",
                           "5 parsec",
                           "MiB",
                           "1.",
                           ".5",
                           "1e3",
                           "0x10",
                           "1 000",
                           "100.1%",
                           "%",
                           "1%%",
                           "18446744073709551616",
                           "16777216TiB",
                           "inf",
                           "nan",
                           "1MB"}) {
    EXPECT_FALSE(ParseByteSize(text, 1000)) << text;
  }
}

}  // namespace
}  // namespace actcache
