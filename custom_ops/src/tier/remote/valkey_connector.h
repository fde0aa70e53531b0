// Signs in at a Valkey or Redis server.
#ifndef ACTCACHE_TIER_REMOTE_VALKEY_CONNECTOR_H_
#define ACTCACHE_TIER_REMOTE_VALKEY_CONNECTOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "tier/remote/link.h"
#include "tier/remote/remote_url.h"
#include "tier/remote/tls.h"

namespace actcache {

class ValkeyLink;

// Where, and as whom.
struct RemoteServer {
  RemoteUrl url;
  std::string password_file;  // "": the URL's password. Read for every connection: it may change
  TlsFiles tls;               // of a URL with TLS
};

class ValkeyConnector final : public Connector {
 public:
  explicit ValkeyConnector(RemoteServer server) : server_(std::move(server)) {}

  std::unique_ptr<Link> Connect(std::uint64_t deadline_ns, std::string* problem) noexcept override;
  void LockForFork() noexcept override { LockTlsForFork(); }
  void UnlockAfterFork() noexcept override { UnlockTlsAfterFork(); }

 private:
  std::unique_ptr<Link> TryConnect(std::uint64_t deadline_ns, std::string* problem) const;
  // False and why, if the server does not let this client in, or is one that cannot be used.
  bool SignIn(ValkeyLink* link, std::uint64_t deadline_ns, std::string* problem) const;
  bool Greet(ValkeyLink* link, const std::string& password, std::uint64_t deadline_ns,
             std::string* problem) const;
  bool Authenticate(ValkeyLink* link, const std::string& password, std::uint64_t deadline_ns,
                    std::string* problem) const;

  const RemoteServer server_;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_VALKEY_CONNECTOR_H_
