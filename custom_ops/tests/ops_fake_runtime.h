// A stand-in for onnxruntime: the slots of the C ABI that the kernels call, over tensors in memory.
// It runs kernels under the sanitizers, which the real one cannot, and fails where a test wants it
// to.
#ifndef ACTCACHE_TESTS_OPS_FAKE_RUNTIME_H_
#define ACTCACHE_TESTS_OPS_FAKE_RUNTIME_H_

#include <array>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "abi/onnxruntime_abi.h"
#include "units/tensor_view.h"

// The runtime's own types, opaque to the library.
namespace actcache::ort {

struct Status {
  ErrorCode code;
  std::string message;
};
struct TensorInfo {
  ElementType type;
  Dims dims;
};
struct TypeInfo {
  TensorInfo tensor;
};
struct Value {
  TensorInfo info;
  std::vector<std::uint64_t> words;  // aligned room for the data
  std::vector<std::string> strings;

  std::byte* data() { return reinterpret_cast<std::byte*>(words.data()); }
  const std::byte* data() const { return reinterpret_cast<const std::byte*>(words.data()); }
};
struct KernelInfo {
  std::map<std::string, std::string> strings;
  std::map<std::string, float> reals;
  std::map<std::string, std::vector<std::int64_t>> ints;
  std::map<std::string, std::int64_t> numbers;
  std::vector<ElementType> inputs;
  std::vector<ElementType> outputs;
  std::map<std::size_t, Value> constants;  // inputs that the runtime shows as such
  const char* missing_ints = "No attribute with this name is defined.";  // onnxruntime's words
};
struct KernelContext {
  const KernelInfo* info;
  std::vector<Value> inputs;
  std::vector<Value> outputs;
  std::size_t failing_output = ~std::size_t{0};
  std::size_t unread_output = ~std::size_t{0};
};

}  // namespace actcache::ort

namespace actcache::fake {

template <typename T>
ort::Value MakeValue(ElementType type, const Dims& dims, const std::vector<T>& values) {
  ort::Value value{{type, dims}, std::vector<std::uint64_t>(values.size() * sizeof(T) / 8 + 1), {}};
  if (!values.empty()) std::memcpy(value.data(), values.data(), values.size() * sizeof(T));
  return value;
}

inline ort::Value MakeStrings(const Dims& dims, const std::vector<std::string>& strings) {
  return ort::Value{{ElementType::kString, dims}, {}, strings};
}

template <typename T>
std::vector<T> Read(const ort::Value& value) {
  std::vector<T> values(ElementCount(value.info.dims));
  if (!values.empty()) std::memcpy(values.data(), value.data(), values.size() * sizeof(T));
  return values;
}

inline ort::Status* Fail(const char* message) {
  return new ort::Status{ort::ErrorCode::kFail, message};
}

template <typename T>
ort::Status* CopyCounted(const T* values, std::size_t count, T* out, std::size_t* size) {
  const std::size_t room = *size;
  *size = count;
  if (out == nullptr) return nullptr;
  if (room < count) return Fail("too small");
  std::copy(values, values + count, out);
  return nullptr;
}

// How many calls of the runtime the thread is in, so that a test can tell the library's allocations
// from those of this stand-in. What the runtime calls back is the library's again.
inline thread_local int runtime_depth = 0;

class InRuntime {
 public:
  InRuntime() { ++runtime_depth; }
  ~InRuntime() { --runtime_depth; }
  InRuntime(const InRuntime&) = delete;
  InRuntime& operator=(const InRuntime&) = delete;
};

class CalledBack {
 public:
  CalledBack() : depth_(std::exchange(runtime_depth, 0)) {}
  ~CalledBack() { runtime_depth = depth_; }
  CalledBack(const CalledBack&) = delete;
  CalledBack& operator=(const CalledBack&) = delete;

 private:
  const int depth_;
};

// A slot's function, counted in runtime_depth.
template <typename SlotType, typename Function = typename SlotType::Function>
struct Counted;
template <typename SlotType, typename Result, typename... Args>
struct Counted<SlotType, Result (*)(Args...) noexcept> {
  static inline typename SlotType::Function function = nullptr;
  static Result Call(Args... args) noexcept {
    const InRuntime in_runtime;
    return function(args...);
  }
};

// The table of slots, filled where the kernels need it.
class Api {
 public:
  static const ort::Api* Get() {
    static const Api api;
    return reinterpret_cast<const ort::Api*>(api.slots_.data());
  }

