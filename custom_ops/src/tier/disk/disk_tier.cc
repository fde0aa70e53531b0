#include "tier/disk/disk_tier.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <mutex>
#include <new>
#include <utility>

#include "base/clock.h"
#include "tier/disk/directory.h"
#include "tier/disk/schema.h"

namespace actcache {
namespace {

// Threads that read at one time; each connection takes about half a MiB.
constexpr std::size_t kMostReaders = 16;
// What is noted for the writing thread between two of its turns; more is forgotten.
constexpr std::size_t kMostNotes = 1024;

void Add(std::atomic<std::uint64_t>& count, std::uint64_t amount) noexcept {
  if (amount != 0) count.fetch_add(amount, std::memory_order_relaxed);
}

std::uint64_t FileId(const std::string& path) noexcept {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return 0;
  return static_cast<std::uint64_t>(status.st_ino) * 31 + static_cast<std::uint64_t>(status.st_dev);
}

}  // namespace

DiskTier::DiskTier(std::string folder, std::uint64_t budget_bytes)
    : folder_(std::move(folder)),
      budget_bytes_(budget_bytes),
      secret_(PrepareDirectory(folder_)),
      files_(folder_) {
  try {
    writer_ = std::make_unique<DiskWriter>(folder_, files_);
    writer_->SetBudget(budget_bytes_);
  } catch (const DatabaseError& error) {
    writer_.reset();
    if (error.busy()) {
      // The thread that writes tries again.
    } else if (error.read_only()) {
      read_only_ = true;
    } else {
      throw;
    }
  }
  // One that can only be read has to be; another's first connection need not be made by a call.
  if (read_only_ || writer_ != nullptr) ReturnReader(TakeReader());
  file_id_ = FileId(IndexPath(folder_));
}

std::unique_ptr<DiskReader> DiskTier::TakeReader() const {
  {
    const MutexLock lock(&readers_mutex_);
    if (readers_in_use_ == kMostReaders) return nullptr;
    ++readers_in_use_;
    if (!readers_.empty()) {
      std::unique_ptr<DiskReader> reader = std::move(readers_.back());
      readers_.pop_back();
      return reader;
    }
    readers_.reserve(kMostReaders);  // so that returning one cannot fail
  }
  try {
    return std::make_unique<DiskReader>(folder_, files_, read_only_);
  } catch (...) {
    ReturnReader(nullptr);
    throw;
  }
}

void DiskTier::ReturnReader(std::unique_ptr<DiskReader> reader) const noexcept {
  const MutexLock lock(&readers_mutex_);
  --readers_in_use_;
  if (reader != nullptr) readers_.push_back(std::move(reader));
}

void DiskTier::Get(const TierKey* keys, std::size_t count, std::uint64_t deadline_ns,
                   Record* found) noexcept {
  std::size_t hits = 0;
  std::size_t asked = 0;
  const std::shared_lock gate(gate_, std::try_to_lock);  // not held: the process forks
  if (gate.owns_lock() && available()) {
    const WaitLimit limit(deadline_ns);  // of locks, also while a connection is made
    std::unique_ptr<DiskReader> reader;
    try {
      reader = TakeReader();
      if (reader != nullptr) {
        const std::uint64_t unix_ns = UnixNow();
        Transaction transaction(reader->database(), Transaction::Kind::kRead);
        for (; asked < count && SteadyNow() < deadline_ns; ++asked) {
          found[asked] = Read(reader.get(), keys[asked], unix_ns);
          if (found[asked]) ++hits;
        }
      }
    } catch (const std::exception& error) {
      Failed(error);
      if (reader != nullptr) ReturnReader(nullptr);
      reader.reset();  // it remembers its fault
    }
    if (reader != nullptr) ReturnReader(std::move(reader));
  }
  Add(counts_.hits, hits);
  Add(counts_.misses, count - hits);
  Add(counts_.late, count - asked);
}

Record DiskTier::Read(DiskReader* reader, const TierKey& key, std::uint64_t unix_ns) {
  DiskReader::Found entry = reader->Find(key, unix_ns);
  if (entry.id == 0) return {};
  if (entry.expired) {
    Note(kDoomed, entry.id);
    return {};
  }
  const char* problem = nullptr;
  Record record = Record::Open(std::move(entry.bytes), key, secret_, &problem);
  if (record && !record.Expired(unix_ns)) {
    Note(kUsed, entry.id);
    Add(counts_.fetched_bytes, record.size());
    return record;
  }
  Add(counts_.damaged, 1);
  Note(kDoomed, entry.id);
  return {};
}

void DiskTier::Note(Noted what, std::int64_t id) noexcept {
  const MutexLock lock(&notes_mutex_);
  std::vector<std::int64_t>& list = notes_[what];
  if (list.size() == kMostNotes) return;
  try {
    list.push_back(id);
  } catch (...) {
    // No memory: it is not noted.
  }
}

std::vector<std::int64_t> DiskTier::TakeNotes(Noted what) noexcept {
  std::vector<std::int64_t> notes;
  {
    const MutexLock lock(&notes_mutex_);
    notes.swap(notes_[what]);
  }
  std::sort(notes.begin(), notes.end());
  notes.erase(std::unique(notes.begin(), notes.end()), notes.end());
  return notes;
}

template <typename Work>
bool DiskTier::Write(const Work& work) noexcept {
  const std::shared_lock gate(gate_);
  if (read_only_ || !available()) return false;
  try {
    if (writer_ == nullptr) {
      auto writer = std::make_unique<DiskWriter>(folder_, files_);
      writer->SetBudget(budget_bytes_);
      writer_ = std::move(writer);
      file_id_ = FileId(IndexPath(folder_));
    }
    work(writer_.get());
    return true;
  } catch (const std::exception& error) {
    Failed(error);
    return false;
  }
}

void DiskTier::Put(const Record* records, std::size_t count) noexcept {
  const bool done = Write([&](DiskWriter* writer) {
    writer->RemoveIds(TakeNotes(kDoomed));
    const DiskWriter::PutResult result = writer->Put(records, count);
    Add(counts_.stored, result.stored);
    Add(counts_.stored_bytes, result.stored_bytes);
    Add(counts_.refused, result.refused);
    Add(counts_.evicted, result.evicted);
  });
  if (!done) Add(counts_.refused, count);
}

void DiskTier::Remove(const TierKey* keys, std::size_t count) noexcept {
  Write([&](DiskWriter* writer) { writer->Remove(keys, count); });
}

void DiskTier::Maintain() noexcept {
  const bool gone = file_id_ == 0 && !available();  // and it could not be made anew
  if (gone || !IsSameFile()) TakeOver();
  Write([&](DiskWriter* writer) {
    writer->RemoveIds(TakeNotes(kDoomed));
    writer->Touch(TakeNotes(kUsed));
    writer->Maintain();
  });
}

// The folder was emptied, or another store stands there.
void DiskTier::TakeOver() noexcept {
  const std::unique_lock gate(gate_);
  CloseAll();
  file_id_ = FileId(IndexPath(folder_));
  try {
    if (PrepareDirectory(folder_, &secret_) != secret_) {
      throw DirectoryError("another store has taken the place of " + folder_ +
                           "; restart the process, or set disk_path again, to use it");
    }
    broken_.store(false, std::memory_order_relaxed);
  } catch (const std::exception& error) {
    Add(counts_.errors, 1);
    if (broken_.exchange(true, std::memory_order_relaxed)) return;
    std::fprintf(stderr, "actcache: the disk store is off: %s\n", error.what());
  }
}

bool DiskTier::IsSameFile() const noexcept { return FileId(IndexPath(folder_)) == file_id_; }

void DiskTier::Failed(const std::exception& error) const noexcept {
  Add(counts_.errors, 1);
  const auto* const database = dynamic_cast<const DatabaseError*>(&error);
  if (database == nullptr || !database->damaged()) return;
  if (!IsSameFile()) return;  // Maintain() opens the new one
  if (broken_.exchange(true, std::memory_order_relaxed)) return;
  std::fprintf(stderr,
               "actcache: the disk store %s is damaged and is off now: %s; "
               "`actcache store purge %s` empties it\n",
               folder_.c_str(), error.what(), folder_.c_str());
}

TierStats DiskTier::stats() const noexcept {
  TierStats stats;
  const auto read = [](const std::atomic<std::uint64_t>& count) {
    return count.load(std::memory_order_relaxed);
  };
  stats.hits = read(counts_.hits);
  stats.misses = read(counts_.misses);
  stats.damaged = read(counts_.damaged);
  stats.late = read(counts_.late);
  stats.stored = read(counts_.stored);
  stats.refused = read(counts_.refused);
  stats.evicted = read(counts_.evicted);
  stats.errors = read(counts_.errors);
  stats.fetched_bytes = read(counts_.fetched_bytes);
  stats.stored_bytes = read(counts_.stored_bytes);
  stats.available = available();
  const std::shared_lock gate(gate_, std::try_to_lock);
  if (!gate.owns_lock() || !available()) return stats;
  std::unique_ptr<DiskReader> reader;
  try {
    reader = TakeReader();
    if (reader != nullptr) {
      const DiskReader::Totals totals = reader->totals();
      stats.entries = totals.entries;
      stats.bytes = totals.bytes;
      stats.budget_bytes = totals.budget;
    }
  } catch (const std::exception& error) {
    Failed(error);
    if (reader != nullptr) ReturnReader(nullptr);
    reader.reset();  // it remembers its fault
  }
  if (reader != nullptr) ReturnReader(std::move(reader));
  return stats;
}

void DiskTier::CloseAll() noexcept {
  writer_.reset();
  const MutexLock lock(&readers_mutex_);
  readers_.clear();
}

void DiskTier::LockForFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  gate_.lock();
  CloseAll();
  readers_mutex_.Lock();
  notes_mutex_.Lock();
}

void DiskTier::UnlockAfterFork() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  notes_mutex_.Unlock();
  readers_mutex_.Unlock();
  gate_.unlock();
}

void DiskTier::ReopenInForkedChild() noexcept ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  notes_mutex_.Unlock();
  readers_mutex_.Unlock();
  // The lock knows its owner by the id of a thread that the child does not have.
  new (&gate_) std::shared_mutex;
}

}  // namespace actcache
