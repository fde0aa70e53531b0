#include "tier/disk/clearing.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "tier/disk/directory.h"
#include "tier/disk/schema.h"
#include "tier/disk/value_files.h"

namespace actcache {
namespace {

[[noreturn]] void Fail(const std::string& path, int error) {
  throw DirectoryError(path + " cannot be removed: " + std::generic_category().message(error));
}

void Remove(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) Fail(path, errno);
}

}  // namespace

std::uint64_t ClearStore(const std::string& folder) {
  // The log first: SQLite removes one that it finds beside a new index, but would take it for that
  // of an old one.
  for (const char* const suffix : {"-wal", "-shm", ""}) Remove(IndexPath(folder) + suffix);
  const ValueFiles files(folder);
  std::uint64_t removed = 0;
  for (std::uint64_t one = 0; one < ValueFiles::kFolders; ++one) {
    for (const std::uint64_t number : files.List(one)) {
      if (!files.Remove(number)) Fail("a value of " + folder, errno);
      ++removed;
    }
  }
  return removed;
}

}  // namespace actcache
