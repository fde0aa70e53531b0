// Loaded with LD_PRELOAD: fails one operation on the files below a folder, or all from that one on.
// Locks (fcntl) and mapping a file are operations, too.
//
//   FAULT_BELOW=FOLDER   which files; without it nothing is counted
//   FAULT_AT=N           the N-th operation fails, counted from 1; 0: none, they are only counted
//   FAULT_KIND=ENOSPC | EIO | short   how; "short" writes or reads half, and fails what is neither
//   FAULT_KIND=kill | torn   the process is killed before it, or when half of its bytes are done
//   FAULT_KIND=store     the process is killed before its N-th store into a mapped file; nothing
//   else
//                        counts (mapped_stores.h)
//   FAULT_LASTS=1        so do all later ones
//   FAULT_COUNT=FILE     where the number of operations is written to at exit
//   FAULT_FILE_SYSTEM=N  every file lies on a file system of this kind (statfs(2))
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <string>

#include "faults/mapped_stores.h"

namespace {

constexpr int kMostFiles = 4096;

struct CallPlan {
  const char* below = std::getenv("FAULT_BELOW");
  std::size_t below_size = below == nullptr ? 0 : std::strlen(below);
  const char* kind = Text("FAULT_KIND", "EIO");
  bool is_torn = std::strcmp(kind, "torn") == 0;
  bool is_short = std::strcmp(kind, "short") == 0;
  bool only_stores = *Text("FAULT_STORES", "") == '1';
  bool stops = std::strcmp(kind, "stop") == 0;
  bool ends = is_torn || stops || std::strcmp(kind, "kill") == 0;
  int error = std::strcmp(kind, "EIO") == 0 ? EIO : ENOSPC;
  long at = std::atol(Text("FAULT_AT", "0"));
  bool lasts = *Text("FAULT_LASTS", "") == '1';

