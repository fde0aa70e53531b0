// TLS for connections of the client.
#ifndef ACTCACHE_TIER_REMOTE_TLS_H_
#define ACTCACHE_TIER_REMOTE_TLS_H_

#include <cstddef>
#include <cstdint>
#include <string>

struct valkeyContext;

namespace actcache {

struct TlsFiles {
  std::string authorities;  // certificates of who may vouch for the server; "": the system's
  std::string certificate;  // of this client; "": none
  std::string key;          // of that certificate
};

// Whether this build has TLS: OpenSSL's static libraries were there.
bool TlsBuilt() noexcept;

// Makes TLS of a connection, and checks that the server is `host`, which is a name or an address,
// in the eyes of an authority. False and why, for the user, if that is not so by the deadline
// (SteadyNow()'s); the connection is then of no more use. REQUIRES: TlsBuilt().
bool StartTls(valkeyContext* connection, const TlsFiles& files, const std::string& host,
              std::uint64_t deadline_ns, std::string* problem);

// Frees a connection, with or without TLS.
void FreeConnection(valkeyContext* connection) noexcept;

// OpenSSL has locks that the child of a fork() would find locked for ever. They are taken only
// between StartTls() and its return, and in FreeConnection(): nobody is there between these two.
void LockTlsForFork() noexcept;
void UnlockTlsAfterFork() noexcept;

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_TLS_H_
