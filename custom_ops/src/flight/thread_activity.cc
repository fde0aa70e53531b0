#include "flight/thread_activity.h"

#include <optional>

#if defined(__linux__)
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#endif

namespace actcache {
namespace {

#if defined(__linux__)

ThreadId AskForCurrentThread() noexcept {
  return {static_cast<std::int32_t>(syscall(SYS_gettid))};  // gettid() came with glibc 2.30
}

// Processor time the thread has used.
std::optional<std::uint64_t> CpuTime(ThreadId thread) noexcept {
  // What pthread_getcpuclockid() gives (clock_getres(2), the kernel's posix-timers.h): the inverted
  // thread number, then "of one thread" (4) and "as scheduled, in nanoseconds" (2). Made from the
  // number, it may name a thread that is gone; then the call fails, where pthread's is undefined.
  const auto clock =
      static_cast<clockid_t>((~static_cast<std::uint32_t>(thread.number) << 3U) | 4U | 2U);
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(time.tv_sec) * 1000000000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

// Whether the thread waits for something that may never come; not: for a disk, for a processor.
bool Sleeps(ThreadId thread) noexcept {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/self/task/%d/stat", static_cast<int>(thread.number));
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char text[128];  // "number (name of at most 15 bytes) state ..."
  const ssize_t size = read(file, text, sizeof(text) - 1);
  close(file);
  if (size <= 0) return false;
  text[size] = '\0';
  const char* const name_end = std::strrchr(text, ')');
  return name_end != nullptr && std::strncmp(name_end, ") S", 3) == 0;
}

#else

ThreadId AskForCurrentThread() noexcept { return {}; }
std::optional<std::uint64_t> CpuTime(ThreadId) noexcept { return std::nullopt; }
bool Sleeps(ThreadId) noexcept { return false; }

#endif

ThreadId& CurrentThreadSlot() noexcept {
  static thread_local ThreadId thread = AskForCurrentThread();
  return thread;
}

}  // namespace

ThreadId CurrentThread() noexcept { return CurrentThreadSlot(); }
void RenumberForkedThread() noexcept { CurrentThreadSlot() = AskForCurrentThread(); }

bool IdleWatch::Idle(std::uint64_t now_ns) noexcept {
  const std::optional<std::uint64_t> cpu_ns = CpuTime(thread_);
  if (!cpu_ns) return false;
  if (unchanged_since_ns_ == 0 || *cpu_ns != cpu_ns_) {
    cpu_ns_ = *cpu_ns;
    unchanged_since_ns_ = now_ns;
    return false;
  }
  return now_ns - unchanged_since_ns_ >= window_ns_ && Sleeps(thread_);
}

}  // namespace actcache
