// What the audit log is told to do.
#ifndef ACTCACHE_AUDIT_SETTINGS_H_
#define ACTCACHE_AUDIT_SETTINGS_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace actcache {

// The values of the knobs audit_...
struct AuditSettings {
  std::string path;                                    // "": nothing is recorded
  std::uint64_t max_bytes = std::uint64_t{256} << 20;  // a file that has as many is rotated
  std::uint32_t files = 4;                             // rotated ones that are kept
  std::size_t buffer_bytes = std::size_t{8} << 20;     // for events that are not written yet

  friend bool operator==(const AuditSettings& a, const AuditSettings& b) {
    return a.path == b.path && a.max_bytes == b.max_bytes && a.files == b.files &&
           a.buffer_bytes == b.buffer_bytes;
  }
};

}  // namespace actcache

#endif  // ACTCACHE_AUDIT_SETTINGS_H_
