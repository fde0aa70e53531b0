// What tests of a disk store have in common: a store in a folder of its own, and sizes of values.
#ifndef ACTCACHE_TESTS_TIER_DISK_TESTING_H_
#define ACTCACHE_TESTS_TIER_DISK_TESTING_H_

#include <gtest/gtest.h>

#include <string>

#include "tier/disk/limits.h"
#include "tier_testing.h"

namespace actcache {

// A small value is in the index, a large one has a file of its own.
inline constexpr std::size_t kSmall = 1000;
inline constexpr std::size_t kLarge = 3 * kOwnFileBytes;

class DiskStoreTest : public testing::Test {
 protected:
  std::string store() const { return folder_.path() + "/store"; }
  TestFolder folder_;
};

}  // namespace actcache

#endif  // ACTCACHE_TESTS_TIER_DISK_TESTING_H_
