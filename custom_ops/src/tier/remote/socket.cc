#include "tier/remote/socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

#include "base/clock.h"

namespace actcache {
namespace {

std::string ErrorText(int number) { return std::generic_category().message(number); }

// 0, or the number of the error.
int Connect(int socket, const sockaddr* address, socklen_t size, std::uint64_t deadline_ns) {
  if (connect(socket, address, size) == 0) return 0;
  // A socket of this machine whose queue is full says EAGAIN, and does not tell when it has room.
  if (errno != EINPROGRESS && errno != EINTR) return errno;
  if (!AwaitSocket(socket, POLLOUT, deadline_ns)) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

// The socket, or -1 and the number of the error.
int Open(int family, const sockaddr* address, socklen_t size, std::uint64_t deadline_ns,
         int* error) {
  const int made = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) {
    *error = errno;
    return -1;
  }
  *error = Connect(made, address, size, deadline_ns);
  if (*error == 0) return made;
  close(made);
  return -1;
}

int OpenLocal(const std::string& path, std::uint64_t deadline_ns, int* error) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return Open(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof(address), deadline_ns,
              error);
}

int OpenHost(const addrinfo* addresses, std::uint64_t deadline_ns, int* error) {
  for (const addrinfo* at = addresses; at != nullptr; at = at->ai_next) {
    const int made = Open(at->ai_family, at->ai_addr, at->ai_addrlen, deadline_ns, error);
    if (made < 0) continue;
    const int on = 1;
    // Without them it is slower, or notices later that the other side is gone.
    static_cast<void>(setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
    static_cast<void>(setsockopt(made, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)));
    return made;
  }
  return -1;
}

}  // namespace

int ConnectSocket(const RemoteUrl& url, std::uint64_t deadline_ns, std::string* problem) noexcept {
  try {
    int error = 0;
    if (url.kind == RemoteUrl::Kind::kUnix) {
      const int made = OpenLocal(url.path, deadline_ns, &error);
      if (made < 0) *problem = "cannot connect to " + url.path + ": " + ErrorText(error);
      return made;
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int code =
        getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
    if (code != 0) {
      *problem = "the host " + url.host + " is not known: " + gai_strerror(code);
      return -1;
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
    const int made = OpenHost(found, deadline_ns, &error);
    if (made < 0) {
      *problem = "cannot connect to " + url.host + ", port " + std::to_string(url.port) + ": " +
                 ErrorText(error);
    }
    return made;
  } catch (...) {
    return -1;  // no memory
  }
}

bool AwaitSocket(int socket, short events, std::uint64_t deadline_ns) noexcept {
  while (true) {
    const std::uint64_t now = SteadyNow();
    if (now >= deadline_ns) return false;
    const std::uint64_t left = deadline_ns - now;
    const timespec timeout = {static_cast<time_t>(left / 1'000'000'000),
                              static_cast<long>(left % 1'000'000'000)};
    pollfd polled = {socket, events, 0};
    const int ready = ppoll(&polled, 1, &timeout, nullptr);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return true;  // the read or write that follows says why
  }
}

}  // namespace actcache
