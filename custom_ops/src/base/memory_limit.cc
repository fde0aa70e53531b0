#include "base/memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

namespace actcache {
namespace {

// The number that a file of a control group holds; "max" and a file that is not there are no limit.
std::uint64_t ReadLimit(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  std::uint64_t value = 0;
  const char* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, value);
  return error == std::errc() && stop == end ? value : kNoMemoryLimit;
}

// The least limit of the group `path` ("/a/b") and of all that it lies in, up to the root. In a
// container `path` may be the host's name of a group that is the root here; then only the root's
// file is there, and it is the container's.
std::uint64_t LeastOnPath(const std::filesystem::path& hierarchy, const std::string& path,
                          const char* file) {
  std::filesystem::path group = hierarchy;
  std::uint64_t least = ReadLimit(group / file);
  for (const std::filesystem::path& part : std::filesystem::path(path).relative_path()) {
    group /= part;
    least = std::min(least, ReadLimit(group / file));
  }
  return least;
}

// True if the comma-separated `controllers` of a hierarchy include memory.
bool NamesMemory(const std::string& controllers) {
  return ("," + controllers + ",").find(",memory,") != std::string::npos;
}

std::uint64_t ResourceLimit(decltype(RLIMIT_AS) resource) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kNoMemoryLimit;
  return limit.rlim_cur;
}

std::uint64_t PhysicalMemory() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return kNoMemoryLimit;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
}

}  // namespace

std::uint64_t ControlGroupMemoryLimit(const std::string& root) {
  const std::filesystem::path mount = root + "/sys/fs/cgroup";
  std::uint64_t least = kNoMemoryLimit;
  // A line is "hierarchy:controllers:path"; version 2's is "0::path". See cgroups(7).
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    if (first == std::string::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, LeastOnPath(mount, path, "memory.max"));
    } else if (NamesMemory(controllers)) {
      least = std::min(least, LeastOnPath(mount / "memory", path, "memory.limit_in_bytes"));
    }
  }
  return least;
}

std::uint64_t MemoryLimit() {
  return std::min({PhysicalMemory(), ControlGroupMemoryLimit(""), ResourceLimit(RLIMIT_AS),
                   ResourceLimit(RLIMIT_DATA)});
}

}  // namespace actcache
