// What a kernel reads from and writes to onnxruntime during one call.
#ifndef ACTCACHE_OPS_KERNEL_IO_H_
#define ACTCACHE_OPS_KERNEL_IO_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "abi/runtime.h"
#include "units/tensor_view.h"

namespace actcache {

// Type, shape and bytes of a tensor of the runtime; strings are copied. Throws ort::Error, also
// where the library does not know the type.
TensorView ViewOf(const ort::Api* api, const ort::Value* value);

// The context of one kernel call. Valid during that call and on its thread only, but for
// ParallelFor's body, which must not touch it. All methods throw ort::Error.
class KernelIo {
 public:
  KernelIo(const ort::Api* api, ort::KernelContext* context) : api_(api), context_(context) {}

  // Type, shape and bytes of input `index`; strings are copied.
  TensorView Input(std::size_t index) const;

  // An output allocated by the runtime. `value` is null when nothing in the model reads the output.
  struct Output {
    ort::Value* value = nullptr;
    std::byte* data = nullptr;  // null for strings and for unread outputs
  };
  Output Allocate(std::size_t index, ElementType type, const Dims& dims) const;
  void WriteString(ort::Value* output, std::size_t index, std::string_view text) const;

  // A warning in the session's log. Best effort: a log that fails is no reason for a Run to.
  void Warn(const std::string& message) const noexcept;

  const ort::Api* api() const { return api_; }
  ort::KernelContext* context() const { return context_; }

 private:
  const ort::Api* api_;
  ort::KernelContext* context_;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_KERNEL_IO_H_
