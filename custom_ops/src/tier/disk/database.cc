#include "tier/disk/database.h"

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "base/clock.h"

namespace actcache {
namespace {

int Flags(Database::Access access) noexcept {
  constexpr int kAlways = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
  switch (access) {
    case Database::Access::kCreate:
      return kAlways | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    case Database::Access::kWrite:
      return kAlways | SQLITE_OPEN_READWRITE;
    case Database::Access::kRead:
    case Database::Access::kReadImmutable:
      break;
  }
  return kAlways | SQLITE_OPEN_READONLY;
}

// A URI, as only that can say that nobody changes the file.
std::string Uri(const std::string& path, Database::Access access) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      constexpr char kHex[] = "0123456789abcdef";
      uri += {'%', kHex[static_cast<unsigned char>(c) >> 4], kHex[c & 15]};
    } else {
      uri += c;
    }
  }
  return access == Database::Access::kReadImmutable ? uri + "?immutable=1" : uri;
}

// Whether the disk gave an error for this file of the database, or for its log.
bool DiskFailed(sqlite3* handle, int file_of) noexcept {
  sqlite3_file* file = nullptr;
  int error = 0;
  return sqlite3_file_control(handle, "main", file_of, static_cast<void*>(&file)) == SQLITE_OK &&
         file != nullptr && file->pMethods != nullptr &&
         file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error) == SQLITE_OK &&
         (error == EIO || error == ENXIO || error == ERANGE);
}

// A connection that finds the log's index locked or half-written tries again a hundred times, and
// SQLite sleeps longer each time: ten seconds in all. Whoever is in the way may be stopped or hang,
// so each sleep is cut to this, and what is wanted fails as busy.
constexpr int kLongestSleepUs = 20;

// WaitLimit's. A sleep takes longer than it should on a busy machine, and a hundred of them add up.
thread_local std::uint64_t wait_until_ns = ~std::uint64_t{0};

bool MayWait() noexcept {
  return wait_until_ns == ~std::uint64_t{0} || SteadyNow() < wait_until_ns;
}

// The system's files with shorter sleeps; null if there is no memory.
const char* FilesWithShortSleeps() noexcept {
  static const bool made = [] {
    const sqlite3_vfs* const usual = sqlite3_vfs_find(nullptr);
    if (usual == nullptr) return false;
    static sqlite3_vfs files = *usual;
    files.zName = "actcache";
    files.pNext = nullptr;
    files.xSleep = [](sqlite3_vfs*, int microseconds) {
      if (MayWait()) usleep(static_cast<useconds_t>(std::min(microseconds, kLongestSleepUs)));
      return microseconds;
    };
    return sqlite3_vfs_register(&files, /*makeDflt=*/0) == SQLITE_OK;
  }();
  return made ? "actcache" : nullptr;
}

// While another connection holds what is wanted. SQLite's own handler would take the short sleeps.
int WaitOneMillisecond(void* most, int times) noexcept {
  if (times >= static_cast<int>(reinterpret_cast<std::intptr_t>(most)) || !MayWait()) return 0;
  usleep(1000);
  return 1;
}

}  // namespace

WaitLimit::WaitLimit(std::uint64_t deadline_ns) noexcept : before_ns_(wait_until_ns) {
  wait_until_ns = deadline_ns;
}

WaitLimit::~WaitLimit() { wait_until_ns = before_ns_; }

bool DatabaseError::busy() const noexcept {
  const int primary = code & 0xff;
  return primary == SQLITE_BUSY || primary == SQLITE_LOCKED || primary == SQLITE_PROTOCOL;
}

bool DatabaseError::damaged() const noexcept {
  const int primary = code & 0xff;
  return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB || primary == SQLITE_SCHEMA ||
         primary == SQLITE_ERROR;
}

bool DatabaseError::read_only() const noexcept {
  const int primary = code & 0xff;
  return primary == SQLITE_READONLY || primary == SQLITE_CANTOPEN || primary == SQLITE_PERM;
}

Database::Database(const std::string& path, Access access, int busy_timeout_ms) {
  const int code =
      sqlite3_open_v2(Uri(path, access).c_str(), &handle_, Flags(access), FilesWithShortSleeps());
  if (code != SQLITE_OK) {
    const int extended = handle_ != nullptr ? sqlite3_extended_errcode(handle_) : code;
    const std::string reason = handle_ != nullptr ? sqlite3_errmsg(handle_) : "out of memory";
    sqlite3_close(handle_);
    throw DatabaseError(extended, path + " cannot be opened: " + reason);
  }
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_handler(handle_, WaitOneMillisecond,
                       reinterpret_cast<void*>(static_cast<std::intptr_t>(busy_timeout_ms)));
  // The last one to close would otherwise write all of the log back, and take long for it.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_wal_autocheckpoint(handle_, 0);
}

Database::~Database() { sqlite3_close(handle_); }

