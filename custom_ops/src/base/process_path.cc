#include "base/process_path.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace actcache {

bool NamesProcess(const std::string& path) {
  return path.find(kProcessIdPlace) != std::string::npos;
}

std::string ProcessPath(const std::string& path) {
  std::string expanded = path;
  const std::string pid = std::to_string(getpid());
  for (std::size_t at = 0; (at = expanded.find(kProcessIdPlace, at)) != std::string::npos;
       at += pid.size()) {
    expanded.replace(at, sizeof(kProcessIdPlace) - 1, pid);
  }
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(expanded, error);
  return error ? expanded : absolute.string();
}

}  // namespace actcache
