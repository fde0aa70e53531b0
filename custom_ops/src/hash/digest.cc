#include "hash/digest.h"

#include <cstdint>

extern "C" {
#include "blake3.h"
}

namespace actcache {
namespace {

static_assert(sizeof(Digest) == BLAKE3_OUT_LEN && sizeof(DigestKey) == BLAKE3_KEY_LEN, "BLAKE3's");

void AddFramed(blake3_hasher* hasher, std::string_view part) noexcept {
  unsigned char size[8];
  for (int i = 0; i < 8; ++i) {
    size[i] = static_cast<unsigned char>(std::uint64_t{part.size()} >> (8 * i));
  }
  blake3_hasher_update(hasher, size, sizeof(size));
  blake3_hasher_update(hasher, part.data(), part.size());
}

Digest Finish(const blake3_hasher& hasher) noexcept {
  Digest digest;
  blake3_hasher_finalize(&hasher, digest.data(), digest.size());
  return digest;
}

}  // namespace

Digest DigestOf(std::initializer_list<std::string_view> parts) noexcept {
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  for (const std::string_view part : parts) AddFramed(&hasher, part);
  return Finish(hasher);
}

Digest KeyedDigest(const DigestKey& key, const void* data, std::size_t size) noexcept {
  blake3_hasher hasher;
  blake3_hasher_init_keyed(&hasher, key.data());
  blake3_hasher_update(&hasher, data, size);
  return Finish(hasher);
}

DigestKey DeriveKey(const DigestKey& secret, std::string_view context) noexcept {
  blake3_hasher hasher;
  blake3_hasher_init_keyed(&hasher, secret.data());
  AddFramed(&hasher, context);
  return Finish(hasher);
}

}  // namespace actcache
