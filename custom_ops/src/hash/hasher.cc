#include "hash/hasher.h"

#include <atomic>
#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>

extern "C" {
#include "blake3.h"
}
#include "hash/secret.h"
#include "hash/xxh3_code.h"

namespace actcache {
namespace {

static_assert(Secret::kBlake3Bytes == BLAKE3_KEY_LEN, "BLAKE3 takes the secret as its key");
static_assert(Secret::kXxh3Bytes >= 136, "XXH3 needs a longer secret");

blake3_hasher* Blake3(unsigned char* state) noexcept {
  return std::launder(reinterpret_cast<blake3_hasher*>(state));
}
const blake3_hasher* Blake3(const unsigned char* state) noexcept {
  return std::launder(reinterpret_cast<const blake3_hasher*>(state));
}

// XXH3's code for this processor: AVX2's takes 0.5 to 0.7 of the baseline's time (SSE2) for 256
// bytes and more; AVX-512's is no faster than that.
const Xxh3Code& ChooseXxh3Code() noexcept {
#if defined(ACTCACHE_XXH3_AVX2)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) return actcache_xxh3_avx2;
#endif
  return actcache_xxh3_baseline;
}

const Xxh3Code& Xxh3() noexcept {
  static const Xxh3Code& code = ChooseXxh3Code();
  return code;
}

// BLAKE3 picks its vector code on first use and notes it in a plain global; doing that under a
// static's lock keeps the first uses of two threads from racing.
bool ChooseBlake3Code() noexcept {
  unsigned char out[BLAKE3_OUT_LEN];
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  blake3_hasher_finalize(&hasher, out, sizeof(out));
  return true;
}

// The chaining values on the stack are as many as the input so far needs (none up to 1 KiB), out
// of room for 2^54 chunks: copying only those is a tenth of the struct.
std::size_t UsedBytes(const blake3_hasher& hasher) noexcept {
  return offsetof(blake3_hasher, cv_stack) + std::size_t{hasher.cv_stack_len} * BLAKE3_OUT_LEN;
}

void StoreLittleEndian(std::uint64_t value, unsigned char* out) noexcept {
  for (int i = 0; i < 8; ++i) out[i] = static_cast<unsigned char>(value >> (8 * i));
}

// A key that no other call gets, for the case that there is no secret.
Key UniqueKey() noexcept {
  static std::atomic<std::uint64_t> count{0};
  return Key{{~std::uint64_t{0}, count.fetch_add(1, std::memory_order_relaxed)}};
}

}  // namespace

Hasher::Hasher(HashKind kind) noexcept : kind_(kind) {
  static_assert(sizeof(blake3_hasher) <= kStateBytes && alignof(blake3_hasher) <= 64, "state_");
  static_assert(kXxh3StateBytes <= kStateBytes && kXxh3StateAlignment <= 64, "state_");
  static_assert(std::is_trivially_copyable<blake3_hasher>::value, "copied as bytes");
  const Secret& secret = ProcessSecret();
  if (kind_ == HashKind::kBlake3) {
    static const bool chosen = ChooseBlake3Code();
    static_cast<void>(chosen);
    blake3_hasher_init_keyed(new (state_) blake3_hasher, secret.blake3);
  } else {
    // The state keeps a pointer to the secret, which lives as long as the process.
    Xxh3().reset(state_, secret.xxh3, sizeof(secret.xxh3));
  }
  const auto tag = static_cast<unsigned char>(kind_);
  Raw(&tag, 1);
}

Hasher::Hasher(const Hasher& other) noexcept : kind_(other.kind_) {
  if (kind_ == HashKind::kBlake3) {
    new (state_) blake3_hasher;
    std::memcpy(state_, other.state_, UsedBytes(*Blake3(other.state_)));
  } else {
    std::memcpy(state_, other.state_, kXxh3StateBytes);
  }
}

Hasher& Hasher::operator=(const Hasher& other) noexcept {
  if (this != &other) new (this) Hasher(other);
  return *this;
}

void Hasher::Frame(const void* data, std::size_t size) noexcept {
  FrameHeader(size);
  Raw(data, size);
}

void Hasher::FrameHeader(std::uint64_t size) noexcept {
  unsigned char bytes[8];
  StoreLittleEndian(size, bytes);
  Raw(bytes, sizeof(bytes));
}

void Hasher::Raw(const void* data, std::size_t size) noexcept {
  if (size == 0) return;
  if (kind_ == HashKind::kBlake3) {
    blake3_hasher_update(Blake3(state_), data, size);
  } else {
    Xxh3().update(state_, data, size);
  }
}

Key Hasher::Finish() const noexcept {
  KeyTail tail;
  return Finish(&tail);
}

Key Hasher::Finish(KeyTail* tail) const noexcept {
  *tail = {};
  if (SecretError() != nullptr) return UniqueKey();
  Key key;
  if (kind_ == HashKind::kBlake3) {
    // Both halves come out of the same last step.
    unsigned char out[sizeof(Key) + sizeof(KeyTail)];
    blake3_hasher_finalize(Blake3(state_), out, sizeof(out));
    std::memcpy(key.words, out, sizeof(Key));
    std::memcpy(tail->words, out + sizeof(Key), sizeof(KeyTail));
  } else {
    Xxh3().finish(state_, key.words);
  }
  return key;
}

}  // namespace actcache
