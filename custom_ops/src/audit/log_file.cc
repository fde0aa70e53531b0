#include "audit/log_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <system_error>

#include "base/process_path.h"
#include "base/write_all.h"

namespace actcache {
namespace {

// Readable for the owner and the group: namespaces may be names of customers.
constexpr mode_t kMode = 0640;

// Whether the file ends within a line.
bool IsCutOff(int descriptor, std::uint64_t bytes) {
  char last = '\n';
  return bytes > 0 && pread(descriptor, &last, 1, static_cast<off_t>(bytes - 1)) == 1 &&
         last != '\n';
}

}  // namespace

std::unique_ptr<LogFile> LogFile::Open(const std::string& path) {
  std::unique_ptr<LogFile> file(new LogFile(ProcessPath(path)));
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

LogFile::~LogFile() { Replace(-1); }

void LogFile::Replace(int descriptor) {
  const MutexLock lock(&mutex_);
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = descriptor;
}

LogFile::Opened LogFile::OpenPath() {
  for (;;) {
    const int descriptor = open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, kMode);
    if (descriptor < 0) return Opened::kFailed;
    const Opened opened = Take(descriptor);
    if (opened == Opened::kYes) {
      Replace(descriptor);
      return opened;
    }
    const int error = errno;
    close(descriptor);
    errno = error;
    if (opened != Opened::kGone) return opened;
  }
}

LogFile::Opened LogFile::Take(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return Opened::kFailed;
  if (!S_ISREG(status.st_mode)) return Opened::kNoFile;
  // File systems without locks have no way to tell; then whoever shares a path shares a file.
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return Opened::kTaken;
  // Another process may have rotated the file before it was locked here.
  struct stat named;
  if (stat(path_.c_str(), &named) != 0 || named.st_ino != status.st_ino) return Opened::kGone;
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  if (!IsCutOff(descriptor, bytes_)) return Opened::kYes;
  if (!WriteAll(descriptor, "\n")) return Opened::kFailed;
  ++bytes_;
  return Opened::kYes;
}

bool LogFile::Append(std::string_view lines) {
  if (WriteAll(descriptor_, lines)) {
    bytes_ += lines.size();
    return true;
  }
  const int error = errno;
  // The disk is full, say. What was written of the lines goes again, so that no line is broken.
  if (ftruncate(descriptor_, static_cast<off_t>(bytes_)) != 0) {
    struct stat status;
    if (fstat(descriptor_, &status) == 0) bytes_ = static_cast<std::uint64_t>(status.st_size);
  }
  errno = error;
  return false;
}

// PATH names a file of this process, locked, at every instant: else another process could take it.
bool LogFile::Rotate(std::uint32_t keep) {
  const std::string fresh = path_ + ".new";
  const int descriptor =
      open(fresh.c_str(), O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, kMode);
  if (descriptor < 0) return false;
  flock(descriptor, LOCK_EX | LOCK_NB);
  // What fails here leaves one file too few.
  for (std::uint32_t number = keep; number > 1; --number) {
    std::rename(Rotated(number - 1).c_str(), Rotated(number).c_str());
  }
  if (keep > 0) {
    std::remove(Rotated(1).c_str());
    // Where files cannot have two names, PATH has to be none for an instant.
    if (link(path_.c_str(), Rotated(1).c_str()) != 0) {
      std::rename(path_.c_str(), Rotated(1).c_str());
    }
  }
  if (std::rename(fresh.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    close(descriptor);
    errno = error;
    return false;
  }
  Replace(descriptor);
  bytes_ = 0;
  return true;
}

void LogFile::LockForFork() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { mutex_.Lock(); }
void LogFile::UnlockAfterFork() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { mutex_.Unlock(); }

void LogFile::CloseInForkedChild() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace actcache
