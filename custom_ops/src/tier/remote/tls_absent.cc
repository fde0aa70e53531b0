// Builds without OpenSSL.
#include <valkey/valkey.h>

#include "tier/remote/tls.h"

namespace actcache {

bool TlsBuilt() noexcept { return false; }

bool StartTls(valkeyContext*, const TlsFiles&, const std::string&, std::uint64_t, std::string*) {
  return false;
}

void FreeConnection(valkeyContext* connection) noexcept { valkeyFree(connection); }

void LockTlsForFork() noexcept {}
void UnlockTlsAfterFork() noexcept {}

}  // namespace actcache
