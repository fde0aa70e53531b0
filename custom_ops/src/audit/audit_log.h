// The audit log of the process: who has an event adds it here.
#ifndef ACTCACHE_AUDIT_AUDIT_LOG_H_
#define ACTCACHE_AUDIT_AUDIT_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <type_traits>

#include "audit/records.h"
#include "audit/settings.h"
#include "audit/writer.h"
#include "base/mutex.h"

namespace actcache {

// Thread-safe. Adding an event takes no lock, allocates nothing and never waits: one that does not
// fit the buffer is dropped and counted.
class AuditLog {
 public:
  explicit AuditLog(const Registry& registry) noexcept : registry_(registry) {}
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // The one of the process; never destroyed. A process that ends normally writes what is buffered.
  static AuditLog& Process() noexcept;

  // Begins, ends, or goes on in another file; what was added before is written by then. `header`
  // is for the files that are begun from now on. Throws std::runtime_error that says what is wrong
  // if the file cannot be opened, and changes nothing then; std::bad_alloc and std::system_error
  // leave the log off.
  void Configure(const AuditSettings& settings, AuditHeader header) ACTCACHE_EXCLUDES(mutex_);

  // Whether events are recorded. Cheap, so that all the work for them can be left out if not.
  bool on() const noexcept { return writer_.load(std::memory_order_relaxed) != nullptr; }
  // The number of a call: 1, 2, ...; 0 if the log is off.
  std::uint64_t NextCall() noexcept {
    return on() ? calls_.fetch_add(1, std::memory_order_relaxed) + 1 : 0;
  }

  // An event that is being added, from its construction to its destruction: fill it at once.
  template <typename Record>
  class Slot {
   public:
    // Room for a record with `bytes` in all.
    explicit Slot(AuditLog& log, std::size_t bytes = sizeof(Record)) noexcept
        : log_(log), bytes_(bytes), room_(log.Begin(bytes)) {
      if (room_ != nullptr) new (room_) Record{};
    }
    ~Slot() {
      if (room_ != nullptr) log_.End(room_, bytes_, Record::kKind);
    }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

    // False if the log is off or has no room. REQUIRES true, for the rest.
    explicit operator bool() const noexcept { return room_ != nullptr; }
    Record* operator->() const noexcept { return std::launder(reinterpret_cast<Record*>(room_)); }
    // What follows the record.
    std::byte* rest() const noexcept { return room_ + sizeof(Record); }

   private:
    static_assert(std::is_trivially_copyable_v<Record> && alignof(Record) <= 8);
    AuditLog& log_;
    const std::size_t bytes_;
    std::byte* const room_;
  };

  // A control function was called; `arguments` is a JSON object, `count` -1 if there is none.
  void AddControl(const char* what, const std::string& arguments, std::int64_t count) noexcept;

  const AuditCounts& counts() const noexcept { return counts_; }

  // Writes what is buffered, and ends; for the end of the process.
  void Finish() noexcept ACTCACHE_EXCLUDES(mutex_);

  // For host/fork.h. The configuration is locked, so that the log is not switched meanwhile. The
  // child's log is off until its configuration is applied again.
  static void LockForFork() noexcept;
  static void UnlockAfterForkInParent() noexcept;
  static void ReplaceInForkedChild() noexcept;

 private:
  std::byte* Begin(std::size_t bytes) noexcept;
  void End(std::byte* room, std::size_t bytes, RecordKind kind) noexcept;
  // Ends the writer, if there is one, after it has written everything, and returns its file.
  std::unique_ptr<LogFile> StopWriter() noexcept ACTCACHE_REQUIRES(mutex_);

  const Registry& registry_;
  std::atomic<AuditWriter*> writer_{nullptr};
  // Threads between Begin() and End(), who may use the writer even after it was switched off.
  std::atomic<std::uint32_t> adding_{0};
  std::atomic<std::uint64_t> calls_{0};
  AuditCounts counts_;
  Mutex mutex_;
  AuditSettings settings_ ACTCACHE_GUARDED_BY(mutex_);
};

}  // namespace actcache

#endif  // ACTCACHE_AUDIT_AUDIT_LOG_H_
