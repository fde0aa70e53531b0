// What people do with a disk store from outside of the services that use it, while they use it.
#ifndef ACTCACHE_TIER_DISK_STORE_TOOLS_H_
#define ACTCACHE_TIER_DISK_STORE_TOOLS_H_

#include <cstdint>
#include <string>

namespace actcache {

// Which entries; an empty text: of any.
struct StoreSelection {
  std::string region;
  std::string name_space;

  bool all() const noexcept { return region.empty() && name_space.empty(); }
};

// All take the folder of a store that is there, and throw DirectoryError or DatabaseError with a
// sentence for the user. What they answer is JSON.

// {"path", "budget_bytes", "entries", "bytes", "file_bytes", "evicted", "regions": [{"region",
// "namespace", "entries", "bytes", "in_files", "oldest", "newest" (seconds since 1970)}]}
std::string DescribeStore(const std::string& folder);

// A list of at most `limit` entries, the most worthy first: {"key" (64 hexadecimal digits),
// "region", "namespace", "bytes", "in_file", "made", "used", "expires" (0: never), "uses"}.
std::string ListStore(const std::string& folder, const StoreSelection& selection,
                      std::uint64_t limit);

// Reads every entry and checks it; removes those that are damaged if `repair`. {"entries",
// "damaged", "removed"}.
std::string VerifyStore(const std::string& folder, bool repair);

// Removes entries; with an empty selection all, also of a store whose index is damaged or of
// another version ("damaged_index"; then `removed` counts files of values). {"removed",
// "damaged_index"}.
std::string PurgeStore(const std::string& folder, const StoreSelection& selection);

// Copies the entries of one store into another, which is made with the secret of the first if it
// is not there, and has to have the same secret if it is. {"copied", "present", "damaged",
// "refused"}. `budget_bytes`: of the target; 0: what it has, else the default.
std::string CopyStore(const std::string& from, const std::string& to, std::uint64_t budget_bytes);

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_STORE_TOOLS_H_
