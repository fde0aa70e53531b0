// What RegisterCustomOps() shares with fork().
#ifndef ACTCACHE_HOST_REGISTER_H_
#define ACTCACHE_HOST_REGISTER_H_

#include "base/mutex.h"

namespace actcache {

// Held while the operators of a session are looked up or made; taken before all other locks.
inline Mutex operators_mutex;

}  // namespace actcache

#endif  // ACTCACHE_HOST_REGISTER_H_
