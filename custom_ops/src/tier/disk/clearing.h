// Emptying a store whose index cannot be read.
#ifndef ACTCACHE_TIER_DISK_CLEARING_H_
#define ACTCACHE_TIER_DISK_CLEARING_H_

#include <cstdint>
#include <string>

namespace actcache {

// Removes the index and the files of values, and returns how many of those there were. The secret
// stays, so that services that use the store go on with an empty one (DiskTier::Maintain). Throws
// DirectoryError if a file cannot be removed. REQUIRES: the folder is a store's (HasSecret).
std::uint64_t ClearStore(const std::string& folder);

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_CLEARING_H_
