// Values that are too large for the database, each in a file of its own.
#ifndef ACTCACHE_TIER_DISK_VALUE_FILES_H_
#define ACTCACHE_TIER_DISK_VALUE_FILES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tier/buffer.h"

namespace actcache {

// Files are named by numbers that are never used again, so one that is there never changes.
// Thread-safe; none of the methods throws but for want of memory.
class ValueFiles {
 public:
  static constexpr std::uint64_t kFolders = 64;

  // Below `path`/values, which need not be there.
  explicit ValueFiles(const std::string& path) : root_(path + "/values") {}

  // False, and no file is left, if it is there already or cannot be written.
  bool Write(std::uint64_t number, const void* data, std::size_t size) const noexcept;
  // Empty if there is no such file, if it has another size, or cannot be read.
  Buffer Read(std::uint64_t number, std::size_t size) const noexcept;
  // Whether the file is gone.
  bool Remove(std::uint64_t number) const noexcept;

  // Numbers of the files in one of the kFolders folders.
  std::vector<std::uint64_t> List(std::uint64_t folder) const;

  // What a file takes of the disk, its place in the folder included.
  static constexpr std::uint64_t Charge(std::uint64_t size) noexcept {
    constexpr std::uint64_t kBlock = 4096;
    constexpr std::uint64_t kFolderEntry = 128;
    return (size + kBlock - 1) / kBlock * kBlock + kFolderEntry;
  }

 private:
  std::string FolderOf(std::uint64_t folder) const;
  std::string PathOf(std::uint64_t number) const;

  const std::string root_;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_VALUE_FILES_H_
