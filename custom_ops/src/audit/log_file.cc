#include "audit/log_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace actcache {
namespace {

// Readable for the owner and the group: namespaces may be names of customers.
constexpr mode_t kMode = 0640;

std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.string();
}

// Whether the file ends within a line.
bool IsCutOff(int descriptor, std::uint64_t bytes) {
  char last = '\n';
  return bytes > 0 && pread(descriptor, &last, 1, static_cast<off_t>(bytes - 1)) == 1 &&
         last != '\n';
}

// Writes all of it; EINTR and short writes are no failures, as long as there is progress.
bool WriteAll(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::unique_ptr<LogFile> LogFile::Open(const std::string& path) {
  std::unique_ptr<LogFile> file(new LogFile(Absolute(path)));
  Opened opened = file->OpenPath();
  if (opened == Opened::kTaken) {
    file->path_ += ".pid-" + std::to_string(getpid());
    opened = file->OpenPath();
  }
  if (opened == Opened::kYes) return file;
  const std::string why = opened == Opened::kTaken    ? "another process writes to it"
                          : opened == Opened::kNoFile ? "it is not a regular file"
                                                      : std::generic_category().message(errno);
  throw std::runtime_error("the audit log " + file->path_ + " cannot be opened: " + why);
}

LogFile::~LogFile() { Close(); }

LogFile::Opened LogFile::OpenPath() {
  const MutexLock lock(&mutex_);
  const int descriptor = open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, kMode);
  if (descriptor < 0) return Opened::kFailed;
  const Opened opened = Take(descriptor);
  if (opened != Opened::kYes) {
    const int error = errno;
    close(descriptor);
    errno = error;
    return opened;
  }
  descriptor_ = descriptor;
  return Opened::kYes;
}

LogFile::Opened LogFile::Take(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return Opened::kFailed;
  if (!S_ISREG(status.st_mode)) return Opened::kNoFile;
  // File systems without locks have no way to tell; then whoever shares a path shares a file.
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return Opened::kTaken;
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  if (!IsCutOff(descriptor, bytes_)) return Opened::kYes;
  if (!WriteAll(descriptor, "\n")) return Opened::kFailed;
  ++bytes_;
  return Opened::kYes;
}

bool LogFile::Reopen() { return is_open() || OpenPath() == Opened::kYes; }

void LogFile::Close() {
  const MutexLock lock(&mutex_);
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

bool LogFile::Append(std::string_view lines) {
  if (WriteAll(descriptor_, lines)) {
    bytes_ += lines.size();
    return true;
  }
  const int error = errno;
  // The disk is full, say. What was written of the lines goes again, so that no line is broken.
  if (is_open() && ftruncate(descriptor_, static_cast<off_t>(bytes_)) != 0) {
    struct stat status;
    if (fstat(descriptor_, &status) == 0) bytes_ = static_cast<std::uint64_t>(status.st_size);
  }
  errno = error;
  return false;
}

bool LogFile::Rotate(std::uint32_t keep) {
  Close();
  // Renaming replaces what is there. What fails leaves a file that is too long, or one too few.
  for (std::uint32_t number = keep; number > 0; --number) {
    const std::string from = number > 1 ? Rotated(number - 1) : path_;
    std::rename(from.c_str(), Rotated(number).c_str());
  }
  if (keep == 0) std::remove(path_.c_str());
  return Reopen();
}

void LogFile::LockForFork() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { mutex_.Lock(); }
void LogFile::UnlockAfterFork() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { mutex_.Unlock(); }

void LogFile::CloseInForkedChild() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace actcache
