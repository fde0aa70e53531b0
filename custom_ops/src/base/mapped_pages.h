// Pages of mapped files: memory that can be given back at any time, as the file has it.
#ifndef ACTCACHE_BASE_MAPPED_PAGES_H_
#define ACTCACHE_BASE_MAPPED_PAGES_H_

#include <cstddef>

namespace actcache {

// Takes those of the whole pages in [data, data + bytes) that are a file's, unchanged, out of this
// process's memory; who reads them again has them from the system's cache of the file. All other
// memory stays as it is. Best effort. Nobody may write to the range meanwhile.
void ReleaseFilePages(const void* data, std::size_t bytes) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_BASE_MAPPED_PAGES_H_
