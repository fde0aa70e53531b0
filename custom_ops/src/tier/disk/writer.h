// Writes to a disk store, and keeps it within its budget.
#ifndef ACTCACHE_TIER_DISK_WRITER_H_
#define ACTCACHE_TIER_DISK_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tier/disk/chains.h"
#include "tier/disk/database.h"
#include "tier/disk/limits.h"
#include "tier/disk/value_files.h"
#include "tier/record.h"

namespace actcache {

// What a value is worth for each use of it.
inline double GainOf(const Record& record) noexcept {
  return static_cast<double>(record.fields().cost_ns) / static_cast<double>(record.size());
}

// A connection for writing. Used by one thread at a time; other processes write to the same store.
// All methods throw DatabaseError, and leave the store sound then.
//
// The budget. In the transaction that adds an entry, the database's file, the files of values that
// have a row, and what is set aside for the log and the rest (limits.h) are added up; where that is
// too much, entries of the least worth leave first. Worth is GreedyDual-Size-Frequency's, as in
// memory: the store's age + uses * recompute time / bytes; of chains, see chains.h.
class DiskWriter {
 public:
  // Records of more than `own_file_bytes` get files of their own.
  DiskWriter(const std::string& folder, const ValueFiles& files,
             std::uint64_t own_file_bytes = kOwnFileBytes);

  // `bytes` is the store's from now on, for all processes; 0: what it has, else the default.
  void SetBudget(std::uint64_t bytes);

  struct PutResult {
    std::uint64_t stored = 0;
    std::uint64_t stored_bytes = 0;
    std::uint64_t refused = 0;  // one that was there already is neither
    std::uint64_t evicted = 0;
  };
  // Adds sealed records.
  PutResult Put(const Record* records, std::size_t count);

  void Remove(const TierKey* keys, std::size_t count);
  void RemoveIds(const std::vector<std::int64_t>& ids);
  // These were used.
  void Touch(const std::vector<std::int64_t>& ids);

  // What nobody waits for: entries that have expired, what killed processes left, a budget that
  // became lower, the log. Bounded work; call it again.
  void Maintain();

 private:
  struct Need {
    std::uint64_t pages = 0;       // of the database
    std::uint64_t file_bytes = 0;  // charges of files
    double gain = 0;               // of the best: nothing worth more leaves; below 0: anything does
    std::vector<const Record*> records;  // that are to be added
  };
  struct Totals {
    std::uint64_t budget;
    std::uint64_t file_bytes;
    double age;
  };
  // What the store takes of the disk, in the open transaction.
  struct Usage {
    std::uint64_t pages;    // of the database
    std::uint64_t unused;   // of them
    std::uint64_t on_disk;  // bytes of its file, which shrinks only with a checkpoint
  };

  // A transaction for writing, or null if the log is full and cannot be emptied now.
  std::unique_ptr<Transaction> Begin();
  // Likewise, with room for `need`; null also if others are worth more.
  std::unique_ptr<Transaction> BeginWithRoom(const Need& need);
  Totals ReadTotals();
  Usage ReadUsage();
  // What the records follow is used just now: it must not leave to make room for them.
  void KeepBefore(const Totals& totals, const Need& need);
  // Takes out entries that free about `excess` bytes, of those worth at most the age + need.gain.
  // Appends those whose files have to be removed. False if there are none.
  bool Evict(const Totals& totals, const Need& need, std::uint64_t excess,
             std::vector<std::int64_t>* leaving);
  // Who finds no room ages the store, so that it gives way in time.
  void Age(const Totals& totals, const Need& need);
  // Gives pages that are not used back to the disk, as far as the database is too large.
  bool Shrink(const Totals& totals, const Need& need);
  // Deletes the entry in the open transaction, or marks it as leaving, if it has a file.
  void TakeOut(std::int64_t id, std::vector<std::int64_t>* leaving);
  // Removes the files of entries that are leaving, and then the entries.
  void Settle(const std::vector<std::int64_t>& leaving);
  // The ids that a query for them gives. Takes one parameter.
  std::vector<std::int64_t> Ids(const char* sql, std::int64_t parameter);

  void PutSmall(const std::vector<const Record*>& records, PutResult* result);
  void PutFile(const Record& record, PutResult* result);
  // Lets others find an entry whose file is written. False if it cannot, or if it is gone.
  bool MarkReady(std::int64_t id);
  // What a new entry is worth; nothing: it is of no use, as what it follows is not there.
  std::optional<double> WorthOf(const Record& record);
  // The id of a new entry; nothing if the key is there already.
  std::optional<std::int64_t> Insert(const Record& record, double worth, bool in_file);
  // In the open transaction.
  void TouchOne(std::int64_t id, std::int64_t now_s);
  void Count(std::int64_t file_bytes, std::int64_t entries, std::int64_t bytes);
  // Removes files that no entry knows of.
  void SweepFolder();
  std::uint64_t LogBytes() const noexcept;

  const std::string folder_;
  const ValueFiles& files_;
  const std::uint64_t own_file_bytes_;
  const std::unique_ptr<Database> index_;
  DiskLimits limits_{0};  // as of the last transaction
  std::uint64_t evicted_ = 0;
  int raises_ = 0;  // entries whose worth the open transaction may still change for chains
  std::uint64_t sweep_at_ns_ = 0;
  std::uint64_t next_folder_ = 0;
  Chains chains_;
  Statement totals_;
  Statement count_;
  Statement age_;
  Statement insert_;
  Statement insert_record_;
  Statement entry_;
  Statement used_;
  Statement victims_;
  Statement delete_;
  Statement delete_record_;
  Statement leave_;
  Statement ready_;
  Statement touch_;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_WRITER_H_
