#include "tier/disk/writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "tier/disk/schema.h"

namespace actcache {
namespace {

// Nobody waits for the writer, but it holds what others want to write.
constexpr int kBusyTimeoutMs = 100;
// Whoever writes a file for longer has been killed, or the disk hangs.
constexpr std::uint64_t kPendingSeconds = 120;
constexpr std::uint64_t kSweepPeriodNs = 10'000'000'000;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

// Bytes of pages that a record takes: its own, those of its rows and their share of indices, and
// what is left over of its last page where it has pages of its own.
constexpr std::uint64_t RoomFor(std::size_t bytes) noexcept {
  return bytes + 512 + (bytes > kPageBytes / 2 ? kPageBytes : 0);
}
// Pages that a transaction may add to tables and indices whatever it writes.
constexpr std::uint64_t kSparePages = 8;

}  // namespace

DiskWriter::DiskWriter(const std::string& folder, const ValueFiles& files,
                       std::uint64_t own_file_bytes)
    : folder_(folder),
      files_(files),
      own_file_bytes_(own_file_bytes),
      index_(OpenIndex(folder, Database::Access::kCreate, kBusyTimeoutMs)),
      chains_(index_.get()),
      totals_(index_.get(), "SELECT budget, file_bytes, age FROM store"),
      count_(index_.get(),
             "UPDATE store SET file_bytes = file_bytes + ?, entries = entries + ?,"
             " bytes = bytes + ?"),
      age_(index_.get(), "UPDATE store SET age = max(age, ?), evicted = evicted + ?"),
      insert_(index_.get(),
              "INSERT INTO entries(key, state, in_file, bytes, worth, gain, uses, made, used,"
              " expires, region, namespace, follows)"
              " VALUES(?, ?, ?, ?, ?, ?, 1, ?7, ?7, ?8, ?9, ?10, ?11)"
              " ON CONFLICT(key) DO NOTHING"),
      insert_record_(index_.get(), "INSERT INTO records(id, record) VALUES(?, ?)"),
      entry_(index_.get(), "SELECT bytes, in_file, state FROM entries WHERE id = ?"),
      used_(index_.get(),
            "SELECT gain, uses, worth, follows FROM entries WHERE id = ? AND state = 0"),
      victims_(index_.get(),
               "SELECT id, bytes, in_file, worth FROM entries WHERE state = 0 AND worth <= ?"
               " ORDER BY worth LIMIT ?"),
      delete_(index_.get(), "DELETE FROM entries WHERE id = ?"),
      delete_record_(index_.get(), "DELETE FROM records WHERE id = ?"),
      leave_(index_.get(), "UPDATE entries SET state = 2 WHERE id = ?"),
      ready_(index_.get(), "UPDATE entries SET state = 0 WHERE id = ? AND state = 1"),
      touch_(index_.get(),
             "UPDATE entries SET uses = uses + 1, used = ?2, worth = ?3 WHERE id = ?1") {}

void DiskWriter::SetBudget(std::uint64_t bytes) {
  Transaction transaction(index_.get(), Transaction::Kind::kWrite);
  const Totals totals = ReadTotals();
  if (bytes == 0) bytes = totals.budget == 0 ? kDefaultDiskBudget : totals.budget;
  limits_ = DiskLimits(bytes);
  if (totals.budget == bytes) return;
  Statement set(index_.get(), "UPDATE store SET budget = ?");
  set.Bind(1, static_cast<std::int64_t>(bytes)).Run();
  transaction.Commit();
}

DiskWriter::Totals DiskWriter::ReadTotals() {
  const StatementUse totals(&totals_);
  if (!totals->Step()) throw DatabaseError(0, IndexPath(folder_) + " has lost its sums");
  return {static_cast<std::uint64_t>(totals->Integer(0)),
          static_cast<std::uint64_t>(totals->Integer(1)), totals->Real(2)};
}

void DiskWriter::Count(std::int64_t file_bytes, std::int64_t entries, std::int64_t bytes) {
  count_.Bind(1, file_bytes).Bind(2, entries).Bind(3, bytes).Run();
}

std::optional<double> DiskWriter::WorthOf(const Record& record) {
  const double worth = ReadTotals().age + GainOf(record);
  const std::optional<TierKey>& before = record.fields().before;
  return before ? chains_.Behind(*before, worth, &raises_) : worth;
}

std::optional<std::int64_t> DiskWriter::Insert(const Record& record, double worth, bool in_file) {
  const RecordFields& fields = record.fields();
  const auto now_s = static_cast<std::int64_t>(UnixNow() / kNsPerSecond);
  insert_.Bind(1, fields.key.data(), fields.key.size())
      .Bind(2, std::int64_t{in_file ? kPending : kReady})
      .Bind(3, std::int64_t{in_file ? 1 : 0})
      .Bind(4, static_cast<std::int64_t>(record.size()))
      .Bind(5, worth)
      .Bind(6, GainOf(record))
      .Bind(7, now_s)
      .Bind(8, static_cast<std::int64_t>(fields.expires_ns))
      .BindText(9, fields.region.data(), fields.region.size())
      .BindText(10, fields.name_space.data(), fields.name_space.size());
  if (fields.before) insert_.Bind(11, fields.before->data(), fields.before->size());
  insert_.Run();
  if (index_->changed() == 0) return std::nullopt;
  return index_->last_id();
}

DiskWriter::PutResult DiskWriter::Put(const Record* records, std::size_t count) {
  PutResult result;
  evicted_ = 0;
  std::vector<const Record*> small;
  std::uint64_t small_bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (records[i].size() > limits_.largest_value()) {
      ++result.refused;
    } else if (records[i].size() > own_file_bytes_) {
      if (records[i].fields().before && !small.empty()) {
        PutSmall(std::exchange(small, {}), &result);  // it may follow one of them
        small_bytes = 0;
      }
      PutFile(records[i], &result);
    } else {
      if (!small.empty() && small_bytes + records[i].size() > limits_.transaction()) {
        PutSmall(small, &result);
        small.clear();
        small_bytes = 0;
      }
      small.push_back(&records[i]);
      small_bytes += records[i].size();
    }
  }
  if (!small.empty()) PutSmall(small, &result);
  result.evicted = evicted_;
  return result;
}

