#include "tier/disk/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

#include "base/write_all.h"
#include "hash/secret.h"

namespace actcache {
namespace {

constexpr const char* kSecretName = "/secret";
// Whoever has not given a file its name after so long was killed meanwhile.
constexpr std::time_t kAbandonedSeconds = 60;

std::string Reason(int error) { return std::generic_category().message(error); }

// SQLite's locks and its shared memory need a file system of this machine. Numbers as in statfs(2).
const char* NetworkFileSystem(const std::string& path) {
  struct statfs system{};
  if (statfs(path.c_str(), &system) != 0) return nullptr;
  switch (static_cast<unsigned long>(system.f_type) & 0xffffffffUL) {
    case 0x6969:
      return "NFS";
    case 0x517b:
    case 0xff534d42:
    case 0xfe534d42:
      return "SMB";
    case 0x01021997:
      return "9P";
    case 0x65735546:
      return "FUSE";
    case 0x00c36400:
      return "Ceph";
    case 0x0bd00bd0:
      return "Lustre";
    case 0x47504653:
      return "GPFS";
    case 0x73757245:
      return "Coda";
    case 0x5346414f:
    case 0x6b414653:
      return "AFS";
    case 0x7461636f:
      return "OCFS2";
    case 0x01161970:
      return "GFS2";
    case 0x786f4256:
      return "VirtualBox's shared folders";
    default:
      return nullptr;
  }
}

void CheckFolder(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    throw DirectoryError(path + " is not a folder");
  }
  if (const char* const system = NetworkFileSystem(path)) {
    throw DirectoryError(path + " lies on a file system of the network (" + system +
                         "), where a disk store would be damaged; name a folder on a disk of this "
                         "machine");
  }
  if (status.st_uid != geteuid() && status.st_uid != 0) {
    throw DirectoryError(path + " belongs to another user (" + std::to_string(status.st_uid) + ")");
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw DirectoryError("other users may write to " + path + "; run: chmod go-w " + path);
  }
}

// Nothing if there is no such file.
std::optional<DigestKey> ReadSecret(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) {
    if (errno == ENOENT) return std::nullopt;
    throw DirectoryError(path + " cannot be read: " + Reason(errno));
  }
  struct stat status{};
  DigestKey secret{};
  const bool ok = fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
                  status.st_size == static_cast<off_t>(secret.size()) &&
                  read(file, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size());
  close(file);
  if (!ok) throw DirectoryError(path + " is not the secret of a store");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    throw DirectoryError("other users may read " + path + "; run: chmod 600 " + path);
  }
  return secret;
}

// Writes the secret to a file of its own first: whoever sees `path` sees all of it.
void WriteSecret(const std::string& path, const DigestKey& secret) {
  static std::atomic<unsigned> made{0};
  const std::string temporary =
      path + "." + std::to_string(getpid()) + "." + std::to_string(made.fetch_add(1));
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) throw DirectoryError(temporary + " cannot be made: " + Reason(errno));
  const std::string_view bytes(reinterpret_cast<const char*>(secret.data()), secret.size());
  const bool written = WriteAll(file, bytes) && fsync(file) == 0;
  const int write_error = errno;
  close(file);
  const bool linked = written && (link(temporary.c_str(), path.c_str()) == 0 || errno == EEXIST);
  const int link_error = errno;
  unlink(temporary.c_str());
  if (!written) throw DirectoryError(temporary + " cannot be written: " + Reason(write_error));
  if (!linked) throw DirectoryError(path + " cannot be made: " + Reason(link_error));
}

// Removes what processes that were killed in WriteSecret() have left.
void RemoveAbandoned(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), &closedir);
  if (folder == nullptr) return;
  const std::string prefix = std::string(kSecretName + 1) + ".";
  while (const dirent* const entry = readdir(folder.get())) {
    const std::string name = entry->d_name;
    const std::string file = std::string(path).append("/").append(name);
    struct stat status{};
    if (name.compare(0, prefix.size(), prefix) != 0 || lstat(file.c_str(), &status) != 0 ||
        status.st_mtime + kAbandonedSeconds > std::time(nullptr)) {
      continue;
    }
    unlink(file.c_str());
  }
}

}  // namespace

bool HasSecret(const std::string& path) noexcept {
  return access((path + kSecretName).c_str(), F_OK) == 0;
}

DigestKey PrepareDirectory(const std::string& path, const DigestKey* known) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    throw DirectoryError("the folder " + path + " cannot be made: " + Reason(errno));
  }
  CheckFolder(path);
  RemoveAbandoned(path);
  const std::string file = path + kSecretName;
  if (const std::optional<DigestKey> secret = ReadSecret(file)) return *secret;
  DigestKey drawn{};
  if (known != nullptr) {
    drawn = *known;
  } else if (!DrawRandomBytes(drawn.data(), drawn.size())) {
    throw DirectoryError("the system gives no random bytes for " + file);
  }
  WriteSecret(file, drawn);
  if (const std::optional<DigestKey> secret = ReadSecret(file)) return *secret;
  throw DirectoryError(file + " is gone already");
}

}  // namespace actcache