 private:
  template <typename SlotType>
  void Set(const SlotType&, typename SlotType::Function function) {
    Counted<SlotType>::function = function;
    slots_[SlotType::kIndex] = reinterpret_cast<void*>(&Counted<SlotType>::Call);
  }

  Api() {
    namespace slot = ort::slot;
    Set(slot::CreateStatus, [](ort::ErrorCode code, const char* message) noexcept {
      return new ort::Status{code, message};
    });
    Set(slot::GetErrorCode, [](const ort::Status* s) noexcept { return s->code; });
    Set(slot::GetErrorMessage, [](const ort::Status* s) noexcept { return s->message.c_str(); });
    Set(slot::ReleaseStatus, [](ort::Status* s) noexcept { delete s; });
    SetTensors();
    SetKernelInfo();
    SetContext();
  }

  void SetTensors() {
    namespace slot = ort::slot;
    using ort::Status, ort::TensorInfo, ort::Value;
    Set(slot::GetTensorTypeAndShape, [](const Value* v, TensorInfo** out) noexcept -> Status* {
      *out = new TensorInfo(v->info);
      return nullptr;
    });
    Set(slot::ReleaseTensorTypeAndShapeInfo, [](TensorInfo* info) noexcept { delete info; });
    Set(slot::GetTensorElementType, [](const TensorInfo* i, ElementType* out) noexcept -> Status* {
      *out = i->type;
      return nullptr;
    });
    Set(slot::GetDimensionsCount, [](const TensorInfo* i, std::size_t* out) noexcept -> Status* {
      *out = i->dims.size();
      return nullptr;
    });
    Set(slot::GetDimensions,
        [](const TensorInfo* i, std::int64_t* out, std::size_t rank) noexcept -> Status* {
          std::copy(i->dims.begin(), i->dims.begin() + rank, out);
          return nullptr;
        });
    Set(slot::GetTensorMutableData, [](Value* v, void** out) noexcept -> Status* {
      *out = v->data();
      return nullptr;
    });
    Set(slot::GetStringTensorDataLength, [](const Value* v, std::size_t* out) noexcept -> Status* {
      *out = 0;
      for (const std::string& s : v->strings) *out += s.size();
      return nullptr;
    });
    Set(slot::GetStringTensorContent,
        [](const Value* v, void* bytes, std::size_t, std::size_t* offsets,
           std::size_t) noexcept -> Status* {
          std::size_t at = 0;
          for (std::size_t i = 0; i < v->strings.size(); ++i) {
            offsets[i] = at;
            std::memcpy(static_cast<char*>(bytes) + at, v->strings[i].data(), v->strings[i].size());
            at += v->strings[i].size();
          }
          return nullptr;
        });
    Set(slot::GetResizedStringTensorElementBuffer,
        [](Value* v, std::size_t index, std::size_t size, char** out) noexcept -> Status* {
          v->strings.at(index).resize(size);
          *out = v->strings[index].data();
          return nullptr;
        });
  }