void Database::Fail(int code, const char* what) const {
  const int extended = sqlite3_extended_errcode(handle_);
  const std::string message = std::string(what) + ": " + sqlite3_errmsg(handle_);
  // SQLite takes a read that the disk refuses for damage. The next one may be fine.
  if ((code & 0xff) == SQLITE_CORRUPT && (DiskFailed(handle_, SQLITE_FCNTL_FILE_POINTER) ||
                                          DiskFailed(handle_, SQLITE_FCNTL_JOURNAL_POINTER))) {
    throw DatabaseError(SQLITE_IOERR, message + ", as the disk could not be read");
  }
  throw DatabaseError((extended & 0xff) == (code & 0xff) ? extended : code, message);
}

void Database::Execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) Fail(code, sql);
}

std::int64_t Database::Number(const char* sql) {
  Statement statement(this, sql);
  return statement.Step() ? statement.Integer(0) : 0;
}

std::int64_t Database::last_id() const noexcept { return sqlite3_last_insert_rowid(handle_); }

std::int64_t Database::changed() const noexcept { return sqlite3_changes64(handle_); }

bool Database::Checkpoint(bool truncate) noexcept {
  const int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
  return sqlite3_wal_checkpoint_v2(handle_, nullptr, mode, nullptr, nullptr) == SQLITE_OK;
}

// SQLite's walRestartHdr() first says that the log has no frames (mxFrame), and then that none of
// them is in the database (nBackfill). Whoever is killed in between leaves an index of the log in
// which frames that are still to come are in the database already: nobody would see them, and they
// would never get there. While another process keeps that memory, nothing else sets it right.
// For the places see https://sqlite.org/walformat.html, 2.1 and 2.2.
bool Database::FinishLogRestart() noexcept {
  constexpr int kIndexBytes = 32768;
  constexpr std::size_t kFrames = 16 / sizeof(std::uint32_t);
  constexpr std::size_t kInDatabase = 96 / sizeof(std::uint32_t);
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(handle_, "main", SQLITE_FCNTL_FILE_POINTER, static_cast<void*>(&file)) !=
          SQLITE_OK ||
      file == nullptr || file->pMethods == nullptr || file->pMethods->iVersion < 2) {
    return false;
  }
  void volatile* memory = nullptr;
  if (file->pMethods->xShmMap(file, 0, kIndexBytes, /*extend=*/0, &memory) != SQLITE_OK ||
      memory == nullptr) {
    return false;
  }
  auto* const words = static_cast<std::uint32_t volatile*>(memory);
  // Another connection may be writing frames into the database, and count them here.
  if (__atomic_load_n(&words[kInDatabase], __ATOMIC_RELAXED) <= words[kFrames]) return false;
  __atomic_store_n(&words[kInDatabase], 0, __ATOMIC_RELAXED);
  return true;
}

Statement::Statement(Database* database, const char* sql) : database_(*database) {
  const int code = sqlite3_prepare_v3(database_.handle_, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                      &statement_, nullptr);
  if (code != SQLITE_OK) database_.Fail(code, sql);
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::Bind(int parameter, std::int64_t value) {
  const int code = sqlite3_bind_int64(statement_, parameter, value);
  if (code != SQLITE_OK) database_.Fail(code, "bind");
  return *this;
}

Statement& Statement::Bind(int parameter, double value) {
  const int code = sqlite3_bind_double(statement_, parameter, value);
  if (code != SQLITE_OK) database_.Fail(code, "bind");
  return *this;
}

Statement& Statement::Bind(int parameter, const void* blob, std::size_t size) {
  const int code = sqlite3_bind_blob64(statement_, parameter, blob, size, SQLITE_STATIC);
  if (code != SQLITE_OK) database_.Fail(code, "bind");
  return *this;
}

Statement& Statement::BindText(int parameter, const char* text, std::size_t size) {
  const int code =
      sqlite3_bind_text64(statement_, parameter, text, size, SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK) database_.Fail(code, "bind");
  return *this;
}

bool Statement::Step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  try {
    database_.Fail(code, sqlite3_sql(statement_));
  } catch (...) {
    Reset();
    throw;
  }
}

void Statement::Run() {
  while (Step()) {
  }
  Reset();
}

void Statement::Reset() noexcept {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

std::int64_t Statement::Integer(int column) const noexcept {
  return sqlite3_column_int64(statement_, column);
}

double Statement::Real(int column) const noexcept {
  return sqlite3_column_double(statement_, column);
}

const void* Statement::Blob(int column) const noexcept {
  return sqlite3_column_blob(statement_, column);
}

std::size_t Statement::Bytes(int column) const noexcept {
  return static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
}

std::string Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text == nullptr ? std::string() : std::string(text, Bytes(column));
}

Transaction::Transaction(Database* database, Kind kind) : database_(*database) {
  database_.Execute(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN");
  if (kind == Kind::kWrite && database_.FinishLogRestart()) {
    database_.Execute("ROLLBACK");  // it has begun with the wrong number
    database_.Execute("BEGIN IMMEDIATE");
  }
}

Transaction::~Transaction() {
  // Some faults have rolled it back already.
  if (open_ && sqlite3_get_autocommit(database_.handle()) == 0) {
    sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void Transaction::Commit() {
  database_.Execute("COMMIT");
  open_ = false;
}

}  // namespace actcache
