// What happens, as plain bytes in a RecordBuffer until the writer makes lines of it (docs/audit.md
// says what each of these is called there). Times are SteadyNow() nanoseconds.
#ifndef ACTCACHE_AUDIT_RECORDS_H_
#define ACTCACHE_AUDIT_RECORDS_H_

#include <cstddef>
#include <cstdint>

namespace actcache {

enum class RecordKind : std::uint8_t { kLookup, kStore, kEviction, kControl, kPolicy, kCopy };

inline constexpr std::uint32_t kNoNamespace = 0xffffffff;
inline constexpr std::uint32_t kNoAge = 0xffffffff;

// A row whose entry a tier had, whatever became of the row.
struct FetchedRow {
  std::uint64_t cost_ns;  // what computing it took
  std::uint32_t row;
  std::uint32_t tier;     // its number
  std::uint32_t age_ms;   // of the entry
  std::uint32_t ttl_ms;   // until the entry expires; kNoAge: never
  std::uint32_t trusted;  // 0: another session made it, and nobody has compared the two yet
  std::uint32_t unused = 0;
};

// Followed, unless the call passed, by `rows` key prefixes (8 bytes each), ages in milliseconds or
// kNoAge (4 bytes each), and outcomes (a letter each); then by `fetched` times FetchedRow.
struct LookupRecord {
  static constexpr RecordKind kKind = RecordKind::kLookup;

  std::uint64_t now_ns;  // the store was asked at
  std::uint64_t call;
  std::uint64_t rows;
  std::uint64_t bytes;
  std::uint64_t hash_ns;
  std::uint64_t lookup_ns;
  std::uint64_t wait_ns;
  std::uint64_t copy_ns;
  std::uint64_t saved_ns;
  std::uint32_t region;
  std::uint32_t name_space;  // or kNoNamespace
  std::uint32_t fetched;
  std::uint32_t length;  // of prefixes, rows of each row of the batch; else 0
  bool ends;             // of prefixes: a call goes on where an earlier one ended
  bool passed;

  static std::size_t Bytes(std::uint64_t rows, std::uint64_t fetched, bool passed) {
    return sizeof(LookupRecord) + (passed ? 0 : rows * (8 + 4 + 1) + fetched * sizeof(FetchedRow));
  }
};

// Followed by `rows` outcomes (a letter each).
struct StoreRecord {
  static constexpr RecordKind kKind = RecordKind::kStore;

  std::uint64_t now_ns;  // the store was asked at
  std::uint64_t call;
  std::uint64_t rows;
  std::uint64_t stored_bytes;
  std::uint64_t compute_ns;
  std::uint64_t copy_ns;
  std::uint64_t saved_ns;
  std::uint64_t cost_ns;   // per row
  std::uint64_t fetch_ns;  // per row
  std::uint32_t region;
};

// What a lookup had handed over was copied.
struct CopyRecord {
  static constexpr RecordKind kKind = RecordKind::kCopy;

  std::uint64_t now_ns;
  std::uint64_t call;
  std::uint64_t copy_ns;
  std::uint32_t region;
};

struct EvictionRecord {
  static constexpr RecordKind kKind = RecordKind::kEviction;

  std::uint64_t now_ns;
  std::uint64_t key;
  const char* reason;  // of static storage
  std::uint32_t region;
};

// Followed by `text_bytes` of a JSON object, the arguments.
struct ControlRecord {
  static constexpr RecordKind kKind = RecordKind::kControl;

  std::uint64_t now_ns;
  std::int64_t count;  // -1: none
  const char* what;    // of static storage
  std::uint64_t text_bytes;
};

struct PolicyRecord {
  static constexpr RecordKind kKind = RecordKind::kPolicy;

  std::uint64_t now_ns;
  const char* state;   // both of static storage
  const char* reason;  // or null
  std::uint32_t region;
};

}  // namespace actcache

#endif  // ACTCACHE_AUDIT_RECORDS_H_
