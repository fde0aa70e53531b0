// What the knobs say of the remote tier, and the tier that this makes.
#ifndef ACTCACHE_TIER_REMOTE_REMOTE_KNOBS_H_
#define ACTCACHE_TIER_REMOTE_REMOTE_KNOBS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

namespace actcache {

class RemoteTier;

// As the knobs of the same names.
struct RemoteKnobs {
  std::string url;  // "": no remote tier
  std::string secret;
  std::string secret_file;
  std::string password_file;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::uint64_t ttl_ns = std::uint64_t{7} * 24 * 3'600'000'000'000;
  std::size_t max_value_bytes = std::size_t{16} << 20;

  friend bool operator==(const RemoteKnobs& a, const RemoteKnobs& b) { return a.All() == b.All(); }

 private:
  std::tuple<const std::string&, const std::string&, const std::string&, const std::string&,
             const std::string&, const std::string&, const std::string&, std::uint64_t, std::size_t>
  All() const {
    return {url,       secret,   secret_file, password_file,  ca_file,
            cert_file, key_file, ttl_ns,      max_value_bytes};
  }
};

// The shortest secret that is taken, in bytes: shorter ones are guessed.
inline constexpr std::size_t kLeastSecretBytes = 16;

// Why the address cannot be used by this build; nothing if it can. REQUIRES: it is one.
std::optional<std::string> RemoteUrlObstacle(const std::string& url);

// A tier that begins to connect at once. Throws std::runtime_error, whose text never holds a
// secret, if the knobs do not go together or name a file that cannot be read; whether the server
// answers does not matter.
std::unique_ptr<RemoteTier> OpenRemoteTier(const RemoteKnobs& knobs);

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_REMOTE_KNOBS_H_
