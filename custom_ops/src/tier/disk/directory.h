// The folder of a disk store: whose it is, where it may lie, and its secret.
#ifndef ACTCACHE_TIER_DISK_DIRECTORY_H_
#define ACTCACHE_TIER_DISK_DIRECTORY_H_

#include <stdexcept>
#include <string>

#include "hash/digest.h"

namespace actcache {

// A folder that cannot hold a store; the message is a sentence for the user.
class DirectoryError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Makes the folder (mode 0700) and the secret in it (a file of mode 0600), if they are not there,
// and returns the secret. Processes that come at the same time agree on one secret. With `known`, a
// secret that has to be made is that one. Throws DirectoryError: the folder lies on a file system
// of the network, others may write to it, it cannot be made, ...
DigestKey PrepareDirectory(const std::string& path, const DigestKey* known = nullptr);

// Whether a secret is there, of whatever content.
bool HasSecret(const std::string& path) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_TIER_DISK_DIRECTORY_H_
