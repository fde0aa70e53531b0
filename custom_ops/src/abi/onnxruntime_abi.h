// The part of onnxruntime's stable C ABI that actcache uses, declared from its facts alone.
//
// The onnxruntime wheel ships no headers, so a library built against one would not build where it
// is used. The ABI is append-only: a slot keeps its index, a struct keeps its fields.
// tests/abi_test.cc compares every line here with the official header wherever that header is
// installed.
//
// onnxruntime hands out `ApiBase`; `ApiBase::get_api(v)` returns `Api`, a table of function
// pointers that is addressed here by slot: `slot::GetDimensions(api, info, out, n)`. Every slot of
// ACTCACHE_ORT_SLOTS exists since API version 17 at the latest, so one library serves onnxruntime
// 1.18 and everything newer; what is newer stands in a list of its own and is only called through a
// table that get_api() has given for that version.
#ifndef ACTCACHE_ABI_ONNXRUNTIME_ABI_H_
#define ACTCACHE_ABI_ONNXRUNTIME_ABI_H_

#include <cstddef>
#include <cstdint>

namespace actcache::ort {

// Versions: what the operators declare, and what is asked of the runtime (onnxruntime 1.18).
inline constexpr std::uint32_t kCustomOpVersion = 17;
inline constexpr std::uint32_t kApiVersion = 18;
// From here on (onnxruntime 1.24) a kernel can read the config entries of its session.
inline constexpr std::uint32_t kSessionEntriesVersion = 24;

// Opaque types of the runtime.
struct Api;
struct CustomOpDomain;
struct KernelContext;
struct KernelInfo;
struct KeyValuePairs;
struct Logger;
struct SessionOptions;
struct ShapeInferContext;
struct Status;
struct TensorInfo;  // OrtTensorTypeAndShapeInfo
struct TypeInfo;
struct Value;

enum class ErrorCode : int {
  kFail = 1,
  kInvalidArgument = 2,
  kRuntimeException = 6,
  kNotImplemented = 9,
  kInvalidGraph = 10,
};

// Same numbers as onnx's TensorProto.DataType.
enum class ElementType : int {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUint32 = 12,
  kUint64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
  kBfloat16 = 16,
  kFloat8E4M3FN = 17,
  kFloat8E4M3FNUZ = 18,
  kFloat8E5M2 = 19,
  kFloat8E5M2FNUZ = 20,
  kUint4 = 21,
  kInt4 = 22,
};

enum class Severity : int { kWarning = 2, kError = 3 };
enum class Characteristic : int { kRequired = 0, kOptional = 1, kVariadic = 2 };
enum class MemType : int { kCpuInput = -2, kDefault = 0 };

struct ApiBase {
  const Api* (*get_api)(std::uint32_t version) noexcept;
  const char* (*get_version_string)() noexcept;
};

// One custom operator: its schema and its kernel callbacks. Fields are in ABI order; the runtime
// reads only those that exist in `version`.
struct CustomOp {
  std::uint32_t version;
  void* (*create_kernel)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*get_name)(const CustomOp*);
  const char* (*get_execution_provider_type)(const CustomOp*);
  ElementType (*get_input_type)(const CustomOp*, std::size_t index);
  std::size_t (*get_input_type_count)(const CustomOp*);
  ElementType (*get_output_type)(const CustomOp*, std::size_t index);
  std::size_t (*get_output_type_count)(const CustomOp*);
  void (*kernel_compute)(void* kernel, KernelContext*);
  void (*kernel_destroy)(void* kernel);
  Characteristic (*get_input_characteristic)(const CustomOp*, std::size_t index);
  Characteristic (*get_output_characteristic)(const CustomOp*, std::size_t index);
  MemType (*get_input_memory_type)(const CustomOp*, std::size_t index);
  int (*get_variadic_input_min_arity)(const CustomOp*);
  int (*get_variadic_input_homogeneity)(const CustomOp*);
  int (*get_variadic_output_min_arity)(const CustomOp*);
  int (*get_variadic_output_homogeneity)(const CustomOp*);
  Status* (*create_kernel_v2)(const CustomOp*, const Api*, const KernelInfo*, void** kernel);
  Status* (*kernel_compute_v2)(void* kernel, KernelContext*);
  Status* (*infer_output_shape)(const CustomOp*, ShapeInferContext*);
  int (*get_start_version)(const CustomOp*);
  int (*get_end_version)(const CustomOp*);
  // Version 18. Unused, but there, so that no runtime can read past the end.
  std::size_t (*get_may_inplace)(int** input_index, int** output_index);
  void (*release_may_inplace)(int* input_index, int* output_index);
  std::size_t (*get_alias_map)(int** input_index, int** output_index);
  void (*release_alias_map)(int* input_index, int* output_index);
};

// A function of the runtime: an index into the table and a signature.
template <std::size_t Index, typename Signature>
struct Slot;

template <std::size_t Index, typename Result, typename... Args>
struct Slot<Index, Result(Args...)> {
  using Function = Result (*)(Args...) noexcept;
  static constexpr std::size_t kIndex = Index;

  Result operator()(const Api* api, Args... args) const noexcept {
    return reinterpret_cast<const Function*>(api)[Index](args...);
  }
};

