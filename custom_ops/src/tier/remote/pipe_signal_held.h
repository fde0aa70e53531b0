// Keeps SIGPIPE from the host program: writing to a connection that the other side has closed is an
// error here, not a reason to end the process.
#ifndef ACTCACHE_TIER_REMOTE_PIPE_SIGNAL_HELD_H_
#define ACTCACHE_TIER_REMOTE_PIPE_SIGNAL_HELD_H_

#include <pthread.h>

#include <csignal>
#include <ctime>

namespace actcache {

// For the length of a scope, on the thread that makes it. Sockets alone could do it with
// MSG_NOSIGNAL; the client and OpenSSL do not.
class PipeSignalHeld {
 public:
  PipeSignalHeld() noexcept {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  // A signal that came meanwhile is ours, and is taken away.
  ~PipeSignalHeld() {
    const timespec at_once = {0, 0};
    if (!was_pending_) sigtimedwait(&pipe_, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  PipeSignalHeld(const PipeSignalHeld&) = delete;
  PipeSignalHeld& operator=(const PipeSignalHeld&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_;
};

}  // namespace actcache

#endif  // ACTCACHE_TIER_REMOTE_PIPE_SIGNAL_HELD_H_
