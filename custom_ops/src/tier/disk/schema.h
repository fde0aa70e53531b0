// The tables of a disk store.
//
// entries: one row for each value. `state` says how far it is:
//   kReady    its record can be read
//   kPending  its file is being written, by the process that made the row
//   kLeaving  its file is about to be removed; nobody reads it any more
// `follows` is the key of the entry without which this one is of no use (chains.h); null: none.
// Whatever takes room on the disk has a row from before it is there until after it is gone; so the
// sums of `store` are never too small, whenever a process is killed. What a killed process left
// pending or leaving, any other removes.
#ifndef ACTCACHE_TIER_DISK_SCHEMA_H_
#define ACTCACHE_TIER_DISK_SCHEMA_H_

#include <cstdint>
#include <memory>
#include <string>

#include "tier/disk/database.h"

namespace actcache {

inline constexpr int kReady = 0;
inline constexpr int kPending = 1;
inline constexpr int kLeaving = 2;

// Another number: another layout, which this library does not read.
inline constexpr std::int64_t kStoreFormat = 1;

inline std::string IndexPath(const std::string& folder) { return folder + "/index.sqlite"; }

// Opens the index of the store in `folder`, and makes it if it is not there. Throws DatabaseError.
std::unique_ptr<Database> OpenIndex(const std::string& folder, Database::Access access,
                                    int busy_timeout_ms);

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_SCHEMA_H_
