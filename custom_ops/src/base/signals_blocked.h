// Keeps the host program's signal handlers on the host program's threads.
#ifndef ACTCACHE_BASE_SIGNALS_BLOCKED_H_
#define ACTCACHE_BASE_SIGNALS_BLOCKED_H_

#include <pthread.h>

#include <csignal>

namespace actcache {

// Blocks all signals on this thread, and so on threads that it starts, for the length of a scope.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace actcache

#endif  // ACTCACHE_BASE_SIGNALS_BLOCKED_H_
