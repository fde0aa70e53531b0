// The file that audit lines go to.
#ifndef ACTCACHE_AUDIT_LOG_FILE_H_
#define ACTCACHE_AUDIT_LOG_FILE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"

namespace actcache {

// Appends to PATH, which is rotated to PATH.1, PATH.2, ... One thread at a time; fork() may happen
// meanwhile. Nothing throws but Open().
class LogFile {
 public:
  // Opens the file, or creates it; "%p" in its name stands for the process id. If another process
  // (a parent, say) writes to it, the file is PATH.pid-NUMBER instead, of this process's number.
  // What an earlier process has written stays; if it broke off within a line, that line is ended.
  // Throws std::runtime_error that says what is wrong.
  static std::unique_ptr<LogFile> Open(const std::string& path);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Appends whole lines, all or none of them. False, and errno says why, if that fails.
  bool Append(std::string_view lines);

  // Renames PATH to PATH.1, PATH.1 to PATH.2 and so on, deletes what comes after PATH.`keep`, and
  // goes on in a new PATH. False, and errno says why, if there is no new file; Append() goes on in
  // the old one then.
  bool Rotate(std::uint32_t keep);

  std::uint64_t bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

  // For host/fork.h: the file is neither opened nor closed meanwhile; a child gives its copy of
  // the descriptor up, and with it its share in the lock.
  void LockForFork();
  void UnlockAfterFork();
  void CloseInForkedChild();

 private:
  enum class Opened : std::uint8_t {
    kYes,
    kNoFile,  // but a folder, a device, ...
    kTaken,   // by another process
    kGone,    // renamed meanwhile: try again
    kFailed,  // errno says why
  };

  explicit LogFile(std::string path) : path_(std::move(path)) {}
  // Fills descriptor_ and bytes_.
  Opened OpenPath();
  // Whether the file is to be written by this process, and bytes_ if so.
  Opened Take(int descriptor);
  // Closes the descriptor, and goes on with this one.
  void Replace(int descriptor);
  std::string Rotated(std::uint32_t number) const { return path_ + "." + std::to_string(number); }

  std::string path_;         // absolute: the process may change its directory
  std::uint64_t bytes_ = 0;  // that the file has
  Mutex mutex_;              // held while descriptor_ changes
  int descriptor_ = -1;
};

}  // namespace actcache

#endif  // ACTCACHE_AUDIT_LOG_FILE_H_
