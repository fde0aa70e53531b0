#include "tier/disk/store_tools.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "tier/disk/clearing.h"
#include "tier/disk/directory.h"
#include "tier/disk/reader.h"
#include "tier/disk/schema.h"
#include "tier/disk/value_files.h"
#include "tier/disk/writer.h"

namespace actcache {
namespace {

// Entries that are dealt with at a time, so that services get their turn.
constexpr std::int64_t kBatch = 64;

// The folder of a store that exists, with its secret.
class OpenStore {
 public:
  explicit OpenStore(const std::string& folder) : files_(folder) {
    if (access(IndexPath(folder).c_str(), F_OK) != 0) {
      throw DirectoryError(folder + " holds no store");
    }
    if (!HasSecret(folder)) {
      throw DirectoryError(folder +
                           " has no secret: what it holds cannot be read; if it is a store, "
                           "remove the folder");
    }
    secret_ = PrepareDirectory(folder);
    const bool writable = access(IndexPath(folder).c_str(), W_OK) == 0;
    reader_ = std::make_unique<DiskReader>(folder, files_, !writable);
  }
  Database* index() { return reader_->database(); }
  DiskReader& reader() { return *reader_; }
  const ValueFiles& files() const { return files_; }
  const DigestKey& secret() const { return secret_; }

