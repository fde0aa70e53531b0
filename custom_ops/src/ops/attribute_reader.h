// Reads the attributes of a node.
#ifndef ACTCACHE_OPS_ATTRIBUTE_READER_H_
#define ACTCACHE_OPS_ATTRIBUTE_READER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "abi/runtime.h"
#include "units/cut.h"

namespace actcache {

// Of one node. A missing attribute is an error that says so: ort::Error, naming the operator.
class AttributeReader {
 public:
  AttributeReader(const char* op, const ort::Api* api, const ort::KernelInfo* info)
      : op_(op), api_(api), info_(info) {}

  std::string String(const char* name) const {
    return Named(name, [&] {
      return ort::ReadString(api_, [&](char* out, std::size_t* size) {
        return ort::slot::KernelInfoGetAttribute_string(api_, info_, name, out, size);
      });
    });
  }

  std::vector<std::int64_t> Ints(const char* name) const {
    return Named(name, [&] {
      std::size_t size = 0;
      const auto read = ort::slot::KernelInfoGetAttributeArray_int64;
      ort::Check(api_, read(api_, info_, name, nullptr, &size));
      std::vector<std::int64_t> values(size);
      if (size > 0) ort::Check(api_, read(api_, info_, name, values.data(), &size));
      return values;
    });
  }

  // As Ints; an attribute that is not there is empty: several tools cannot write an empty one. Only
  // the message of the runtime tells this from other errors.
  std::vector<std::int64_t> IntsOrNone(const char* name) const {
    try {
      return Ints(name);
    } catch (const ort::Error& error) {
      if (std::string(error.what()).find("No attribute with") == std::string::npos) throw;
      return {};
    }
  }

  std::string StringOrNone(const char* name) const {
    try {
      return String(name);
    } catch (const ort::Error&) {
      return "";
    }
  }

  double FloatOr(const char* name, double absent) const {
    float value = 0;
    try {
      ort::Call(api_, ort::slot::KernelInfoGetAttribute_float, info_, name, &value);
    } catch (const ort::Error&) {
      return absent;
    }
    return value;
  }

  std::int64_t IntOr(const char* name, std::int64_t absent) const {
    std::int64_t value = absent;
    try {
      ort::Call(api_, ort::slot::KernelInfoGetAttribute_int64, info_, name, &value);
    } catch (const ort::Error&) {
      return absent;
    }
    return value;
  }

  ElementType InputType(std::size_t index) const {
    return DeclaredType(ort::slot::KernelInfo_GetInputTypeInfo, index);
  }
  ElementType OutputType(std::size_t index) const {
    return DeclaredType(ort::slot::KernelInfo_GetOutputTypeInfo, index);
  }

  std::size_t InputCount() const { return Count(ort::slot::KernelInfo_GetInputCount); }
  std::size_t OutputCount() const { return Count(ort::slot::KernelInfo_GetOutputCount); }

 private:
  template <typename Read>
  auto Named(const char* name, const Read& read) const -> decltype(read()) {
    try {
      return read();
    } catch (const ort::Error& error) {
      throw ort::Error(ort::ErrorCode::kInvalidGraph, std::string("actcache: ") + op_ +
                                                          " needs the attribute \"" + name +
                                                          "\": " + error.what());
    }
  }

  template <typename SlotType>
  std::size_t Count(const SlotType& function) const {
    std::size_t count = 0;
    ort::Call(api_, function, info_, &count);
    return count;
  }

  // The element type that the model declares, which is what the runtime allocates.
  template <typename SlotType>
  ElementType DeclaredType(const SlotType& function, std::size_t index) const {
    ort::TypeInfo* raw = nullptr;
    ort::Call(api_, function, info_, index, &raw);
    const ort::Handle type(api_, raw, ort::slot::ReleaseTypeInfo);
    const ort::TensorInfo* tensor = nullptr;
    ort::Call(api_, ort::slot::CastTypeInfoToTensorInfo, type.get(), &tensor);
    ElementType element = ElementType::kUndefined;
    if (tensor != nullptr) ort::Call(api_, ort::slot::GetTensorElementType, tensor, &element);
    return element;
  }

  const char* op_;
  const ort::Api* api_;
  const ort::KernelInfo* info_;
};

inline Axes ToAxes(const std::vector<std::int64_t>& values) {
  Axes axes(values.size());
  std::copy(values.begin(), values.end(), axes.begin());
  return axes;
}

}  // namespace actcache

#endif  // ACTCACHE_OPS_ATTRIBUTE_READER_H_