// X(index, official name, signature)
// clang-format off
#define ACTCACHE_ORT_SLOTS(X)                                                                      \
  X(0,   CreateStatus, Status*(ErrorCode, const char* message))                                    \
  X(1,   GetErrorCode, ErrorCode(const Status*))                                                   \
  X(2,   GetErrorMessage, const char*(const Status*))                                              \
  X(26,  CreateCustomOpDomain, Status*(const char* name, CustomOpDomain** out))                    \
  X(27,  CustomOpDomain_Add, Status*(CustomOpDomain*, const CustomOp*))                            \
  X(28,  AddCustomOpDomain, Status*(SessionOptions*, CustomOpDomain*))                             \
  X(51,  GetTensorMutableData, Status*(Value*, void** out))                                        \
  X(53,  GetStringTensorDataLength, Status*(const Value*, std::size_t* out))                       \
  X(54,  GetStringTensorContent, Status*(const Value*, void* bytes, std::size_t byte_count,        \
                                         std::size_t* offsets, std::size_t offset_count))          \
  X(55,  CastTypeInfoToTensorInfo, Status*(const TypeInfo*, const TensorInfo** out))               \
  X(60,  GetTensorElementType, Status*(const TensorInfo*, ElementType* out))                       \
  X(61,  GetDimensionsCount, Status*(const TensorInfo*, std::size_t* out))                         \
  X(62,  GetDimensions, Status*(const TensorInfo*, std::int64_t* out, std::size_t rank))           \
  X(65,  GetTensorTypeAndShape, Status*(const Value*, TensorInfo** out))                           \
  X(85,  KernelInfoGetAttribute_float, Status*(const KernelInfo*, const char* name,                \
                                               float* out))                                        \
  X(86,  KernelInfoGetAttribute_int64, Status*(const KernelInfo*, const char* name,                \
                                               std::int64_t* out))                                 \
  X(87,  KernelInfoGetAttribute_string, Status*(const KernelInfo*, const char* name, char* out,    \
                                                std::size_t* size))                                \
  X(89,  KernelContext_GetOutputCount, Status*(const KernelContext*, std::size_t* out))            \
  X(90,  KernelContext_GetInput, Status*(const KernelContext*, std::size_t index,                  \
                                         const Value** out))                                       \
  X(91,  KernelContext_GetOutput, Status*(KernelContext*, std::size_t index,                       \
                                          const std::int64_t* dims, std::size_t rank,              \
                                          Value** out))                                            \
  X(93,  ReleaseStatus, void(Status*))                                                             \
  X(98,  ReleaseTypeInfo, void(TypeInfo*))                                                         \
  X(99,  ReleaseTensorTypeAndShapeInfo, void(TensorInfo*))                                         \
  X(163, KernelInfoGetAttributeArray_int64, Status*(const KernelInfo*, const char* name,           \
                                                    std::int64_t* out, std::size_t* size))         \
  X(230, KernelInfo_GetInputCount, Status*(const KernelInfo*, std::size_t* out))                   \
  X(231, KernelInfo_GetOutputCount, Status*(const KernelInfo*, std::size_t* out))                  \
  X(232, KernelInfo_GetInputName, Status*(const KernelInfo*, std::size_t index, char* out,         \
                                          std::size_t* size))                                      \
  X(234, KernelInfo_GetInputTypeInfo, Status*(const KernelInfo*, std::size_t index,                \
                                              TypeInfo** out))                                     \
  X(235, KernelInfo_GetOutputTypeInfo, Status*(const KernelInfo*, std::size_t index,               \
                                               TypeInfo** out))                                    \
  X(237, HasSessionConfigEntry, Status*(const SessionOptions*, const char* key, int* out))         \
  X(238, GetSessionConfigEntry, Status*(const SessionOptions*, const char* key, char* out,         \
                                        std::size_t* size))                                        \
  X(246, KernelContext_GetLogger, Status*(const KernelContext*, const Logger** out))               \
  X(247, Logger_LogMessage, Status*(const Logger*, Severity, const char* message,                  \
                                    const char* file, int line, const char* function))             \
  X(249, KernelInfoGetConstantInput_tensor, Status*(const KernelInfo*, std::size_t index,          \
                                                    int* is_constant, const Value** out))          \
  X(252, GetResizedStringTensorElementBuffer, Status*(Value*, std::size_t index,                   \
                                                      std::size_t byte_count, char** out))         \
  X(274, KernelContext_ParallelFor, Status*(const KernelContext*, void (*fn)(void*, std::size_t),  \
                                            std::size_t total, std::size_t num_batch, void* data))

// Since kSessionEntriesVersion.
#define ACTCACHE_ORT_ENTRY_SLOTS(X)                                                                \
  X(298, GetKeyValuePairs, void(const KeyValuePairs*, const char* const** keys,                    \
                                const char* const** values, std::size_t* count))                   \
  X(300, ReleaseKeyValuePairs, void(KeyValuePairs*))                                               \
  X(391, KernelInfo_GetConfigEntries, Status*(const KernelInfo*, KeyValuePairs** out))
// clang-format on

namespace slot {
#define ACTCACHE_ORT_SLOT(index, name, ...) inline constexpr Slot<index, __VA_ARGS__> name{};
ACTCACHE_ORT_SLOTS(ACTCACHE_ORT_SLOT)
ACTCACHE_ORT_ENTRY_SLOTS(ACTCACHE_ORT_SLOT)
#undef ACTCACHE_ORT_SLOT
}  // namespace slot

}  // namespace actcache::ort

#endif  // ACTCACHE_ABI_ONNXRUNTIME_ABI_H_
