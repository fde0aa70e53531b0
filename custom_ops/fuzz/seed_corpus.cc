// Under libFuzzer: puts the target's seeds into the first corpus folder that it is given, from
// where libFuzzer reads them.
#include <cstdio>
#include <string>

#include "target.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const char* folder = nullptr;
  for (int i = 1; i < *argc && folder == nullptr; ++i) {
    if ((*argv)[i][0] != '-') folder = (*argv)[i];
  }
  if (folder == nullptr) return 0;
  int number = 0;
  for (const actcache::fuzz::Input& seed : actcache::fuzz::Seeds()) {
    const std::string path = std::string(folder) + "/seed" + std::to_string(number++);
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) return 0;  // it is an input to run again, not a folder
    std::fwrite(seed.data(), 1, seed.size(), file);
    std::fclose(file);
  }
  return 0;
}
