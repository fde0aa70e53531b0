// How DiskWriter keeps to the budget.
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <string>

#include "tier/disk/schema.h"
#include "tier/disk/writer.h"

namespace actcache {
namespace {

// Transactions that one value may take to make room for itself.
constexpr int kRounds = 64;

std::uint64_t FileBytes(const std::string& path) noexcept {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

std::uint64_t Above(std::uint64_t value, std::uint64_t limit) noexcept {
  return value > limit ? value - limit : 0;
}

}  // namespace

std::uint64_t DiskWriter::LogBytes() const noexcept {
  return FileBytes(IndexPath(folder_) + "-wal");
}

std::unique_ptr<Transaction> DiskWriter::Begin() {
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto transaction = std::make_unique<Transaction>(index_.get(), Transaction::Kind::kWrite);
    // While it is open, nobody else adds to the log.
    if (LogBytes() <= limits_.log / 2) {
      raises_ = limits_.victims();
      return transaction;
    }
    transaction.reset();
    index_->Checkpoint(/*truncate=*/true);
  }
  return nullptr;
}

DiskWriter::Usage DiskWriter::ReadUsage() {
  Usage usage{};
  usage.pages = static_cast<std::uint64_t>(index_->Number("PRAGMA page_count"));
  usage.unused = static_cast<std::uint64_t>(index_->Number("PRAGMA freelist_count"));
  usage.on_disk = FileBytes(IndexPath(folder_));
  return usage;
}

std::unique_ptr<Transaction> DiskWriter::BeginWithRoom(const Need& need) {
  bool emptied = false;
  for (int round = 0; round < kRounds; ++round) {
    std::unique_ptr<Transaction> transaction = Begin();
    if (transaction == nullptr) return nullptr;
    const Totals totals = ReadTotals();
    limits_ = DiskLimits(totals.budget);
    KeepBefore(totals, need);
    const Usage usage = ReadUsage();
    const std::uint64_t files = totals.file_bytes + need.file_bytes;
    const std::uint64_t grown = (usage.pages + Above(need.pages, usage.unused)) * kPageBytes;
    const std::uint64_t excess = Above(grown + files, limits_.values());
    if (excess == 0 && usage.on_disk + files <= limits_.values()) {
      // Whatever the pages were taken for, more than these there will not be.
      const std::uint64_t most = (limits_.values() - files) / kPageBytes;
      index_->Execute(("PRAGMA max_page_count = " + std::to_string(most)).c_str());
      return transaction;
    }
    std::vector<std::int64_t> leaving;
    const bool evicted = excess > 0 && Evict(totals, need, excess, &leaving);
    const bool shrunk = Shrink(totals, need);
    transaction->Commit();
    transaction.reset();
    Settle(leaving);
    if (evicted || shrunk) {
      if (shrunk) emptied = index_->Checkpoint(/*truncate=*/true);
      continue;
    }
    // Nothing to take, or the file is not yet as short as the database.
    if (excess > 0 || emptied) return nullptr;
    emptied = true;
    if (!index_->Checkpoint(/*truncate=*/true)) return nullptr;
  }
  return nullptr;
}

void DiskWriter::KeepBefore(const Totals& totals, const Need& need) {
  for (const Record* const record : need.records) {
    const std::optional<TierKey>& before = record->fields().before;
    if (before) chains_.Behind(*before, totals.age + GainOf(*record), &raises_);
  }
}

bool DiskWriter::Evict(const Totals& totals, const Need& need, std::uint64_t excess,
                       std::vector<std::int64_t>* leaving) {
  struct Victim {
    std::int64_t id;
    std::uint64_t frees;
    double worth;
  };
  std::vector<Victim> victims;
  {
    const double most = need.gain < 0 ? std::numeric_limits<double>::max() : totals.age + need.gain;
    const StatementUse query(&victims_);
    query->Bind(1, most).Bind(2, std::int64_t{limits_.victims()});
    while (query->Step()) {
      const auto bytes = static_cast<std::uint64_t>(query->Integer(1));
      const bool in_file = query->Integer(2) != 0;
      victims.push_back(
          {query->Integer(0), in_file ? ValueFiles::Charge(bytes) : bytes, query->Real(3)});
    }
  }
  if (victims.empty()) {
    if (need.gain >= 0) Age(totals, need);
    return false;
  }
  std::uint64_t freed = 0;
  std::int64_t taken = 0;
  double age = totals.age;
  for (const Victim& victim : victims) {
    if (freed >= excess) break;
    TakeOut(victim.id, leaving);
    freed += victim.frees;
    age = victim.worth;
    ++taken;
  }
  age_.Bind(1, age).Bind(2, taken).Run();
  evicted_ += static_cast<std::uint64_t>(taken);
  return true;
}

void DiskWriter::Age(const Totals& totals, const Need& need) {
  Statement least(index_.get(), "SELECT min(worth) FROM entries WHERE state = 0");
  if (!least.Step()) return;
  const double wanted = static_cast<double>(need.pages * kPageBytes + need.file_bytes);
  const double step = (least.Real(0) - totals.age) * wanted / static_cast<double>(totals.budget);
  if (step > 0) age_.Bind(1, totals.age + step).Bind(2, std::int64_t{0}).Run();
}

bool DiskWriter::Shrink(const Totals& totals, const Need& need) {
  const Usage usage = ReadUsage();
  const std::uint64_t allowed = Above(limits_.values(), totals.file_bytes + need.file_bytes);
  const std::uint64_t too_many = Above(usage.pages, allowed / kPageBytes);
  const std::uint64_t unused = Above(usage.unused, need.pages);
  // A page that moves changes up to three.
  const std::uint64_t pages = std::min({too_many, unused, limits_.log / 8 / kPageBytes});
  if (pages == 0) return false;
  index_->Execute(("PRAGMA incremental_vacuum(" + std::to_string(pages) + ")").c_str());
  return true;
}

}  // namespace actcache
