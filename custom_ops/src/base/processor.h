// What the processor can do, which decides the kernels that compute.
#ifndef ACTCACHE_BASE_PROCESSOR_H_
#define ACTCACHE_BASE_PROCESSOR_H_

#include <string>

namespace actcache {

// The system's line of its instruction sets and features; "" where it does not tell.
const std::string& ProcessorFeatures();

}  // namespace actcache

#endif  // ACTCACHE_BASE_PROCESSOR_H_
