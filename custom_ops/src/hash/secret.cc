#include "hash/secret.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>

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

const Secret& ProcessSecret() noexcept { return Draw().secret; }

}  // namespace actcache
