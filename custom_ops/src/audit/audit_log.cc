#include "audit/audit_log.h"

#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/process_object.h"

namespace actcache {
namespace {

// A disk that takes longer than this to write what is buffered is given up.
constexpr std::uint64_t kPatienceNs = 5'000'000'000;

// ProcessObject takes arguments by value.
const Registry* ProcessRegistry() { return &Registry::Process(); }

struct ProcessAuditLog : AuditLog {
  explicit ProcessAuditLog(const Registry* registry) : AuditLog(*registry) {}
};

ProcessObject<ProcessAuditLog>& ProcessLog() noexcept {
  static ProcessObject<ProcessAuditLog> log(ProcessRegistry());
  return log;
}

// Once per process; a child inherits it.
void FinishAtExit() {
  static const bool registered = std::atexit([] { AuditLog::Process().Finish(); }) == 0;
  static_cast<void>(registered);
}

}  // namespace

AuditLog& AuditLog::Process() noexcept { return ProcessLog().get(); }

void AuditLog::Configure(const AuditSettings& settings, AuditHeader header) {
  const MutexLock lock(&mutex_);
  AuditWriter* const current = writer_.load(std::memory_order_relaxed);
  if (current != nullptr && settings == settings_) return current->SetHeader(std::move(header));
  if (current == nullptr && settings.path.empty()) return;
  std::unique_ptr<LogFile> file;
  const bool same_file = current != nullptr && settings.path == settings_.path;
  if (!settings.path.empty() && !same_file) file = LogFile::Open(settings.path);
  std::unique_ptr<LogFile> before = StopWriter();
  if (same_file) file = std::move(before);
  settings_ = settings;
  if (file == nullptr) return;
  FinishAtExit();
  writer_ = new AuditWriter(settings, std::move(file), std::move(header), registry_, &counts_);
}

std::unique_ptr<LogFile> AuditLog::StopWriter() noexcept {
  AuditWriter* const writer = writer_.exchange(nullptr);
  if (writer == nullptr) return nullptr;
  // Whoever counted itself in before the exchange is about to be done.
  while (adding_.load() != 0) std::this_thread::yield();
  if (!writer->Stop(kPatienceNs)) return nullptr;  // its thread still uses it
  std::unique_ptr<LogFile> file = writer->TakeFile();
  delete writer;
  return file;
}

void AuditLog::Finish() noexcept {
  const MutexLock lock(&mutex_);
  StopWriter();
}

// Counting in before the writer is read, and switching it off before the count is read, are
// sequentially consistent: one of the two sees the other.
std::byte* AuditLog::Begin(std::size_t bytes) noexcept {
  if (!on()) return nullptr;
  adding_.fetch_add(1);
  AuditWriter* const writer = writer_.load();
  std::byte* const room = writer != nullptr ? writer->buffer().Reserve(bytes) : nullptr;
  if (room != nullptr) return room;
  if (writer != nullptr) counts_.dropped.fetch_add(1, std::memory_order_relaxed);
  adding_.fetch_sub(1);
  return nullptr;
}

void AuditLog::End(std::byte* room, std::size_t bytes, RecordKind kind) noexcept {
  RecordBuffer::Commit(room, bytes, static_cast<std::uint32_t>(kind));
  adding_.fetch_sub(1);
}

void AuditLog::AddControl(const char* what, const std::string& arguments,
                          std::int64_t count) noexcept {
  const Slot<ControlRecord> slot(*this, sizeof(ControlRecord) + arguments.size());
  if (!slot) return;
  slot->now_ns = SteadyNow();
  slot->count = count;
  slot->what = what;
  slot->text_bytes = arguments.size();
  std::memcpy(slot.rest(), arguments.data(), arguments.size());
}

void AuditLog::LockForFork() noexcept {
  if (AuditWriter* const writer = Process().writer_.load()) writer->file().LockForFork();
}

void AuditLog::UnlockAfterForkInParent() noexcept {
  if (AuditWriter* const writer = Process().writer_.load()) writer->file().UnlockAfterFork();
}

void AuditLog::ReplaceInForkedChild() noexcept {
  if (AuditWriter* const writer = Process().writer_.load()) writer->file().CloseInForkedChild();
  ProcessLog().Replace(ProcessRegistry());
}

}  // namespace actcache
