// The metrics file: what the process has done so far, for who watches it from outside. It is
// written anew about once a second while the knob metrics_path names one.
//
// A name that ends in ".prom" gets Prometheus' text format (metrics/prometheus_text.h), any other
// the JSON of actcache_stats_json() with four members more: "schema" (1), "time" (seconds since
// 1970), "pid" and "version". "%p" in the name stands for the process id (base/process_path.h).
#ifndef ACTCACHE_METRICS_METRICS_FILE_H_
#define ACTCACHE_METRICS_METRICS_FILE_H_

#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "metrics/metrics_writer.h"
#include "region/registry.h"
#include "store/store.h"

namespace actcache {

inline constexpr int kMetricsSchema = 1;

// Thread-safe. There is a thread only while there is a file.
class MetricsFile {
 public:
  // Both outlive it.
  MetricsFile(const Registry* registry, const Store* store) noexcept
      : registry_(*registry), store_(*store) {}
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  // The one of the process; never destroyed.
  static MetricsFile& Process() noexcept;
  // What host/fork.h does, after it has replaced the store: the child has no file.
  // REQUIRES: no other thread uses it.
  static void ReplaceInForkedChild() noexcept;

  // Why there can be no such file, as the end of a sentence; nothing if there can be. Tries by
  // making an empty file beside it, and removes that.
  static std::optional<std::string> Obstacle(const std::string& path);

  // Begins to write `path`, after a last snapshot of the file before; "" only ends that, and the
  // same path again changes nothing. Throws std::bad_alloc, or std::system_error if no thread can
  // be had, and then there is no file.
  void SetPath(const std::string& path) ACTCACHE_EXCLUDES(mutex_);

  // Writes a last snapshot, if there is a file, and ends.
  void Stop() noexcept ACTCACHE_EXCLUDES(mutex_);

 private:
  void StopWriter() noexcept ACTCACHE_REQUIRES(mutex_);

  const Registry& registry_;
  const Store& store_;
  Mutex mutex_;
  std::shared_ptr<MetricsWriter> writer_ ACTCACHE_GUARDED_BY(mutex_);
  std::string path_ ACTCACHE_GUARDED_BY(mutex_);  // as it was given; "" without a writer
};

}  // namespace actcache

#endif  // ACTCACHE_METRICS_METRICS_FILE_H_