void DiskWriter::PutSmall(const std::vector<const Record*>& records, PutResult* result) {
  Need need;
  std::uint64_t room = 0;
  for (const Record* const record : records) {
    room += RoomFor(record->size());
    need.gain = std::max(need.gain, GainOf(*record));
  }
  need.pages = kSparePages + room / kPageBytes + 1;
  need.records = records;
  const std::unique_ptr<Transaction> transaction = BeginWithRoom(need);
  if (transaction == nullptr) {
    result->refused += records.size();
    return;
  }
  PutResult added;
  for (const Record* const record : records) {
    const std::optional<double> worth = WorthOf(*record);
    if (!worth) {
      ++added.refused;
      continue;
    }
    const std::optional<std::int64_t> id = Insert(*record, *worth, /*in_file=*/false);
    if (!id) continue;
    insert_record_.Bind(1, *id).Bind(2, record->data(), record->size()).Run();
    ++added.stored;
    added.stored_bytes += record->size();
  }
  Count(0, static_cast<std::int64_t>(added.stored), static_cast<std::int64_t>(added.stored_bytes));
  transaction->Commit();
  result->stored += added.stored;
  result->refused += added.refused;
  result->stored_bytes += added.stored_bytes;
}

void DiskWriter::PutFile(const Record& record, PutResult* result) {
  Need need;
  need.pages = kSparePages;
  need.file_bytes = ValueFiles::Charge(record.size());
  need.gain = GainOf(record);
  need.records = {&record};
  std::optional<std::int64_t> id;
  {
    const std::unique_ptr<Transaction> transaction = BeginWithRoom(need);
    const std::optional<double> worth = transaction == nullptr ? std::nullopt : WorthOf(record);
    if (!worth) {
      ++result->refused;
      return;
    }
    id = Insert(record, *worth, /*in_file=*/true);
    if (!id) return;
    Count(static_cast<std::int64_t>(need.file_bytes), 1, static_cast<std::int64_t>(record.size()));
    transaction->Commit();
  }
  const auto number = static_cast<std::uint64_t>(*id);
  const bool written = files_.Write(number, record.data(), record.size());
  if (!written) {
    ++result->refused;
    RemoveIds({*id});
    return;
  }
  try {
    if (!MarkReady(*id)) {
      ++result->refused;
      return;
    }
  } catch (const DatabaseError&) {
    // Else nobody could store this key until the process is taken for dead.
    RemoveIds({*id});
    throw;
  }
  ++result->stored;
  result->stored_bytes += record.size();
}

bool DiskWriter::MarkReady(std::int64_t id) {
  const std::unique_ptr<Transaction> transaction = Begin();
  if (transaction == nullptr) return false;  // Maintain() removes it
  ready_.Bind(1, id).Run();
  const bool ready = index_->changed() != 0;
  transaction->Commit();
  // Somebody took this process for dead, and removed the entry.
  if (!ready) files_.Remove(static_cast<std::uint64_t>(id));
  return ready;
}

void DiskWriter::Remove(const TierKey* keys, std::size_t count) {
  Statement find(index_.get(), "SELECT id FROM entries WHERE key = ?");
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < count; ++i) {
    const StatementUse use(&find);
    use->Bind(1, keys[i].data(), keys[i].size());
    if (use->Step()) ids.push_back(use->Integer(0));
  }
  RemoveIds(ids);
}

void DiskWriter::RemoveIds(const std::vector<std::int64_t>& ids) {
  const auto most = static_cast<std::size_t>(limits_.victims());
  for (std::size_t begin = 0; begin < ids.size(); begin += most) {
    std::vector<std::int64_t> leaving;
    const std::unique_ptr<Transaction> transaction = Begin();
    if (transaction == nullptr) return;
    const std::size_t end = std::min(ids.size(), begin + most);
    for (std::size_t i = begin; i < end; ++i) TakeOut(ids[i], &leaving);
    transaction->Commit();
    Settle(leaving);
  }
}

