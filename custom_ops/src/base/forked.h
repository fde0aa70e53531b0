// Whether this process was made by fork() while the library was loaded.
#ifndef ACTCACHE_BASE_FORKED_H_
#define ACTCACHE_BASE_FORKED_H_

#include <atomic>

namespace actcache {

// Set in the child by host/fork.cc, and kept in its children.
inline std::atomic<bool> forked{false};

inline bool Forked() noexcept { return forked.load(std::memory_order_relaxed); }

}  // namespace actcache

#endif  // ACTCACHE_BASE_FORKED_H_
