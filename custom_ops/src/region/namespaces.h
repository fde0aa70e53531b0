// Names of namespaces and the small numbers that stand for them in the store.
#ifndef ACTCACHE_REGION_NAMESPACES_H_
#define ACTCACHE_REGION_NAMESPACES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "store/ledger.h"

namespace actcache {

inline constexpr std::size_t kMaxNamespaceBytes = 256;

// Thread-safe. A namespace may come with every call of an operator, so a name that is known is
// found without a lock: a hash table whose chains only ever grow, at their heads.
class Namespaces {
 public:
  // How many a process can have, from its first call to its last; some 100 bytes each. Who has more
  // tenants than that has to share namespaces among them.
  static constexpr std::uint32_t kMost = kMaxNamespaces;

  Namespaces() = default;
  ~Namespaces();
  Namespaces(const Namespaces&) = delete;
  Namespaces& operator=(const Namespaces&) = delete;

  // The number of `name`, counted from 0, which is given to it if it has none. Nothing if the name
  // is longer than kMaxNamespaceBytes or there are kMost others: what is called so is not
  // cached. May throw std::bad_alloc for a new name, and changes nothing then.
  std::optional<std::uint32_t> Intern(std::string_view name);

  // The number of `name`, if it has one.
  std::optional<std::uint32_t> Find(std::string_view name) const;

  // The name with this number; "" if there is none.
  std::string Name(std::uint32_t number) const;
  // All names, each at its number.
  std::vector<std::string> Names() const { return NamesFrom(0); }
  // Those whose numbers are `first` and above.
  std::vector<std::string> NamesFrom(std::size_t first) const;

  // For host/fork.h: no name is added meanwhile.
  void LockForFork() const;
  void UnlockAfterFork() const;

 private:
  struct Node {
    const std::string name;
    const std::uint32_t number;
    const Node* const next;
  };
  using Bucket = std::atomic<const Node*>;

  static std::size_t BucketOf(std::string_view name);

  static constexpr std::size_t kBuckets = 4096;
  std::array<Bucket, kBuckets> buckets_{};
  mutable Mutex mutex_;  // held to add a name
  std::vector<const Node*> by_number_ ACTCACHE_GUARDED_BY(mutex_);
};

}  // namespace actcache

#endif  // ACTCACHE_REGION_NAMESPACES_H_
