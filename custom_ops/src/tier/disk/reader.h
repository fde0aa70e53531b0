// Reads values of a disk store.
#ifndef ACTCACHE_TIER_DISK_READER_H_
#define ACTCACHE_TIER_DISK_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "tier/buffer.h"
#include "tier/disk/database.h"
#include "tier/disk/value_files.h"
#include "tier/record.h"

namespace actcache {

// A connection for reading. Used by one thread at a time. Throws DatabaseError.
class DiskReader {
 public:
  DiskReader(const std::string& folder, const ValueFiles& files, bool read_only);

  struct Found {
    std::int64_t id = 0;  // 0: there is none
    bool expired = false;
    Buffer bytes;  // empty: they cannot be read
  };
  Found Find(const TierKey& key, std::uint64_t unix_ns);

  // What is in the store, whoever stored it.
  struct Totals {
    std::uint64_t budget = 0;
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
    std::uint64_t evicted = 0;
  };
  Totals totals();

  // Begins a transaction: what is found until it ends is of one moment.
  Database* database() noexcept { return index_.get(); }

 private:
  const ValueFiles& files_;
  const std::unique_ptr<Database> index_;
  Statement find_;
  Statement totals_;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_READER_H_
