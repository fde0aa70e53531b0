#include "ops/per_call.h"

#include <cstddef>
#include <string_view>

namespace actcache {
namespace {

[[noreturn]] void Refuse(const RegionAttributes& attributes, const std::string& problem) {
  throw ort::Error(ort::ErrorCode::kInvalidArgument,
                   "actcache: region \"" + attributes.region + "\": " + problem);
}

std::string ReadText(const KernelIo& io, const RegionAttributes& attributes, const char* what,
                     std::int64_t index) {
  TensorView view;
  try {
    view = io.Input(static_cast<std::size_t>(index));
  } catch (const ort::Error& error) {
    // Not every way to run a session looks for inputs that were left out.
    Refuse(attributes, std::string("the ") + what + " input was not fed (" + error.what() + ")");
  }
  if (!view.strings || view.elements != 1) {
    Refuse(attributes, std::string("the ") + what + " input has to be one string");
  }
  return std::string(view.strings->at(0));
}

CacheUse ParseControl(const RegionAttributes& attributes, std::string_view word) {
  if (word == "use") return CacheUse::kUse;
  if (word == "bypass") return CacheUse::kBypass;
  if (word == "refresh") return CacheUse::kRefresh;
  Refuse(attributes, "the control input says \"" + std::string(word.substr(0, 40)) +
                         "\", but has to be \"use\", \"bypass\" or \"refresh\"");
}

}  // namespace

CallOptions ReadCallOptions(const KernelIo& io, const RegionAttributes& attributes) {
  CallOptions options;
  if (attributes.namespace_input >= 0) {
    options.name_space = ReadText(io, attributes, "namespace", attributes.namespace_input);
  }
  if (attributes.control_input >= 0) {
    options.control =
        ParseControl(attributes, ReadText(io, attributes, "control", attributes.control_input));
  }
  return options;
}

void WriteAccount(const KernelIo& io, const RegionAttributes& attributes, const Account& account) {
  if (!attributes.account) return;
  const KernelIo::Output output =
      io.Allocate(attributes.account_output(), ElementType::kInt64, Dims{1, 3});
  if (output.data == nullptr) return;
  auto* const row = reinterpret_cast<std::int64_t*>(output.data);
  row[0] = static_cast<std::int64_t>(account.hits);
  row[1] = static_cast<std::int64_t>(account.misses);
  row[2] = static_cast<std::int64_t>(account.bypassed);
}

}  // namespace actcache
