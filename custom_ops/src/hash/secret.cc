#include "hash/secret.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace actcache {
namespace {

bool ReadGetrandom(unsigned char* out, std::size_t size) noexcept {
  while (size > 0) {
    const ssize_t got = getrandom(out, size, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    out += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

// For sandboxes whose system call filter predates getrandom.
bool ReadUrandom(unsigned char* out, std::size_t size) noexcept {
  const int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  while (size > 0) {
    const ssize_t got = read(file, out, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    out += got;
    size -= static_cast<std::size_t>(got);
  }
  close(file);
  return size == 0;
}

struct Drawn {
  Secret secret{};
  bool ok;

  Drawn() noexcept {
    auto* bytes = reinterpret_cast<unsigned char*>(&secret);
    static_assert(sizeof(Secret) == Secret::kBlake3Bytes + Secret::kXxh3Bytes, "no padding");
    ok = DrawRandomBytes(bytes, sizeof(secret));
  }
};

// Hashers that are at work keep pointers to the secrets before, so that none is ever freed.
struct Adopted {
  Secret secret;
  const Adopted* before = nullptr;
};
std::atomic<const Adopted*> adopted_secret{nullptr};
std::atomic<std::uint64_t> generation{0};

const Drawn& Draw() noexcept {
  static const Drawn drawn;
  return drawn;
}

}  // namespace

const char* SecretError() noexcept {
  if (Draw().ok) return nullptr;
  return "actcache is off: neither getrandom() nor /dev/urandom gave the random bytes that key its "
         "hash. Allow the getrandom system call, or make /dev/urandom readable, and restart.";
}

bool DrawRandomBytes(unsigned char* out, std::size_t size) noexcept {
  return ReadGetrandom(out, size) || ReadUrandom(out, size);
}

const Secret& ProcessSecret() noexcept {
  const Adopted* const shared = adopted_secret.load(std::memory_order_acquire);
  return shared != nullptr ? shared->secret : Draw().secret;
}

void AdoptSecret(const DigestKey& shared) {
  auto made = std::make_unique<Adopted>();
  Secret& secret = made->secret;
  const DigestKey blake3 = DeriveKey(shared, "actcache blake3 secret");
  std::copy(blake3.begin(), blake3.end(), secret.blake3);
  for (std::size_t at = 0; at < Secret::kXxh3Bytes; at += sizeof(DigestKey)) {
    const DigestKey part = DeriveKey(shared, "actcache xxh3 secret " + std::to_string(at));
    std::copy(part.begin(), part.end(), secret.xxh3 + at);
  }
  if (std::memcmp(&secret, &ProcessSecret(), sizeof(Secret)) == 0) return;
  made->before = adopted_secret.load(std::memory_order_relaxed);
  adopted_secret.store(made.release(), std::memory_order_release);
  generation.fetch_add(1, std::memory_order_release);
}

std::uint64_t SecretGeneration() noexcept { return generation.load(std::memory_order_acquire); }

}  // namespace actcache
