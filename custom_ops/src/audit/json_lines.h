// Makes the audit log's lines (docs/audit.md) from records.
#ifndef ACTCACHE_AUDIT_JSON_LINES_H_
#define ACTCACHE_AUDIT_JSON_LINES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "audit/line_text.h"
#include "audit/record_buffer.h"
#include "audit/records.h"
#include "region/registry.h"

namespace actcache {

inline constexpr int kAuditSchema = 1;

// What the first line of a file says of the process.
struct AuditHeader {
  const char* hash;    // of static storage
  std::string config;  // a JSON object
};

// Collects lines of one file after the other. Not thread-safe. All may throw std::bad_alloc, and
// have appended nothing then.
class JsonLines {
 public:
  // Names regions and namespaces by what `registry` says of them.
  explicit JsonLines(const Registry& registry) : registry_(registry) {}

  // The first line of a file, the `part`th since the log was started.
  void AppendStart(std::uint32_t part, const AuditHeader& header);
  // One event, after a line that describes its region if this file has none yet.
  void AppendRecord(const RecordBuffer::Record& record);
  void AppendDropped(std::uint64_t now_ns, std::uint64_t events);

  std::string_view view() const { return text_.view(); }
  std::size_t size() const { return text_.size(); }
  void clear() { text_.clear(); }

 private:
  void Append(const LookupRecord& record, const std::byte* rest);
  void Append(const StoreRecord& record, const std::byte* rest);
  void Append(const CopyRecord& record, const std::byte* rest);
  void Append(const EvictionRecord& record, const std::byte* rest);
  void Append(const ControlRecord& record, const std::byte* rest);
  void Append(const PolicyRecord& record, const std::byte* rest);
  template <typename Record>
  void AppendAs(const RecordBuffer::Record& record);

  void DescribeRegion(std::uint32_t number, std::uint64_t now_ns);
  void AppendHead(std::string_view event, std::uint64_t now_ns);
  void AppendMember(std::string_view name, std::uint64_t value);
  // `count` times FetchedRow.
  void AppendFetched(const std::byte* rows, std::size_t count);
  const std::string& NamespaceText(std::uint32_t number);

  const Registry& registry_;
  LineText text_;
  std::uint64_t epoch_ns_ = 0;           // of SteadyNow() == 0, in nanoseconds since 1970
  std::vector<bool> described_;          // regions, in this file
  std::vector<const Region*> regions_;   // by number, as far as they were needed
  std::vector<std::string> namespaces_;  // their names as JSON, as far as they were needed
};

}  // namespace actcache

#endif  // ACTCACHE_AUDIT_JSON_LINES_H_
