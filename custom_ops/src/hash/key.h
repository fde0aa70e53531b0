// The name of a cache entry: a keyed hash over everything the result depends on. Inside of the
// process 128 bits of it are the name, outside all 256.
#ifndef ACTCACHE_HASH_KEY_H_
#define ACTCACHE_HASH_KEY_H_

#include <cstdint>

namespace actcache {

// Plain bytes, valid only where hashes have the same secret (secret.h). Keys are always compared in
// full.
struct Key {
  std::uint64_t words[2];

  friend bool operator==(const Key& a, const Key& b) noexcept {
    return a.words[0] == b.words[0] && a.words[1] == b.words[1];
  }
  friend bool operator!=(const Key& a, const Key& b) noexcept { return !(a == b); }
};

// The second half of a name that leaves the process. No part of the name inside of it.
struct KeyTail {
  std::uint64_t words[2];

  friend bool operator==(const KeyTail& a, const KeyTail& b) noexcept {
    return a.words[0] == b.words[0] && a.words[1] == b.words[1];
  }
};

}  // namespace actcache

#endif  // ACTCACHE_HASH_KEY_H_