 private:
  const ValueFiles files_;
  DigestKey secret_{};
  std::unique_ptr<DiskReader> reader_;
};

std::string HexOf(const void* bytes, std::size_t size) {
  constexpr char kHex[] = "0123456789abcdef";
  const auto* const data = static_cast<const unsigned char*>(bytes);
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += {kHex[data[i] >> 4], kHex[data[i] & 15]};
  return text;
}

std::uint64_t Count(const Statement& row, int column) {
  return static_cast<std::uint64_t>(row.Integer(column));
}

void BindSelection(Statement* statement, int first, const StoreSelection& selection) {
  statement->BindText(first, selection.region.data(), selection.region.size());
  statement->BindText(first + 1, selection.name_space.data(), selection.name_space.size());
}
constexpr const char* kSelected = "(?1 = '' OR region = ?1) AND (?2 = '' OR namespace = ?2)";

struct Named {
  std::int64_t id;
  TierKey key;
};
// The entries behind id `after`, in their order.
std::vector<Named> NextEntries(Database* index, std::int64_t after,
                               const StoreSelection& selection) {
  Statement query(index, ("SELECT id, key FROM entries WHERE " + std::string(kSelected) +
                          " AND id > ?3 ORDER BY id LIMIT ?4")
                             .c_str());
  BindSelection(&query, 1, selection);
  query.Bind(3, after).Bind(4, kBatch);
  std::vector<Named> entries;
  while (query.Step()) {
    Named entry{query.Integer(0), {}};
    if (query.Bytes(1) == entry.key.size()) {
      const auto* const key = static_cast<const unsigned char*>(query.Blob(1));
      std::copy(key, key + entry.key.size(), entry.key.begin());
    }
    entries.push_back(entry);
  }
  return entries;
}

// Calls visit(entry, record) for all entries that can be read; the record is false for what is
// there and is no sound record.
template <typename Visit>
void ForEachRecord(OpenStore* store, const Visit& visit) {
  std::int64_t after = 0;
  for (;;) {
    const std::vector<Named> entries = NextEntries(store->index(), after, {});
    if (entries.empty()) return;
    for (const Named& entry : entries) {
      after = entry.id;
      DiskReader::Found found = store->reader().Find(entry.key, UnixNow());
      if (found.id == 0 || found.expired) continue;  // gone since, or about to go
      const char* problem = nullptr;
      Record record = Record::Open(std::move(found.bytes), entry.key, store->secret(), &problem);
      visit(entry, std::move(record));
    }
  }
}

}  // namespace

std::string DescribeStore(const std::string& folder) {
  OpenStore store(folder);
  std::string out;
  {
    JsonObject object(&out);
    object.Text("path", folder);
    Statement sums(store.index(), "SELECT budget, entries, bytes, file_bytes, evicted FROM store");
    if (sums.Step()) {
      object.Number("budget_bytes", Count(sums, 0));
      object.Number("entries", Count(sums, 1));
      object.Number("bytes", Count(sums, 2));
      object.Number("file_bytes", Count(sums, 3));
      object.Number("evicted", Count(sums, 4));
    }
    Statement regions(store.index(),
                      "SELECT region, namespace, count(*), sum(bytes), sum(in_file), min(made),"
                      " max(made) FROM entries WHERE state = 0 GROUP BY region, namespace"
                      " ORDER BY sum(bytes) DESC");
    std::string* const list = object.Member("regions");
    *list += '[';
    for (bool first = true; regions.Step(); first = false) {
      if (!first) *list += ", ";
      JsonObject region(list);
      region.Text("region", regions.Text(0));
      region.Text("namespace", regions.Text(1));
      region.Number("entries", Count(regions, 2));
      region.Number("bytes", Count(regions, 3));
      region.Number("in_files", Count(regions, 4));
      region.Number("oldest", Count(regions, 5));
      region.Number("newest", Count(regions, 6));
    }
    *list += ']';
  }
  return out;
}

std::string ListStore(const std::string& folder, const StoreSelection& selection,
                      std::uint64_t limit) {
  OpenStore store(folder);
  Statement rows(store.index(),
                 ("SELECT key, region, namespace, bytes, in_file, made, used, expires, uses"
                  " FROM entries WHERE " +
                  std::string(kSelected) + " AND state = 0 ORDER BY worth DESC LIMIT ?3")
                     .c_str());
  BindSelection(&rows, 1, selection);
  rows.Bind(3, static_cast<std::int64_t>(std::min<std::uint64_t>(limit, 1 << 30)));
  std::string out = "[";
  while (rows.Step()) {
    if (out.size() > 1) out += ", ";
    JsonObject entry(&out);
    entry.Text("key", HexOf(rows.Blob(0), rows.Bytes(0)));
    entry.Text("region", rows.Text(1));
    entry.Text("namespace", rows.Text(2));
    entry.Number("bytes", Count(rows, 3));
    entry.Flag("in_file", rows.Integer(4) != 0);
    entry.Number("made", Count(rows, 5));
    entry.Number("used", Count(rows, 6));
    entry.Number("expires", Count(rows, 7) / 1'000'000'000);
    entry.Number("uses", Count(rows, 8));
  }
  return out + "]";
}

std::string VerifyStore(const std::string& folder, bool repair) {
  OpenStore store(folder);
  std::uint64_t entries = 0;
  std::vector<std::int64_t> damaged;
  ForEachRecord(&store, [&](const Named& entry, Record record) {
    ++entries;
    if (!record) damaged.push_back(entry.id);
  });
  if (repair && !damaged.empty()) DiskWriter(folder, store.files()).RemoveIds(damaged);
  std::string out;
  {
    JsonObject object(&out);
    object.Number("entries", entries);
    object.Number("damaged", damaged.size());
    object.Number("removed", repair ? damaged.size() : 0);
  }
  return out;
}

namespace {

std::uint64_t RemoveEntries(const std::string& folder, const StoreSelection& selection) {
  OpenStore store(folder);
  DiskWriter writer(folder, store.files());
  std::uint64_t removed = 0;
  std::int64_t after = 0;
  for (;;) {
    std::vector<std::int64_t> ids;
    for (const Named& entry : NextEntries(store.index(), after, selection)) {
      ids.push_back(entry.id);
    }
    if (ids.empty()) break;
    after = ids.back();
    writer.RemoveIds(ids);
    removed += ids.size();
  }
  writer.Maintain();
  return removed;
}

}  // namespace

std::string PurgeStore(const std::string& folder, const StoreSelection& selection) {
  std::uint64_t removed = 0;
  bool damaged = false;
  try {
    removed = RemoveEntries(folder, selection);
  } catch (const DatabaseError& error) {
    if (!error.damaged()) throw;
    if (!selection.all()) {
      throw DatabaseError(error.code, std::string(error.what()) +
                                          "; without a region and a namespace, purge empties it");
    }
    damaged = true;
    removed = ClearStore(folder);
  }
  std::string out;
  {
    JsonObject object(&out);
    object.Number("removed", removed);
    object.Flag("damaged_index", damaged);
  }
  return out;
}

namespace {

// What an entry follows, if that is in `target`: else the copy would have no use for it.
class Predecessors {
 public:
  Predecessors(Database* source, Database* target)
      : known_(source->Number("SELECT count(*) FROM pragma_table_info('entries')"
                              " WHERE name = 'follows'") != 0),
        follows_(source, known_ ? "SELECT follows FROM entries WHERE id = ?"
                                : "SELECT NULL FROM entries WHERE id = ?"),
        there_(target, "SELECT 1 FROM entries WHERE key = ? AND state <> 2") {}

  std::optional<TierKey> Of(std::int64_t id) {
    const StatementUse entry(&follows_);
    entry->Bind(1, id);
    TierKey key;
    if (!entry->Step() || entry->Bytes(0) != key.size()) return std::nullopt;
    std::memcpy(key.data(), entry->Blob(0), key.size());
    const StatementUse before(&there_);
    before->Bind(1, key.data(), key.size());
    return before->Step() ? std::optional(key) : std::nullopt;
  }

 private:
  const bool known_;
  Statement follows_;
  Statement there_;
};

}  // namespace

std::string CopyStore(const std::string& from, const std::string& to, std::uint64_t budget_bytes) {
  OpenStore source(from);
  if (PrepareDirectory(to, &source.secret()) != source.secret()) {
    throw DirectoryError(to + " is a store with a secret of its own: what " + from +
                         " holds would never be found in it; name a new folder");
  }
  const ValueFiles files(to);
  DiskWriter writer(to, files);
  writer.SetBudget(budget_bytes);
  DiskWriter::PutResult sum;
  std::uint64_t asked = 0;
  std::uint64_t damaged = 0;
  OpenStore target(to);
  Predecessors predecessors(source.index(), target.index());
  ForEachRecord(&source, [&](const Named& entry, Record record) {
    if (!record) {
      ++damaged;
      return;
    }
    ++asked;
    record.Follow(predecessors.Of(entry.id));
    const DiskWriter::PutResult result = writer.Put(&record, 1);
    sum.stored += result.stored;
    sum.refused += result.refused;
  });
  std::string out;
  {
    JsonObject object(&out);
    object.Number("copied", sum.stored);
    object.Number("present", asked - sum.stored - sum.refused);
    object.Number("damaged", damaged);
    object.Number("refused", sum.refused);
  }
  return out;
}

}  // namespace actcache
