#include "base/processor.h"

#include <fstream>
#include <string_view>

namespace actcache {
namespace {

std::string Read() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    for (const std::string_view name : {"flags", "Features", "isa"}) {
      if (line.compare(0, name.size(), name) == 0) return line;
    }
  }
  return "";
}

}  // namespace

const std::string& ProcessorFeatures() {
  static const auto* const features = new std::string(Read());
  return *features;
}

}  // namespace actcache
