// Names of files that the library writes for the process.
#ifndef ACTCACHE_BASE_PROCESS_PATH_H_
#define ACTCACHE_BASE_PROCESS_PATH_H_

#include <string>

namespace actcache {

// Stands for the process id in such a name, so that processes with one environment have files of
// their own.
inline constexpr char kProcessIdPlace[] = "%p";

// Whether the name is another one in every process.
bool NamesProcess(const std::string& path);

// `path` with the id of this process in its places, and absolute: the process may change its
// directory. In a child made by fork() it is the child's id. As it is if there is no current
// directory.
std::string ProcessPath(const std::string& path);

}  // namespace actcache

#endif  // ACTCACHE_BASE_PROCESS_PATH_H_
