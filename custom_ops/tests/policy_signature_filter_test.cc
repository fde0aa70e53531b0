// The table of signatures seen lately.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/memory.h"
#include "policy/signature_filter.h"

namespace actcache {
namespace {

TEST(SignatureFilter, RemembersWhatItWasTold) {
  SignatureFilter filter;
  EXPECT_FALSE(filter.Note(0));
  EXPECT_TRUE(filter.Note(0));
  EXPECT_FALSE(filter.Note(std::uint64_t{5} << 48));  // the same slot
  EXPECT_FALSE(filter.Note(0));
}

TEST(SignatureFilter, ForgetsSlowlyAndRarelyErrs) {
  SignatureFilter filter;
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> first(10'000);
  for (std::uint64_t& signature : first) signature = random();
  std::size_t errors = 0;
  for (const std::uint64_t signature : first) errors += filter.Note(signature) ? 1 : 0;
  for (int i = 0; i < 20'000; ++i) errors += filter.Note(random()) ? 1 : 0;
  EXPECT_LE(errors, 5u);  // 30,000 / 65,536 expected
  std::size_t kept = 0;
  for (const std::uint64_t signature : first) kept += filter.Note(signature) ? 1 : 0;
  EXPECT_GT(kept, 6'000u);  // exp(-25,000 / 65,536) of them, on average: 6,800
}

TEST(SignatureFilter, SeesNothingWithoutMemory) {
  SignatureFilter filter;
  FailAllocationsFromForTest(1);
  EXPECT_FALSE(filter.Note(7));
  EXPECT_FALSE(filter.Note(7));
  FailAllocationsFromForTest(0);
  EXPECT_FALSE(filter.Note(7));
  EXPECT_TRUE(filter.Note(7));
}

}  // namespace
}  // namespace actcache
