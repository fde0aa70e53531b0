#include "tier/disk/reader.h"

#include <sys/stat.h>

#include "tier/disk/schema.h"

namespace actcache {
namespace {

// Then it is a miss: a thread that computes waits for no one.
constexpr int kReaderBusyTimeoutMs = 2;

// A store that may not be written to needs its log's index; where that cannot be made, and there is
// no log, the file alone says everything.
std::unique_ptr<Database> OpenToRead(const std::string& folder, bool read_only) {
  if (!read_only) return OpenIndex(folder, Database::Access::kWrite, kReaderBusyTimeoutMs);
  try {
    return OpenIndex(folder, Database::Access::kRead, kReaderBusyTimeoutMs);
  } catch (const DatabaseError& error) {
    struct stat log{};
    const bool no_log = stat((IndexPath(folder) + "-wal").c_str(), &log) != 0 || log.st_size == 0;
    if (!error.read_only() || !no_log) throw;
  }
  return OpenIndex(folder, Database::Access::kReadImmutable, kReaderBusyTimeoutMs);
}

}  // namespace

DiskReader::DiskReader(const std::string& folder, const ValueFiles& files, bool read_only)
    : files_(files),
      index_(OpenToRead(folder, read_only)),
      find_(index_.get(),
            "SELECT id, bytes, in_file, expires,"
            " (SELECT record FROM records WHERE records.id = entries.id)"
            " FROM entries WHERE key = ? AND state = 0"),
      totals_(index_.get(), "SELECT budget, entries, bytes, evicted FROM store") {}

DiskReader::Found DiskReader::Find(const TierKey& key, std::uint64_t unix_ns) {
  const StatementUse find(&find_);
  find->Bind(1, key.data(), key.size());
  Found found;
  if (!find->Step()) return found;
  found.id = find->Integer(0);
  const auto expires = static_cast<std::uint64_t>(find->Integer(3));
  found.expired = expires != 0 && unix_ns >= expires;
  if (found.expired) return found;
  const auto bytes = static_cast<std::size_t>(find->Integer(1));
  if (find->Integer(2) != 0) {
    found.bytes = files_.Read(static_cast<std::uint64_t>(found.id), bytes);
  } else if (find->Bytes(4) == bytes) {
    found.bytes = Buffer::Copy(find->Blob(4), bytes);
  }
  return found;
}

DiskReader::Totals DiskReader::totals() {
  const StatementUse use(&totals_);
  if (!use->Step()) return {};
  const auto number = [&](int column) { return static_cast<std::uint64_t>(use->Integer(column)); };
  return {number(0), number(1), number(2), number(3)};
}

}  // namespace actcache
