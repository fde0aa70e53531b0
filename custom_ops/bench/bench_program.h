// How the programs of this folder end.
#ifndef ACTCACHE_BENCH_PROGRAM_H_
#define ACTCACHE_BENCH_PROGRAM_H_

#include <cstdio>
#include <exception>

namespace actcache::bench {

// 0; or 2 and a line on stderr if `work` throws, which a bad argument makes it do as well.
template <typename Work>
int RunProgram(const char* name, const Work& work) {
  try {
    work();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 2;
  }
  return 0;
}

}  // namespace actcache::bench

#endif  // ACTCACHE_BENCH_PROGRAM_H_
