#include "audit/writer.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "base/signals_blocked.h"

namespace actcache {
namespace {

// Lines are written in pieces of about this size.
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;

}  // namespace

AuditWriter::AuditWriter(const AuditSettings& settings, std::unique_ptr<LogFile> file,
                         AuditHeader header, const Registry& registry, AuditCounts* counts)
    : settings_(settings),
      counts_(*counts),
      buffer_(settings.buffer_bytes),
      file_(std::move(file)),
      lines_(registry),
      said_dropped_(counts->dropped.load(std::memory_order_relaxed)),
      written_said_(said_dropped_),
      header_(std::move(header)) {
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { Run(); });
}

void AuditWriter::SetHeader(AuditHeader header) {
  const MutexLock lock(&mutex_);
  header_ = std::move(header);
}

AuditHeader AuditWriter::header() {
  const MutexLock lock(&mutex_);
  return header_;
}

bool AuditWriter::Stop(std::uint64_t patience_ns) {
  {
    const MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.NotifyAll();
    const std::uint64_t end = SteadyNow() + patience_ns;
    for (std::uint64_t now; !stopped_; ended_.WaitFor(&mutex_, end - now)) {
      now = SteadyNow();
      if (now >= end) return false;
    }
  }
  thread_.join();
  return true;
}

void AuditWriter::Run() noexcept {
  Drain();  // the first file begins at once
  for (bool stopping = false; !stopping;) {
    {
      const MutexLock lock(&mutex_);
      if (!stopping_) wake_.WaitFor(&mutex_, kPeriodNs);
      stopping = stopping_;
    }
    Drain();
  }
  const MutexLock lock(&mutex_);
  stopped_ = true;
  ended_.NotifyAll();
}

void AuditWriter::Drain() noexcept {
  BeginPart();
  for (;;) {
    const RecordBuffer::Record record = buffer_.Front();
    if (record.data == nullptr) break;
    AppendFront(record);
    buffer_.Release();
    const bool full = file_->bytes() + lines_.size() >= settings_.max_bytes;
    if (full || lines_.size() >= kPieceBytes) Write();
  }
  Write();
}

void AuditWriter::AppendFront(const RecordBuffer::Record& record) noexcept {
  BeginPart();
  try {
    SayWhatWasDropped();
    lines_.AppendRecord(record);
    ++events_;
  } catch (...) {
    counts_.dropped.fetch_add(1, std::memory_order_relaxed);
  }
}

void AuditWriter::SayWhatWasDropped() {
  const std::uint64_t dropped = counts_.dropped.load(std::memory_order_relaxed);
  if (dropped == said_dropped_ || failing_) return;
  lines_.AppendDropped(SteadyNow(), dropped - said_dropped_);
  said_dropped_ = dropped;
}

void AuditWriter::BeginPart() noexcept {
  if (begun_) return;
  try {
    lines_.AppendStart(part_, header());
    begun_ = true;
  } catch (...) {
    // No memory; the next time, maybe.
  }
}

void AuditWriter::Write() noexcept {
  try {
    SayWhatWasDropped();
  } catch (...) {
    // It is said the next time.
  }
  if (lines_.size() == 0) return;
  if (!file_->Append(lines_.view())) {
    WriteFailed(errno);
    return;
  }
  failing_ = false;
  written_said_ = said_dropped_;
  counts_.bytes.fetch_add(lines_.size(), std::memory_order_relaxed);
  counts_.written.fetch_add(events_, std::memory_order_relaxed);
  events_ = 0;
  lines_.clear();
  if (file_->bytes() < settings_.max_bytes) return;
  // Where there can be no new file, the old one grows.
  if (!file_->Rotate(settings_.files)) return;
  ++part_;
  begun_ = false;
  BeginPart();
}

void AuditWriter::WriteFailed(int error) noexcept {
  counts_.dropped.fetch_add(events_, std::memory_order_relaxed);
  events_ = 0;
  said_dropped_ = written_said_;
  lines_.clear();
  begun_ = false;  // what was lost may be a first line, or describe a region
  if (!failing_) {
    std::fprintf(stderr, "actcache: the audit log %s cannot be written: %s; events are dropped\n",
                 file_->path().c_str(), std::generic_category().message(error).c_str());
  }
  failing_ = true;
}

}  // namespace actcache
