// SQLite, as the disk tier uses it: connections and prepared statements with owners.
#ifndef ACTCACHE_TIER_DISK_DATABASE_H_
#define ACTCACHE_TIER_DISK_DATABASE_H_

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

namespace actcache {

// What SQLite refused; the message says what was wanted and why not.
class DatabaseError : public std::runtime_error {
 public:
  DatabaseError(int code_in, const std::string& message)
      : std::runtime_error(message), code(code_in) {}
  // Somebody else holds the lock, or was faster: nothing is broken.
  bool busy() const noexcept;
  // The file is not a sound database.
  bool damaged() const noexcept;
  bool read_only() const noexcept;

  const int code;  // SQLite's, the extended one
};

// While it lives, this thread waits for no lock of any database beyond `deadline_ns` (SteadyNow()).
// What is locked then fails as busy.
class WaitLimit {
 public:
  explicit WaitLimit(std::uint64_t deadline_ns) noexcept;
  ~WaitLimit();
  WaitLimit(const WaitLimit&) = delete;
  WaitLimit& operator=(const WaitLimit&) = delete;

 private:
  const std::uint64_t before_ns_;
};

// One connection. Used by one thread at a time. All methods throw DatabaseError.
class Database {
 public:
  enum class Access { kCreate, kWrite, kRead, kReadImmutable };
  Database(const std::string& path, Access access, int busy_timeout_ms);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs statements that return nothing of interest.
  void Execute(const char* sql);
  // The first column of the only row.
  std::int64_t Number(const char* sql);
  std::int64_t last_id() const noexcept;
  // Rows that the last statement changed.
  std::int64_t changed() const noexcept;

  // Moves what it can of the log into the database; with `truncate` gives the log's room back.
  // False if somebody is in the way.
  bool Checkpoint(bool truncate) noexcept;

  // Ends what a process began that was killed while it started the log over: false if there was
  // nothing to do. REQUIRES: a transaction for writing, which has to begin anew if there was.
  bool FinishLogRestart() noexcept;

  sqlite3* handle() const noexcept { return handle_; }

 private:
  friend class Statement;
  [[noreturn]] void Fail(int code, const char* what) const;
  sqlite3* handle_ = nullptr;
};

// A prepared statement. REQUIRES: gone before its database.
class Statement {
 public:
  Statement(Database* database, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Parameters, from 1. What a blob points at lives until Reset().
  Statement& Bind(int parameter, std::int64_t value);
  Statement& Bind(int parameter, double value);
  Statement& Bind(int parameter, const void* blob, std::size_t size);
  Statement& BindText(int parameter, const char* text, std::size_t size);

  // Whether there is a (next) row.
  bool Step();
  // Runs a statement without rows, and resets it.
  void Run();
  // Ends the statement, so that it holds no lock. Also done by the destructor.
  void Reset() noexcept;

  // Columns of the row, from 0. Pointers live until the next Step() or Reset().
  std::int64_t Integer(int column) const noexcept;
  double Real(int column) const noexcept;
  const void* Blob(int column) const noexcept;
  std::size_t Bytes(int column) const noexcept;
  std::string Text(int column) const;

 private:
  Database& database_;
  sqlite3_stmt* statement_ = nullptr;
};

// Resets a statement at the end of a scope.
class StatementUse {
 public:
  explicit StatementUse(Statement* statement) : statement_(*statement) {}
  ~StatementUse() { statement_.Reset(); }
  StatementUse(const StatementUse&) = delete;
  StatementUse& operator=(const StatementUse&) = delete;
  Statement* operator->() const noexcept { return &statement_; }

 private:
  Statement& statement_;
};

// A transaction that is rolled back unless it is committed.
class Transaction {
 public:
  enum class Kind { kRead, kWrite };
  Transaction(Database* database, Kind kind);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void Commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_DATABASE_H_
