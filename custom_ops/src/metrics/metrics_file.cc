#include "metrics/metrics_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <system_error>

#include "base/json_text.h"
#include "base/process_object.h"
#include "base/process_path.h"
#include "metrics/prometheus_text.h"
#include "metrics/stats_json.h"

#ifndef ACTCACHE_VERSION
#error "the build defines ACTCACHE_VERSION"
#endif

namespace actcache {
namespace {

ProcessObject<MetricsFile>& ProcessFile() noexcept {
  static ProcessObject<MetricsFile> file(&Registry::Process(), &Store::Process());
  return file;
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string Reason(int error) { return std::generic_category().message(error); }

// Wall-clock time with a decimal point in every locale.
std::string SecondsSinceEpoch() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
  char text[32];
  std::snprintf(text, sizeof(text), "%lld.%03d", static_cast<long long>(ms / 1000),
                static_cast<int>(ms % 1000));
  return text;
}

std::string MetricsJson(const Registry& registry, const Store& store) {
  std::string json = "{\"schema\": " + std::to_string(kMetricsSchema) +
                     ", \"time\": " + SecondsSinceEpoch() +
                     ", \"pid\": " + std::to_string(getpid()) +
                     ", \"version\": " + JsonString(ACTCACHE_VERSION) + ", ";
  return json.append(StatsJson(registry, store), 1) + "\n";  // without its brace
}

MetricsWriter::Snapshot SnapshotFor(const std::string& path, const Registry& registry,
                                    const Store& store) {
  if (!EndsWith(path, ".prom")) return [&] { return MetricsJson(registry, store); };
  const auto text = std::make_shared<PrometheusText>(registry, store);
  return [text] { return text->Render(); };
}

}  // namespace

MetricsFile& MetricsFile::Process() noexcept { return ProcessFile().get(); }
void MetricsFile::ReplaceInForkedChild() noexcept {
  ProcessFile().Replace(&Registry::Process(), &Store::Process());
}

std::optional<std::string> MetricsFile::Obstacle(const std::string& path) {
  if (path.empty()) return std::nullopt;
  const std::string full = ProcessPath(path);
  struct stat status;
  if (lstat(full.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return "something that is not a regular file is there";  // a snapshot would take its place
  }
  // Permissions do not tell all: some file systems take no new files whoever asks.
  const std::string probe = MetricsWriter::DraftPath(full) + "0";
  const int file = open(probe.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file < 0) return "no file can be written beside it: " + Reason(errno);
  close(file);
  unlink(probe.c_str());
  return std::nullopt;
}

void MetricsFile::SetPath(const std::string& path) {
  const MutexLock lock(&mutex_);
  if (path == path_) return;
  StopWriter();
  if (path.empty()) return;
  const std::string full = ProcessPath(path);
  writer_ = MetricsWriter::Start(full, SnapshotFor(full, registry_, store_));
  path_ = path;
}

void MetricsFile::Stop() noexcept {
  const MutexLock lock(&mutex_);
  StopWriter();
}

void MetricsFile::StopWriter() noexcept {
  if (writer_) writer_->Stop();
  writer_.reset();
  path_.clear();
}

}  // namespace actcache
