// What a test's process takes of the machine's memory.
#ifndef ACTCACHE_TESTS_RESIDENT_H_
#define ACTCACHE_TESTS_RESIDENT_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>

namespace actcache::testing_support {

inline std::size_t ResidentBytes() {
  long pages = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%*d %ld", &pages) != 1) ADD_FAILURE();
  if (file != nullptr) std::fclose(file);
  return static_cast<std::size_t>(pages) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace actcache::testing_support

#endif  // ACTCACHE_TESTS_RESIDENT_H_
