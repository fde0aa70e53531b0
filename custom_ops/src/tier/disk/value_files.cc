#include "tier/disk/value_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>

#include "base/write_all.h"

namespace actcache {
namespace {

bool ReadAll(int file, void* data, std::size_t size) noexcept {
  auto* next = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t got = read(file, next, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    next += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

std::string ValueFiles::FolderOf(std::uint64_t folder) const {
  constexpr char kHex[] = "0123456789abcdef";
  return root_ + "/" + kHex[folder / 16] + kHex[folder % 16];
}

std::string ValueFiles::PathOf(std::uint64_t number) const {
  return FolderOf(number % kFolders) + "/" + std::to_string(number);
}

bool ValueFiles::Write(std::uint64_t number, const void* data, std::size_t size) const noexcept {
  try {
    const std::string path = PathOf(number);
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int file = open(path.c_str(), kFlags, 0600);
    if (file < 0 && errno == ENOENT) {
      mkdir(root_.c_str(), 0700);
      mkdir(FolderOf(number % kFolders).c_str(), 0700);
      file = open(path.c_str(), kFlags, 0600);
    }
    if (file < 0) return false;
    const bool written = WriteAll(file, {static_cast<const char*>(data), size});
    if (close(file) == 0 && written) return true;
    unlink(path.c_str());
  } catch (...) {
    // No memory for its name.
  }
  return false;
}

Buffer ValueFiles::Read(std::uint64_t number, std::size_t size) const noexcept {
  try {
    const int file = open(PathOf(number).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) return {};
    struct stat status{};
    Buffer buffer;
    if (fstat(file, &status) == 0 && status.st_size == static_cast<off_t>(size)) {
      buffer = Buffer(size);
      if (buffer.size() != 0 && !ReadAll(file, buffer.data(), size)) buffer = Buffer();
    }
    close(file);
    return buffer;
  } catch (...) {
    return {};
  }
}

bool ValueFiles::Remove(std::uint64_t number) const noexcept {
  try {
    return unlink(PathOf(number).c_str()) == 0 || errno == ENOENT;
  } catch (...) {
    return false;
  }
}

std::vector<std::uint64_t> ValueFiles::List(std::uint64_t folder) const {
  std::vector<std::uint64_t> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> open_folder(opendir(FolderOf(folder).c_str()),
                                                        &closedir);
  if (open_folder == nullptr) return numbers;
  while (const dirent* const entry = readdir(open_folder.get())) {
    const std::string_view name = entry->d_name;
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) numbers.push_back(number);
  }
  return numbers;
}

}  // namespace actcache
