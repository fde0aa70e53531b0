#include "metrics/metrics_writer.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/signals_blocked.h"
#include "base/write_all.h"

namespace actcache {
namespace {

constexpr std::uint64_t kPatienceNs = 2'000'000'000;

// False if there is no such file then. One that is there, of a process that died, is replaced; a
// link that somebody has put there is not followed.
bool WriteNewFile(const std::string& path, std::string_view text) noexcept {
  unlink(path.c_str());
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0) return false;
  const bool written = WriteAll(file, text);
  const bool closed = close(file) == 0;  // some file systems say only here that the disk is full
  if (written && closed) return true;
  unlink(path.c_str());
  return false;
}

}  // namespace

std::string MetricsWriter::DraftPath(const std::string& path) {
  return path + "." + std::to_string(getpid()) + ".tmp";
}

std::shared_ptr<MetricsWriter> MetricsWriter::Start(std::string path, Snapshot snapshot) {
  std::shared_ptr<MetricsWriter> writer(new MetricsWriter(std::move(path), std::move(snapshot)));
  const SignalsBlocked blocked;
  std::thread([writer] { writer->Run(); }).detach();
  return writer;
}

void MetricsWriter::Stop() noexcept {
  const std::uint64_t end = SteadyNow() + kPatienceNs;
  const MutexLock lock(&mutex_);
  stopping_ = true;
  changed_.NotifyAll();
  for (std::uint64_t now = SteadyNow(); !ended_ && now < end; now = SteadyNow()) {
    changed_.WaitFor(&mutex_, end - now);
  }
}

void MetricsWriter::Run() noexcept {
  pthread_setname_np(pthread_self(), "actcache-metric");
  std::uint64_t next = SteadyNow();
  do {
    WriteSnapshot();
    // Not a multiple of the period after a long wait: a process that was stopped has nothing to
    // make up for.
    next = std::max(next, SteadyNow() - kPeriodNs) + kPeriodNs;
  } while (Sleep(next));
  WriteSnapshot();
  const MutexLock lock(&mutex_);
  ended_ = true;
  changed_.NotifyAll();
}

bool MetricsWriter::Sleep(std::uint64_t until_ns) noexcept {
  const MutexLock lock(&mutex_);
  for (std::uint64_t now = SteadyNow(); !stopping_ && now < until_ns; now = SteadyNow()) {
    changed_.WaitFor(&mutex_, until_ns - now);
  }
  return !stopping_;
}

void MetricsWriter::WriteSnapshot() const noexcept {
  try {
    const std::string draft = DraftPath(path_);
    if (!WriteNewFile(draft, snapshot_())) return;
    if (std::rename(draft.c_str(), path_.c_str()) != 0) unlink(draft.c_str());
  } catch (...) {
    // No memory: perhaps there is some in a second.
  }
}

}  // namespace actcache
