// The thread that writes the metrics file.
#ifndef ACTCACHE_METRICS_METRICS_WRITER_H_
#define ACTCACHE_METRICS_METRICS_WRITER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"

namespace actcache {

// Writes a file anew every kPeriodNs, from Start() to Stop(). A reader finds the old content or the
// new one, never a part: each snapshot is written beside the file and renamed to it. Where that
// fails, the file stays as it is and the next second tries again.
class MetricsWriter {
 public:
  // Called on the writer's thread, where signals of the program are blocked. May throw.
  using Snapshot = std::function<std::string()>;

  static constexpr std::uint64_t kPeriodNs = 1'000'000'000;

  // The first snapshot is written at once. Throws std::bad_alloc, or std::system_error if no thread
  // can be had.
  static std::shared_ptr<MetricsWriter> Start(std::string path, Snapshot snapshot);
  MetricsWriter(const MetricsWriter&) = delete;
  MetricsWriter& operator=(const MetricsWriter&) = delete;

  // Writes a last snapshot and ends the thread. If that takes more than two seconds (the disk
  // hangs) it returns, and the thread ends when it can; so `snapshot` has to outlive it.
  // REQUIRES: called once.
  void Stop() noexcept ACTCACHE_EXCLUDES(mutex_);

  // Where a snapshot of `path` is written before it is renamed.
  static std::string DraftPath(const std::string& path);

 private:
  MetricsWriter(std::string path, Snapshot snapshot)
      : path_(std::move(path)), snapshot_(std::move(snapshot)) {}

  void Run() noexcept ACTCACHE_EXCLUDES(mutex_);
  // False once the writer is to end.
  bool Sleep(std::uint64_t until_ns) noexcept ACTCACHE_EXCLUDES(mutex_);
  void WriteSnapshot() const noexcept;

  const std::string path_;
  const Snapshot snapshot_;
  Mutex mutex_;
  Condition changed_;
  bool stopping_ ACTCACHE_GUARDED_BY(mutex_) = false;
  bool ended_ ACTCACHE_GUARDED_BY(mutex_) = false;
};

}  // namespace actcache

#endif  // ACTCACHE_METRICS_METRICS_WRITER_H_
