// The tier on a disk of this machine, which its processes share (docs/tiers.md).
//
// An index in SQLite holds the small values; large ones have files of their own. Every reading
// thread has a connection for the length of its call, out of a few that are kept; one connection
// writes.
//
// fork(): SQLite's locks belong to the process, and it notes them in memory that a child would
// inherit. So no connection is open while the process forks; parent and child open new ones.
#ifndef ACTCACHE_TIER_DISK_DISK_TIER_H_
#define ACTCACHE_TIER_DISK_DISK_TIER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "tier/disk/reader.h"
#include "tier/disk/value_files.h"
#include "tier/disk/writer.h"
#include "tier/tier.h"

namespace actcache {

class DiskTier : public Tier {
 public:
  // Opens the store in the folder, or makes it. `budget_bytes` 0: what the store has, else the
  // default. Throws DirectoryError or DatabaseError. A store that may only be read is used so; one
  // that is damaged or of another format is refused.
  DiskTier(std::string folder, std::uint64_t budget_bytes);
  ~DiskTier() override = default;

  const char* name() const noexcept override { return "disk"; }
  const DigestKey& secret() const noexcept override { return secret_; }
  bool available() const noexcept override { return !broken_.load(std::memory_order_relaxed); }
  bool writable() const noexcept override { return !read_only_ && available(); }
  void Get(const TierKey* keys, std::size_t count, std::uint64_t deadline_ns,
           Record* found) noexcept override;
  void Put(const Record* records, std::size_t count) noexcept override;
  void Remove(const TierKey* keys, std::size_t count) noexcept override;
  void Maintain() noexcept override;
  TierStats stats() const noexcept override;

  void LockForFork() noexcept override;
  void UnlockAfterFork() noexcept override;
  void ReopenInForkedChild() noexcept override;

  const std::string& folder() const noexcept { return folder_; }

 private:
  using Readers = std::vector<std::unique_ptr<DiskReader>>;

  // A connection out of those that are kept, or a new one; null if too many are in use.
  std::unique_ptr<DiskReader> TakeReader() const ACTCACHE_EXCLUDES(readers_mutex_);
  void ReturnReader(std::unique_ptr<DiskReader> reader) const noexcept
      ACTCACHE_EXCLUDES(readers_mutex_);
  // Reads one value; what is wrong with it is counted, and noted for removal.
  Record Read(DiskReader* reader, const TierKey& key, std::uint64_t unix_ns);
  // Runs `work` with the writer, unless the store may only be read, or is broken.
  template <typename Work>
  bool Write(const Work& work) noexcept;
  // Counts the fault; turns the tier off where the database is damaged.
  void Failed(const std::exception& error) const noexcept;
  // Goes on with what is in the folder now, if it is a store of the same secret or none.
  void TakeOver() noexcept;
  // Whether the index that is open is still the one of the folder.
  bool IsSameFile() const noexcept;
  void CloseAll() noexcept;
  // For the writing thread: entries that were used, and that are to be removed.
  enum Noted : std::size_t { kUsed, kDoomed, kKindsOfNotes };
  void Note(Noted what, std::int64_t id) noexcept ACTCACHE_EXCLUDES(notes_mutex_);
  std::vector<std::int64_t> TakeNotes(Noted what) noexcept ACTCACHE_EXCLUDES(notes_mutex_);

  const std::string folder_;
  const std::uint64_t budget_bytes_;
  const DigestKey secret_;
  const ValueFiles files_;
  bool read_only_ = false;
  std::atomic<std::uint64_t> file_id_{0};  // of the index that is open; 0: none was there
  mutable std::atomic<bool> broken_{false};

  // Held shared by whoever uses a connection, exclusively to close all.
  mutable std::shared_mutex gate_;
  std::unique_ptr<DiskWriter> writer_;  // of the writing thread

  mutable Mutex readers_mutex_;
  mutable Readers readers_ ACTCACHE_GUARDED_BY(readers_mutex_);
  mutable std::size_t readers_in_use_ ACTCACHE_GUARDED_BY(readers_mutex_) = 0;

  Mutex notes_mutex_;
  std::array<std::vector<std::int64_t>, kKindsOfNotes> notes_ ACTCACHE_GUARDED_BY(notes_mutex_);

  struct Counts {
    std::atomic<std::uint64_t> hits{0};
    std::atomic<std::uint64_t> misses{0};
    std::atomic<std::uint64_t> damaged{0};
    std::atomic<std::uint64_t> late{0};
    std::atomic<std::uint64_t> stored{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> evicted{0};
    std::atomic<std::uint64_t> errors{0};
    std::atomic<std::uint64_t> fetched_bytes{0};
    std::atomic<std::uint64_t> stored_bytes{0};
  };
  mutable Counts counts_;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_DISK_TIER_H_
