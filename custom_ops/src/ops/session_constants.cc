#include "ops/session_constants.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/mapped_pages.h"
#include "base/memory.h"
#include "ops/kernel_io.h"
#include "units/tensor_digest.h"

namespace actcache {
namespace {

namespace slot = ort::slot;

// Smaller ones share their pages with others.
constexpr std::size_t kManyPages = std::size_t{64} * 1024;

struct Created {
  std::string region;
  std::string fingerprint;
  std::weak_ptr<SessionConstants> constants;
};

// The lookups that this thread has created and that still exist, the newest last.
std::vector<Created>& CreatedHere() {
  thread_local std::vector<Created> created;
  return created;
}

template <typename Match>
std::shared_ptr<SessionConstants> Newest(const Match& match) {
  const std::vector<Created>& created = CreatedHere();
  const auto found = std::find_if(created.rbegin(), created.rend(), match);
  return found == created.rend() ? nullptr : found->constants.lock();
}

// None if the input is not constant here, or of a type that this library does not know.
std::optional<TensorView> ConstantInput(const ort::Api* api, const ort::KernelInfo* info,
                                        std::size_t input) {
  try {
    int is_constant = 0;
    const ort::Value* value = nullptr;
    ort::Call(api, slot::KernelInfoGetConstantInput_tensor, info, input, &is_constant, &value);
    if (is_constant == 0 || value == nullptr) return std::nullopt;
    return ViewOf(api, value);
  } catch (const ort::Error&) {
    return std::nullopt;
  }
}

std::string InputName(const ort::Api* api, const ort::KernelInfo* info, std::size_t input) {
  return ort::ReadString(api, [&](char* out, std::size_t* size) {
    return slot::KernelInfo_GetInputName(api, info, input, out, size);
  });
}

[[noreturn]] void RefuseTwoValues(const ort::Api* api, const ort::KernelInfo* info,
                                  std::size_t input, const RegionAttributes& attributes) {
  const std::string name = InputName(api, info, input);
  throw ort::Error(
      ort::ErrorCode::kInvalidArgument,
      "actcache: region \"" + attributes.region + "\": the constant \"" + name +
          "\" is in the model twice, and this session replaces one of the two; replace it in the "
          "model before it is compiled, or with SessionOptions.add_external_initializers");
}

// `input` is the sample, whose name begins with that of the weight.
std::string WeightOf(const ort::Api* api, const ort::KernelInfo* info, std::size_t input,
                     const RegionAttributes& attributes) {
  const std::string name = InputName(api, info, input);
  return name.substr(0, name.rfind("@" + attributes.region));
}

[[noreturn]] void RefuseTooLate(const ort::Api* api, const ort::KernelInfo* info, std::size_t input,
                                const RegionAttributes& attributes) {
  throw ort::Error(
      ort::ErrorCode::kInvalidArgument,
      "actcache: region \"" + attributes.region + "\": this session replaces the weight \"" +
          WeightOf(api, info, input, attributes) +
          "\" with SessionOptions.add_initializer, but onnxruntime has used it before, when it "
          "loaded the model; compile a model that has the new weight, or use "
          "SessionOptions.add_external_initializers, or replace the weight file");
}

[[noreturn]] void RefuseUnclear(const ort::Api* api, const ort::KernelInfo* info, std::size_t input,
                                const RegionAttributes& attributes) {
  throw ort::Error(
      ort::ErrorCode::kInvalidArgument,
      "actcache: region \"" + attributes.region + "\": the weight \"" +
          WeightOf(api, info, input, attributes) +
          "\" differs in few values from the one that was compiled, and it cannot be told whether "
          "onnxruntime has used the new values when it loaded the model; compile a model that has "
          "the new weight");
}

}  // namespace

std::shared_ptr<SessionConstants> SessionConstants::ForLookup(const ort::Api* api,
                                                              const ort::KernelInfo* info,
                                                              const RegionAttributes& attributes) {
  std::vector<Created>& created = CreatedHere();
  created.erase(std::remove_if(created.begin(), created.end(),
                               [](const Created& one) { return one.constants.expired(); }),
                created.end());
  std::shared_ptr<SessionConstants> constants;
  if (!attributes.outer.empty()) {
    constants = Newest([&](const Created& one) { return one.region == attributes.outer; });
  }
  if (!constants) constants = std::make_shared<SessionConstants>();
  created.push_back({attributes.region, attributes.fingerprint, constants});
  constants->Add(api, info, attributes);
  return constants;
}

std::shared_ptr<SessionConstants> SessionConstants::ForStore(const RegionAttributes& attributes) {
  return Newest([&](const Created& one) {
    return one.region == attributes.region && one.fingerprint == attributes.fingerprint;
  });
}

void SessionConstants::Add(const ort::Api* api, const ort::KernelInfo* info,
                           const RegionAttributes& attributes) {
  std::size_t input = 0;
  ort::Call(api, slot::KernelInfo_GetInputCount, info, &input);
  input -= attributes.constants.size() + attributes.samples.size();
  const MutexLock lock(&mutex_);
  for (const std::int64_t id : attributes.constants) {
    if (const std::optional<TensorView> tensor = ConstantInput(api, info, input)) {
      const Digest digest = DigestOfTensor(*tensor);
      const auto [place, is_new] = digests_.emplace(id, digest);
      if (!is_new && place->second != digest) RefuseTwoValues(api, info, input, attributes);
      if (tensor->bytes >= kManyPages) read_.push_back({tensor->data, tensor->bytes});
      if (!tensor->strings) seen_.emplace(id, *tensor);
    }
    ++input;
  }
  Compare(api, info, input, attributes);
}

// Of what is not constant, the branch computes with the session's values: nothing was computed when
// the model was loaded.
void SessionConstants::Compare(const ort::Api* api, const ort::KernelInfo* info, std::size_t input,
                               const RegionAttributes& attributes) const {
  for (const WeightSample& sample : attributes.samples) {
    if (const std::optional<TensorView> loaded = ConstantInput(api, info, input)) {
      const auto seen = seen_.find(sample.constant);
      if (seen == seen_.end()) RefuseTooLate(api, info, input, attributes);
      switch (OriginOf(sample, *loaded, seen->second, digests_.at(sample.constant))) {
        case WeightOrigin::kLoaded:
          break;
        case WeightOrigin::kTooLate:
          RefuseTooLate(api, info, input, attributes);
        case WeightOrigin::kUnclear:
          RefuseUnclear(api, info, input, attributes);
      }
    }
    ++input;
  }
}

std::optional<std::string> SessionConstants::DigestOf(const RegionAttributes& attributes) const {
  const MutexLock lock(&mutex_);
  std::string digest;
  for (const std::int64_t id : attributes.key_constants) {
    const auto found = digests_.find(id);
    if (found == digests_.end()) return std::nullopt;
    digest.append(found->second.begin(), found->second.end());
  }
  return digest;
}

bool SessionConstants::AreAsAssumed(const RegionAttributes& attributes) const {
  const MutexLock lock(&mutex_);
  for (const RegionAttributes::AssumedConstant& one : attributes.assumed) {
    const auto found = digests_.find(one.constant);
    if (found == digests_.end() || found->second != one.digest) return false;
  }
  return true;
}

void SessionConstants::ReleasePages() {
  std::vector<Range> ranges;
  {
    const MutexLock lock(&mutex_);
    ranges.swap(read_);
    seen_.clear();
  }
  if (ranges.empty()) return;
  for (const Range& range : ranges) ReleaseFilePages(range.data, range.bytes);
  ReturnFreeMemory();  // of weights that onnxruntime has replaced by copies in another layout
}

}  // namespace actcache
