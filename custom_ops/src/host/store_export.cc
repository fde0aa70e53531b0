// actcache_store(): what people do with a disk store, as one function that answers in JSON.
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>

#include "actcache.h"
#include "base/json_text.h"
#include "tier/disk/store_tools.h"

namespace {

std::string TextOf(const char* text) { return text == nullptr ? "" : text; }

std::string Answer(const std::string& what, const std::string& folder, const std::string& other,
                   const actcache::StoreSelection& selection, std::uint64_t number) {
  if (what == "stat") return actcache::DescribeStore(folder);
  if (what == "ls") return "{\"entries\": " + actcache::ListStore(folder, selection, number) + "}";
  if (what == "verify") return actcache::VerifyStore(folder, number != 0);
  if (what == "purge") return actcache::PurgeStore(folder, selection);
  if (what == "copy") return actcache::CopyStore(folder, other, number);
  throw std::invalid_argument("there is no \"" + what + "\"");
}

}  // namespace

extern "C" const char* actcache_store(const char* what, const char* folder, const char* other,
                                      const char* region, const char* name_space,
                                      std::uint64_t number) {
  static thread_local std::string answer;
  try {
    try {
      answer = Answer(TextOf(what), TextOf(folder), TextOf(other),
                      {TextOf(region), TextOf(name_space)}, number);
    } catch (const std::exception& error) {
      answer.clear();
      actcache::JsonObject(&answer).Text("error", error.what());
    }
    return answer.c_str();
  } catch (...) {
    return nullptr;
  }
}
