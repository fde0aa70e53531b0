// Tells of every store into mapped memory, before it is done.
#ifndef ACTCACHE_TESTS_FAULTS_MAPPED_STORES_H_
#define ACTCACHE_TESTS_FAULTS_MAPPED_STORES_H_

#include <cstddef>

namespace actcache::faults {

// Calls `before` in front of each instruction that writes to this memory, from now on. `before`
// runs in a signal handler. One thread at a time may use the memory. x86-64 only: elsewhere nothing
// is told.
void WatchStores(void* memory, std::size_t size, void (*before)());

// The memory is about to be unmapped. What is not watched is no error.
void ForgetStores(void* memory);

}  // namespace actcache::faults

#endif  // ACTCACHE_TESTS_FAULTS_MAPPED_STORES_H_
