// The name of a cache entry: 128 bits of a keyed hash over everything the result depends on.
#ifndef ACTCACHE_HASH_KEY_H_
#define ACTCACHE_HASH_KEY_H_

#include <cstddef>
#include <cstdint>

namespace actcache {

// Plain bytes, valid only inside the process that made it (the hash is keyed with a secret of
// that process). Keys are always compared in full.
struct Key {
  std::uint64_t words[2];

  friend bool operator==(const Key& a, const Key& b) noexcept {
    return a.words[0] == b.words[0] && a.words[1] == b.words[1];
  }
  friend bool operator!=(const Key& a, const Key& b) noexcept { return !(a == b); }
};

// For std::unordered_map. A key is uniform already; any word of it is a hash.
struct KeyHash {
  std::size_t operator()(const Key& key) const noexcept {
    return static_cast<std::size_t>(key.words[0]);
  }
};

}  // namespace actcache

#endif  // ACTCACHE_HASH_KEY_H_
