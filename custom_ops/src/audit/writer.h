// The thread that writes the audit log.
#ifndef ACTCACHE_AUDIT_WRITER_H_
#define ACTCACHE_AUDIT_WRITER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "audit/json_lines.h"
#include "audit/log_file.h"
#include "audit/record_buffer.h"
#include "audit/settings.h"
#include "base/mutex.h"

namespace actcache {

// What became of events, since the process started. Added to by any thread.
struct AuditCounts {
  std::atomic<std::uint64_t> written{0};  // events in the file
  std::atomic<std::uint64_t> dropped{0};  // events that are not: no room in the buffer, or on disk
  std::atomic<std::uint64_t> bytes{0};    // written
};

// From its construction to Stop() a thread takes records out of the buffer every kPeriod and writes
// them to the file. Nothing stops it: while the disk is full, events are dropped and counted.
class AuditWriter {
 public:
  // Every so often all that has happened is written; a process that dies loses no more than that.
  static constexpr std::uint64_t kPeriodNs = 50'000'000;

  // `counts` and `registry` outlive the writer.
  // Throws std::bad_alloc, or std::system_error if no thread can be had.
  AuditWriter(const AuditSettings& settings, std::unique_ptr<LogFile> file, AuditHeader header,
              const Registry& registry, AuditCounts* counts);
  // REQUIRES: Stop() has returned true.
  ~AuditWriter() = default;
  AuditWriter(const AuditWriter&) = delete;
  AuditWriter& operator=(const AuditWriter&) = delete;

  RecordBuffer& buffer() { return buffer_; }

  // What files that are begun from now on say.
  void SetHeader(AuditHeader header) ACTCACHE_EXCLUDES(mutex_);

  // Writes what is in the buffer and ends the thread. False if that takes longer than `patience_ns`
  // (the disk hangs): then the thread goes on, and the writer has to live as long.
  // REQUIRES: no producer is active, or what they add need not be written.
  bool Stop(std::uint64_t patience_ns) ACTCACHE_EXCLUDES(mutex_);
  // Takes the file out of a writer that was stopped.
  std::unique_ptr<LogFile> TakeFile() { return std::move(file_); }
  LogFile& file() { return *file_; }

 private:
  void Run() noexcept;
  void Drain() noexcept;
  void AppendFront(const RecordBuffer::Record& record) noexcept;
  void BeginPart() noexcept;
  void SayWhatWasDropped();
  // Writes the lines that were collected, and begins the next part if this one is full.
  void Write() noexcept;
  void WriteFailed(int error) noexcept;
  AuditHeader header() ACTCACHE_EXCLUDES(mutex_);

  const AuditSettings settings_;
  AuditCounts& counts_;
  RecordBuffer buffer_;

  // Of the thread alone.
  std::unique_ptr<LogFile> file_;
  JsonLines lines_;
  std::uint32_t part_ = 1;
  bool begun_ = false;              // whether this part has a first line
  std::uint64_t events_ = 0;        // in lines_
  std::uint64_t said_dropped_ = 0;  // in the files and in lines_
  std::uint64_t written_said_ = 0;  // in the files
  bool failing_ = false;            // the last attempt to write failed

  Mutex mutex_;
  Condition wake_;
  Condition ended_;
  AuditHeader header_ ACTCACHE_GUARDED_BY(mutex_);
  bool stopping_ ACTCACHE_GUARDED_BY(mutex_) = false;
  bool stopped_ ACTCACHE_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses all of these
};

}  // namespace actcache

#endif  // ACTCACHE_AUDIT_WRITER_H_