  static const char* Text(const char* name, const char* otherwise) {
    const char* const value = std::getenv(name);
    return value == nullptr ? otherwise : value;
  }
};

const CallPlan& ThePlan() {
  static const CallPlan plan;
  return plan;
}

std::atomic<long> operations{0};
std::atomic<bool> watched[kMostFiles];

// The function that this one stands before.
template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool IsBelow(const char* path) {
  const CallPlan& plan = ThePlan();
  return plan.below != nullptr && std::strncmp(path, plan.below, plan.below_size) == 0;
}

bool IsWatched(int file) { return file >= 0 && file < kMostFiles && watched[file]; }

// Counts an operation; whether it is one that fails.
bool Fails() {
  const CallPlan& plan = ThePlan();
  if (plan.only_stores) return false;
  const long number = ++operations;
  return plan.at > 0 && (plan.lasts ? number >= plan.at : number == plan.at);
}

void End() { kill(getpid(), ThePlan().stops ? SIGSTOP : SIGKILL); }

// -1, with the error of the plan, or the end.
int Refuse() {
  if (ThePlan().ends) End();
  errno = ThePlan().error;
  return -1;
}

template <typename Work>
auto OnPath(const char* path, const Work& work) -> decltype(work()) {
  return IsBelow(path) && Fails() ? Refuse() : work();
}

template <typename Work>
auto OnFile(int file, const Work& work) -> decltype(work()) {
  return IsWatched(file) && Fails() ? Refuse() : work();
}

// `work` takes the number of bytes.
template <typename Work>
ssize_t OnBytes(int file, std::size_t size, const Work& work) {
  if (!IsWatched(file) || !Fails()) return work(size);
  if (ThePlan().is_short && size > 1) return work(size / 2);
  if (ThePlan().is_torn) work(size / 2);
  return Refuse();
}

int Open(const char* name, const char* path, int flags, mode_t mode) {
  const int file =
      OnPath(path, [&] { return Next<int(const char*, int, ...)>(name)(path, flags, mode); });
  if (file >= 0 && file < kMostFiles) watched[file] = IsBelow(path);
  return file;
}

bool IsLock(int command) {
  return command == F_GETLK || command == F_SETLK || command == F_SETLKW ||
         command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

// Giving a lock back cannot fail on a disk of this machine; but a process can be killed there.
bool IsUnlock(int command, const void* argument) {
  return (command == F_SETLK || command == F_SETLKW) &&
         static_cast<const struct flock*>(argument)->l_type == F_UNLCK;
}

// `argument` is an integer for some commands, which travels as a pointer does.
int Fcntl(const char* name, int file, int command, void* argument) {
  const auto next = [&] { return Next<int(int, int, ...)>(name)(file, command, argument); };
  if (!IsLock(command)) return next();
  if (!ThePlan().ends && IsUnlock(command, argument)) {
    if (IsWatched(file)) Fails();  // it counts all the same
    return next();
  }
  return OnFile(file, next);
}

// Before a store into a mapped file.
void OnStore() {
  if (++operations == ThePlan().at) End();
}

void* Map(const char* name, void* at, size_t size, int access, int flags, int file, off64_t from) {
  if (IsWatched(file) && Fails()) {
    Refuse();
    return MAP_FAILED;
  }
  void* const mapped =
      Next<void*(void*, size_t, int, int, int, off64_t)>(name)(at, size, access, flags, file, from);
  const bool shared = (flags & MAP_SHARED) != 0 && (access & PROT_WRITE) != 0;
  if (ThePlan().only_stores && mapped != MAP_FAILED && IsWatched(file) && shared) {
    actcache::faults::WatchStores(mapped, size, OnStore);
  }
  return mapped;
}

mode_t ModeOf(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

struct CountAtExit {
  ~CountAtExit() {
    const char* const path = std::getenv("FAULT_COUNT");
    if (path == nullptr) return;
    const int file =
        Next<int(const char*, int, ...)>("open")(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const std::string text = std::to_string(operations);
    if (file < 0 || Next<decltype(write)>("write")(file, text.data(), text.size()) < 0) _exit(99);
    Next<decltype(close)>("close")(file);
  }
} count_at_exit;

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return Open("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return Open("open64", path, flags, mode);
}

int close(int file) {
  if (file >= 0 && file < kMostFiles) watched[file] = false;
  return Next<decltype(close)>("close")(file);
}

int fcntl(int file, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return Fcntl("fcntl", file, command, argument);
}

int fcntl64(int file, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return Fcntl("fcntl64", file, command, argument);
}

void* mmap(void* at, size_t size, int access, int flags, int file, off_t from) noexcept {
  return Map("mmap", at, size, access, flags, file, from);
}

void* mmap64(void* at, size_t size, int access, int flags, int file, off64_t from) noexcept {
  return Map("mmap64", at, size, access, flags, file, from);
}

int munmap(void* at, size_t size) noexcept {
  actcache::faults::ForgetStores(at);
  return Next<int(void*, size_t)>("munmap")(at, size);
}

ssize_t read(int file, void* data, size_t size) {
  return OnBytes(file, size, [&](size_t n) { return Next<decltype(read)>("read")(file, data, n); });
}

ssize_t write(int file, const void* data, size_t size) {
  return OnBytes(file, size,
                 [&](size_t n) { return Next<decltype(write)>("write")(file, data, n); });
}

ssize_t pread(int file, void* data, size_t size, off_t at) {
  return OnBytes(file, size,
                 [&](size_t n) { return Next<decltype(pread)>("pread")(file, data, n, at); });
}

ssize_t pread64(int file, void* data, size_t size, off64_t at) {
  return OnBytes(file, size,
                 [&](size_t n) { return Next<decltype(pread64)>("pread64")(file, data, n, at); });
}

ssize_t pwrite(int file, const void* data, size_t size, off_t at) {
  return OnBytes(file, size,
                 [&](size_t n) { return Next<decltype(pwrite)>("pwrite")(file, data, n, at); });
}

ssize_t pwrite64(int file, const void* data, size_t size, off64_t at) {
  return OnBytes(file, size,
                 [&](size_t n) { return Next<decltype(pwrite64)>("pwrite64")(file, data, n, at); });
}

int fsync(int file) {
  return OnFile(file, [&] { return Next<decltype(fsync)>("fsync")(file); });
}

int fdatasync(int file) {
  return OnFile(file, [&] { return Next<decltype(fdatasync)>("fdatasync")(file); });
}

int ftruncate(int file, off_t size) noexcept {
  return OnFile(file, [&] { return Next<int(int, off_t)>("ftruncate")(file, size); });
}

int ftruncate64(int file, off64_t size) noexcept {
  return OnFile(file, [&] { return Next<int(int, off64_t)>("ftruncate64")(file, size); });
}

int link(const char* from, const char* to) noexcept {
  return OnPath(to, [&] { return Next<int(const char*, const char*)>("link")(from, to); });
}

int rename(const char* from, const char* to) noexcept {
  return OnPath(to, [&] { return Next<int(const char*, const char*)>("rename")(from, to); });
}

int unlink(const char* path) noexcept {
  return OnPath(path, [&] { return Next<int(const char*)>("unlink")(path); });
}

int statfs(const char* path, struct statfs* system) noexcept {
  const int status = Next<int(const char*, struct statfs*)>("statfs")(path, system);
  const char* const kind = std::getenv("FAULT_FILE_SYSTEM");
  if (status == 0 && kind != nullptr) system->f_type = std::atol(kind);
  return status;
}

int mkdir(const char* path, mode_t mode) noexcept {
  return OnPath(path, [&] { return Next<int(const char*, mode_t)>("mkdir")(path, mode); });
}

}  // extern "C"
