#include "ops/kernel_io.h"

#include <cstring>
#include <string>

#include "ops/hand_over_table.h"

namespace actcache {

namespace slot = ort::slot;

namespace {

StringContent ReadStrings(const ort::Api* api, const ort::Value* value, std::size_t count) {
  std::size_t total = 0;
  ort::Call(api, slot::GetStringTensorDataLength, value, &total);
  StringContent content;
  content.bytes.resize(total + 1);  // never an empty buffer, whose data() may be null
  content.offsets.resize(count + 1);
  if (count > 0) {
    ort::Call(api, slot::GetStringTensorContent, value, content.bytes.data(), total,
              content.offsets.data(), count);
  }
  content.offsets[count] = total;
  return content;
}

}  // namespace

TensorView ViewOf(const ort::Api* api, const ort::Value* value) {
  ort::TensorInfo* raw_info = nullptr;
  ort::Call(api, slot::GetTensorTypeAndShape, value, &raw_info);
  const ort::Handle info(api, raw_info, slot::ReleaseTensorTypeAndShapeInfo);

  TensorView view;
  std::size_t rank = 0;
  ort::Call(api, slot::GetTensorElementType, info.get(), &view.type);
  ort::Call(api, slot::GetDimensionsCount, info.get(), &rank);
  view.dims.resize(rank);
  ort::Call(api, slot::GetDimensions, info.get(), view.dims.data(), rank);
  view.elements = ElementCount(view.dims);
  if (view.type == ElementType::kString) {
    view.strings = ReadStrings(api, value, view.elements);
    return view;
  }
  if (ElementBits(view.type) == 0) {
    throw ort::Error(ort::ErrorCode::kNotImplemented,
                     "actcache: element type " + std::to_string(static_cast<int>(view.type)) +
                         " is not supported");
  }
  view.bytes = ByteCount(view.type, view.dims);
  void* data = nullptr;
  // The runtime has one accessor for reading and writing; the input is only read.
  ort::Call(api, slot::GetTensorMutableData, const_cast<ort::Value*>(value), &data);
  view.data = static_cast<const std::byte*>(data);
  return view;
}

TensorView KernelIo::Input(std::size_t index) const {
  const ort::Value* value = nullptr;
  ort::Call(api_, slot::KernelContext_GetInput, context_, index, &value);
  if (value == nullptr) {
    throw ort::Error(ort::ErrorCode::kInvalidArgument,
                     "actcache: input " + std::to_string(index) + " is missing");
  }
  return ViewOf(api_, value);
}

KernelIo::Output KernelIo::Allocate(std::size_t index, ElementType type, const Dims& dims) const {
  Output output;
  ort::Call(api_, slot::KernelContext_GetOutput, context_, index, dims.data(), dims.size(),
            &output.value);
  if (output.value == nullptr || type == ElementType::kString) return output;
  void* data = nullptr;
  ort::Call(api_, slot::GetTensorMutableData, output.value, &data);
  output.data = static_cast<std::byte*>(data);
  HandOverTable::Process().EndOfPlansAt(output.data, ByteCount(type, dims));
  return output;
}

void KernelIo::WriteString(ort::Value* output, std::size_t index, std::string_view text) const {
  char* buffer = nullptr;
  // FillStringTensorElement stops at the first NUL; this one does not.
  ort::Call(api_, slot::GetResizedStringTensorElementBuffer, output, index, text.size(), &buffer);
  if (!text.empty()) std::memcpy(buffer, text.data(), text.size());
}

void KernelIo::Warn(const std::string& message) const noexcept {
  const ort::Logger* logger = nullptr;
  ort::Status* status = ort::slot::KernelContext_GetLogger(api_, context_, &logger);
  if (status == nullptr) {
    status = ort::slot::Logger_LogMessage(api_, logger, ort::Severity::kWarning, message.c_str(),
                                          "actcache", 0, "");
  }
  if (status != nullptr) ort::slot::ReleaseStatus(api_, status);
}

}  // namespace actcache
