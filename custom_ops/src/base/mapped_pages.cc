#include "base/mapped_pages.h"

#if defined(__linux__)
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#endif

namespace actcache {

#if defined(__linux__)
namespace {

// Of an entry of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst of Linux).
constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;
constexpr std::uint64_t kSwapped = std::uint64_t{1} << 62;
constexpr std::uint64_t kOfFile = std::uint64_t{1} << 61;

// Pages that a process has written to, in a private mapping, are no longer the file's.
constexpr bool IsOfFile(std::uint64_t entry) {
  return (entry & kPresent) != 0 && (entry & kSwapped) == 0 && (entry & kOfFile) != 0;
}

void ReleasePages(int pagemap, std::uintptr_t page, std::uintptr_t end, std::size_t size) {
  std::array<std::uint64_t, 512> entries;
  while (page < end) {
    const std::size_t wanted = std::min(entries.size(), (end - page) / size);
    const auto offset = static_cast<off_t>(page / size * sizeof(std::uint64_t));
    const ssize_t got = pread(pagemap, entries.data(), wanted * sizeof(std::uint64_t), offset);
    if (got <= 0) return;
    const std::size_t count = static_cast<std::size_t>(got) / sizeof(std::uint64_t);
    for (std::size_t i = 0; i < count;) {
      std::size_t run = i;
      while (run < count && IsOfFile(entries[run])) ++run;
      if (run > i) {
        madvise(reinterpret_cast<void*>(page + i * size), (run - i) * size, MADV_DONTNEED);
      }
      i = run + 1;
    }
    page += count * size;
  }
}

}  // namespace
#endif

void ReleaseFilePages([[maybe_unused]] const void* data,
                      [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(__linux__)
  const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t first = (begin + size - 1) / size * size;
  const std::uintptr_t end = (begin + bytes) / size * size;
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pagemap < 0) return;
  if (first < end) ReleasePages(pagemap, first, end, size);
  close(pagemap);
#endif
}

}  // namespace actcache
