// Which entries an operation on many is about.
#ifndef ACTCACHE_STORE_SELECTION_H_
#define ACTCACHE_STORE_SELECTION_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace actcache {

// Entries that meet all of it. The default is every entry.
struct Selection {
  std::optional<std::uint32_t> name_space;
  std::vector<std::uint32_t> regions;       // of any of these; empty: of all
  std::optional<std::uint64_t> min_age_ns;  // at least as old, or up to two ticks younger
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_SELECTION_H_
