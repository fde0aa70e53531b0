// Sockets that never keep a thread longer than it wants to wait.
#ifndef ACTCACHE_TIER_REMOTE_SOCKET_H_
#define ACTCACHE_TIER_REMOTE_SOCKET_H_

#include <cstdint>
#include <string>

#include "tier/remote/remote_url.h"

namespace actcache {

// A connected socket that does not block and is not inherited by programs that the process starts;
// the caller closes it. -1 and what is wrong, for the user, if there is none by `deadline_ns`
// (SteadyNow()'s). Looking the host's name up may take longer.
int ConnectSocket(const RemoteUrl& url, std::uint64_t deadline_ns, std::string* problem) noexcept;

// Waits for some of the `events` of poll(2). False if none came by the deadline.
bool AwaitSocket(int socket, short events, std::uint64_t deadline_ns) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_SOCKET_H_
