// write(2) until all is written.
#ifndef ACTCACHE_BASE_WRITE_ALL_H_
#define ACTCACHE_BASE_WRITE_ALL_H_

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string_view>

namespace actcache {

// EINTR and short writes are no failures, as long as there is progress. False: errno says why not.
inline bool WriteAll(int file, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace actcache

#endif  // ACTCACHE_BASE_WRITE_ALL_H_
