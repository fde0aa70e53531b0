#include "tier/disk/schema.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "tier/disk/limits.h"

namespace actcache {
namespace {

// "actc": this is no other program's database.
constexpr std::int64_t kApplication = 0x61637463;

constexpr const char* kTables =
    "CREATE TABLE store(id INTEGER PRIMARY KEY CHECK(id = 1), budget INTEGER NOT NULL,"
    "  file_bytes INTEGER NOT NULL, entries INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    "  age REAL NOT NULL, evicted INTEGER NOT NULL);"
    "CREATE TABLE entries(id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE,"
    "  state INTEGER NOT NULL, in_file INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    "  worth REAL NOT NULL, gain REAL NOT NULL, uses INTEGER NOT NULL, made INTEGER NOT NULL,"
    "  used INTEGER NOT NULL, expires INTEGER NOT NULL, region TEXT NOT NULL,"
    "  namespace TEXT NOT NULL, follows BLOB);"
    "CREATE TABLE records(id INTEGER PRIMARY KEY, record BLOB NOT NULL);"
    "CREATE INDEX by_worth ON entries(worth) WHERE state = 0;"
    "CREATE INDEX unsettled ON entries(state) WHERE state <> 0;"
    "CREATE INDEX by_expiry ON entries(expires) WHERE expires > 0;"
    "INSERT INTO store VALUES(1, 0, 0, 0, 0, 0.0, 0);";

// SQLite would make it readable for all whom the umask lets; the log takes its mode over.
void MakeFile(const std::string& path) noexcept {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  // REQUIRES: no connection of this process has the file open: closing it would drop their locks.
  if (file >= 0) close(file);
}

// What stores of earlier versions lack. Those versions go on with a store that has it.
void AddColumns(Database* index) {
  const auto has_follows = [&] {
    return index->Number(
               "SELECT count(*) FROM pragma_table_info('entries')"
               " WHERE name = 'follows'") != 0;
  };
  if (has_follows()) return;
  Transaction transaction(index, Transaction::Kind::kWrite);
  if (has_follows()) return;  // another process was faster
  index->Execute("ALTER TABLE entries ADD COLUMN follows BLOB");
  transaction.Commit();
}

void MakeTables(Database* index) {
  // Before the first table is there. The log is part of the file's header, so it is kept.
  index->Execute(("PRAGMA page_size = " + std::to_string(kPageBytes)).c_str());
  index->Execute("PRAGMA auto_vacuum = INCREMENTAL");
  index->Execute("PRAGMA journal_mode = WAL");
  Transaction transaction(index, Transaction::Kind::kWrite);
  if (index->Number("PRAGMA user_version") == 0) {
    index->Execute(kTables);
    index->Execute(("PRAGMA application_id = " + std::to_string(kApplication)).c_str());
    index->Execute(("PRAGMA user_version = " + std::to_string(kStoreFormat)).c_str());
  }
  transaction.Commit();
}

}  // namespace

std::unique_ptr<Database> OpenIndex(const std::string& folder, Database::Access access,
                                    int busy_timeout_ms) {
  const std::string path = IndexPath(folder);
  if (access == Database::Access::kCreate && ::access(path.c_str(), F_OK) != 0) MakeFile(path);
  auto index = std::make_unique<Database>(path, access, busy_timeout_ms);
  index->Execute("PRAGMA cache_size = -512");
  index->Execute("PRAGMA cell_size_check = ON");
  std::int64_t format = index->Number("PRAGMA user_version");
  if (format == 0 && access == Database::Access::kCreate) {
    if (index->Number("SELECT count(*) FROM sqlite_schema") != 0) {
      throw DatabaseError(SQLITE_NOTADB, path + " is another program's database");
    }
    MakeTables(index.get());
    format = index->Number("PRAGMA user_version");
  }
  if (format != kStoreFormat || index->Number("PRAGMA application_id") != kApplication) {
    throw DatabaseError(SQLITE_NOTADB, path + " has another format (" + std::to_string(format) +
                                           ") than this version of actcache reads (" +
                                           std::to_string(kStoreFormat) + "); name another folder");
  }
  if (access == Database::Access::kCreate) AddColumns(index.get());
  return index;
}

}  // namespace actcache