  void SetKernelInfo() {
    namespace slot = ort::slot;
    using ort::KernelInfo, ort::Status, ort::TypeInfo;
    Set(slot::KernelInfoGetAttribute_string,
        [](const KernelInfo* info, const char* name, char* out, std::size_t* size) noexcept {
          const auto found = info->strings.find(name);
          if (found == info->strings.end()) return Fail("no such attribute");
          return CopyCounted(found->second.c_str(), found->second.size() + 1, out, size);
        });
    Set(slot::KernelInfoGetAttributeArray_int64, [](const KernelInfo* info, const char* name,
                                                    std::int64_t* out, std::size_t* size) noexcept {
      const auto found = info->ints.find(name);
      if (found == info->ints.end()) return Fail(info->missing_ints);
      return CopyCounted(found->second.data(), found->second.size(), out, size);
    });
    Set(slot::KernelContext_GetLogger,
        [](const ort::KernelContext*, const ort::Logger** out) noexcept -> Status* {
          *out = nullptr;
          return nullptr;
        });
    Set(slot::Logger_LogMessage,
        [](const ort::Logger*, ort::Severity, const char*, const char*, int,
           const char*) noexcept -> Status* { return nullptr; });
    Set(slot::KernelInfoGetAttribute_float,
        [](const KernelInfo* info, const char* name, float* out) noexcept -> Status* {
          const auto found = info->reals.find(name);
          if (found == info->reals.end()) return Fail("no such attribute");
          *out = found->second;
          return nullptr;
        });
    Set(slot::KernelInfoGetAttribute_int64,
        [](const KernelInfo* info, const char* name, std::int64_t* out) noexcept -> Status* {
          const auto found = info->numbers.find(name);
          if (found == info->numbers.end()) return Fail("no such attribute");
          *out = found->second;
          return nullptr;
        });
    Set(slot::KernelInfo_GetInputCount,
        [](const KernelInfo* info, std::size_t* out) noexcept -> Status* {
          *out = info->inputs.size();
          return nullptr;
        });
    Set(slot::KernelInfo_GetOutputCount,
        [](const KernelInfo* info, std::size_t* out) noexcept -> Status* {
          *out = info->outputs.size();
          return nullptr;
        });
    Set(slot::KernelInfoGetConstantInput_tensor,
        [](const KernelInfo* info, std::size_t index, int* is_constant,
           const ort::Value** out) noexcept -> Status* {
          const auto found = info->constants.find(index);
          *is_constant = found == info->constants.end() ? 0 : 1;
          *out = *is_constant == 0 ? nullptr : &found->second;
          return nullptr;
        });
    Set(slot::KernelInfo_GetInputName,
        [](const KernelInfo*, std::size_t index, char* out, std::size_t* size) noexcept {
          const std::string name = "in" + std::to_string(index);
          return CopyCounted(name.c_str(), name.size() + 1, out, size);
        });
    Set(slot::KernelInfo_GetInputTypeInfo,
        [](const KernelInfo* info, std::size_t index, TypeInfo** out) noexcept -> Status* {
          *out = new TypeInfo{{info->inputs.at(index), {}}};
          return nullptr;
        });
    Set(slot::KernelInfo_GetOutputTypeInfo,
        [](const KernelInfo* info, std::size_t index, TypeInfo** out) noexcept -> Status* {
          *out = new TypeInfo{{info->outputs.at(index), {}}};
          return nullptr;
        });
    Set(slot::CastTypeInfoToTensorInfo,
        [](const TypeInfo* type, const ort::TensorInfo** out) noexcept -> Status* {
          *out = &type->tensor;
          return nullptr;
        });
    Set(slot::ReleaseTypeInfo, [](TypeInfo* type) noexcept { delete type; });
  }

  void SetContext() {
    namespace slot = ort::slot;
    using ort::KernelContext, ort::Status, ort::Value;
    Set(slot::KernelContext_GetInput,
        [](const KernelContext* context, std::size_t index, const Value** out) noexcept -> Status* {
          *out = &context->inputs.at(index);
          return nullptr;
        });
    Set(slot::KernelContext_GetOutput,
        [](KernelContext* context, std::size_t index, const std::int64_t* dims, std::size_t rank,
           Value** out) noexcept -> Status* {
          if (index == context->failing_output) return Fail("no memory for the output");
          *out = nullptr;
          if (index == context->unread_output) return nullptr;
          Value& value = context->outputs.at(index);
          value.info.type = context->info->outputs.at(index);
          for (std::size_t i = 0; i < rank; ++i) value.info.dims.push_back(dims[i]);
          value.words.resize(ByteCount(value.info.type, value.info.dims) / 8 + 1);
          if (value.info.type == ElementType::kString) {
            value.strings.resize(ElementCount(value.info.dims));
          }
          *out = &value;
          return nullptr;
        });
    Set(slot::KernelContext_ParallelFor,
        [](const KernelContext*, void (*fn)(void*, std::size_t), std::size_t total, std::size_t,
           void* data) noexcept -> Status* {
          std::thread other([&] {
            for (std::size_t i = 1; i < total; i += 2) fn(data, i);
          });
          {
            const CalledBack called_back;
            for (std::size_t i = 0; i < total; i += 2) fn(data, i);
          }
          other.join();
          return nullptr;
        });
  }

  std::array<void*, 300> slots_{};
};

}  // namespace actcache::fake

#endif  // ACTCACHE_TESTS_OPS_FAKE_RUNTIME_H_