void DiskWriter::TakeOut(std::int64_t id, std::vector<std::int64_t>* leaving) {
  std::int64_t bytes = 0;
  {
    const StatementUse entry(&entry_);
    entry->Bind(1, id);
    if (!entry->Step()) return;
    bytes = entry->Integer(0);
    if (entry->Integer(1) != 0) leaving->push_back(id);
  }
  if (!leaving->empty() && leaving->back() == id) {
    leave_.Bind(1, id).Run();
    return;
  }
  delete_.Bind(1, id).Run();
  delete_record_.Bind(1, id).Run();
  Count(0, -1, -bytes);
}

void DiskWriter::Settle(const std::vector<std::int64_t>& leaving) {
  std::vector<std::int64_t> gone;
  for (const std::int64_t id : leaving) {
    if (files_.Remove(static_cast<std::uint64_t>(id))) gone.push_back(id);
  }
  if (gone.empty()) return;
  const std::unique_ptr<Transaction> transaction = Begin();
  if (transaction == nullptr) return;  // Maintain() does the rest
  for (const std::int64_t id : gone) {
    std::int64_t bytes = 0;
    {
      const StatementUse entry(&entry_);
      entry->Bind(1, id);
      // Another process has settled it, too.
      if (!entry->Step() || entry->Integer(2) != kLeaving) continue;
      bytes = entry->Integer(0);
    }
    delete_.Bind(1, id).Run();
    const std::uint64_t charge = ValueFiles::Charge(static_cast<std::uint64_t>(bytes));
    Count(-static_cast<std::int64_t>(charge), -1, -bytes);
  }
  transaction->Commit();
}

void DiskWriter::Touch(const std::vector<std::int64_t>& ids) {
  const auto now_s = static_cast<std::int64_t>(UnixNow() / kNsPerSecond);
  const auto most = static_cast<std::size_t>(limits_.victims());
  for (std::size_t begin = 0; begin < ids.size(); begin += most) {
    const std::unique_ptr<Transaction> transaction = Begin();
    if (transaction == nullptr) return;
    const std::size_t end = std::min(ids.size(), begin + most);
    for (std::size_t i = begin; i < end; ++i) TouchOne(ids[i], now_s);
    transaction->Commit();
  }
}

void DiskWriter::TouchOne(std::int64_t id, std::int64_t now_s) {
  double worth = ReadTotals().age;
  std::optional<TierKey> before;
  {
    const StatementUse entry(&used_);
    entry->Bind(1, id);
    if (!entry->Step()) return;
    // What follows it may have made it worth more than its own uses do.
    worth = std::max(worth + entry->Real(0) * static_cast<double>(entry->Integer(1) + 1),
                     entry->Real(2));
    TierKey key;
    if (entry->Bytes(3) == key.size()) {
      std::memcpy(key.data(), entry->Blob(3), key.size());
      before = key;
    }
  }
  // What it follows may be gone, as it was damaged or has expired: it will be put there again.
  if (before) worth = chains_.Behind(*before, worth, &raises_).value_or(worth);
  touch_.Bind(1, id).Bind(2, now_s).Bind(3, worth).Run();
}

std::vector<std::int64_t> DiskWriter::Ids(const char* sql, std::int64_t parameter) {
  Statement query(index_.get(),
                  (std::string(sql) + " LIMIT " + std::to_string(limits_.victims())).c_str());
  query.Bind(1, parameter);
  std::vector<std::int64_t> ids;
  while (query.Step()) ids.push_back(query.Integer(0));
  return ids;
}

void DiskWriter::Maintain() {
  const std::uint64_t now_ns = UnixNow();
  RemoveIds(Ids("SELECT id FROM entries WHERE state = 0 AND expires > 0 AND expires <= ?",
                static_cast<std::int64_t>(now_ns)));
  RemoveIds(Ids("SELECT id FROM entries WHERE state <> 0 AND (state = 2 OR made < ?)",
                static_cast<std::int64_t>(now_ns / kNsPerSecond - kPendingSeconds)));
  Need nothing;
  nothing.gain = -1;  // whatever it is worth
  BeginWithRoom(nothing);
  if (LogBytes() > limits_.log / 4) index_->Checkpoint(/*truncate=*/false);
  const std::uint64_t now = SteadyNow();
  if (now < sweep_at_ns_) return;
  sweep_at_ns_ = now + kSweepPeriodNs;
  SweepFolder();
}

// An entry is there before its file is; so a file without one will never have one.
void DiskWriter::SweepFolder() {
  const std::vector<std::uint64_t> numbers = files_.List(next_folder_);
  next_folder_ = (next_folder_ + 1) % ValueFiles::kFolders;
  for (const std::uint64_t number : numbers) {
    const StatementUse entry(&entry_);
    entry->Bind(1, static_cast<std::int64_t>(number));
    if (!entry->Step()) files_.Remove(number);
  }
}

}  // namespace actcache
