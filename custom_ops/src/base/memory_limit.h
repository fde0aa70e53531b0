// How much memory this process may use.
#ifndef ACTCACHE_BASE_MEMORY_LIMIT_H_
#define ACTCACHE_BASE_MEMORY_LIMIT_H_

#include <cstdint>
#include <string>

namespace actcache {

inline constexpr std::uint64_t kNoMemoryLimit = ~std::uint64_t{0};

// The least of the machine's memory, the limits of the process's control group and of all groups
// that hold it (a container's limit), and the limits on address space and data (setrlimit). In
// bytes, as it is now. Never fails: what cannot be read is no limit.
std::uint64_t MemoryLimit();

// The control groups' part of it, or kNoMemoryLimit: memory.max of version 2, or
// memory.limit_in_bytes of version 1, below `root`/sys/fs/cgroup. `root` is empty but in tests.
std::uint64_t ControlGroupMemoryLimit(const std::string& root);

}  // namespace actcache

#endif  // ACTCACHE_BASE_MEMORY_LIMIT_H_
