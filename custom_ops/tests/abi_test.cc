// Checks every fact in src/abi/onnxruntime_abi.h against the official header, at compile time.
#include "abi/onnxruntime_abi.h"

#include <onnxruntime_c_api.h>

#include <cstddef>
#include <type_traits>

namespace {

namespace ours = actcache::ort;

// Two function types agree if they have as many parameters, of the same sizes and kinds, and a
// result of the same size and kind. The opaque types differ by name, so the types themselves cannot
// be equal.
template <typename A, typename B>
constexpr bool kSameShape =
    (std::is_void_v<A> && std::is_void_v<B>) || (std::is_pointer_v<A> && std::is_pointer_v<B>) ||
    (!std::is_pointer_v<A> && !std::is_pointer_v<B> && !std::is_void_v<A> && !std::is_void_v<B> &&
     std::is_enum_v<A> == std::is_enum_v<B> &&
     sizeof(std::conditional_t<std::is_void_v<A>, int, A>) ==
         sizeof(std::conditional_t<std::is_void_v<B>, int, B>));

template <typename A, typename B>
struct SameFunction : std::false_type {};

template <typename RA, typename... A, typename RB, typename... B>
struct SameFunction<RA (*)(A...), RB (*)(B...)> {
  static constexpr bool value = [] {
    if constexpr (sizeof...(A) != sizeof...(B)) {
      return false;
    } else {
      return kSameShape<RA, RB> && (kSameShape<A, B> && ... && true);
    }
  }();
};

// Our slots are noexcept, the header's may be; that is not part of what is compared.
template <typename F>
struct Plain;
template <typename R, typename... A>
struct Plain<R (*)(A...)> {
  using type = R (*)(A...);
};
template <typename R, typename... A>
struct Plain<R (*)(A...) noexcept> {
  using type = R (*)(A...);
};
template <typename A, typename B>
constexpr bool kSameFunction =
    SameFunction<typename Plain<A>::type, typename Plain<B>::type>::value;

#define CHECK_SLOT(index, name, ...)                                                         \
  static_assert(offsetof(OrtApi, name) == (index) * sizeof(void*), "index of " #name);       \
  static_assert(kSameFunction<decltype(OrtApi::name), decltype(ours::slot::name)::Function>, \
                "signature of " #name);
ACTCACHE_ORT_SLOTS(CHECK_SLOT)
#if ORT_API_VERSION >= 24
ACTCACHE_ORT_ENTRY_SLOTS(CHECK_SLOT)
#endif
#undef CHECK_SLOT

#define CHECK_FIELD(ours_name, official)                                                   \
  static_assert(offsetof(ours::CustomOp, ours_name) == offsetof(OrtCustomOp, official),    \
                "offset of " #official);                                                   \
  static_assert(                                                                           \
      kSameFunction<decltype(ours::CustomOp::ours_name), decltype(OrtCustomOp::official)>, \
      "signature of " #official);
static_assert(offsetof(ours::CustomOp, version) == offsetof(OrtCustomOp, version));
CHECK_FIELD(create_kernel, CreateKernel)
CHECK_FIELD(get_name, GetName)
CHECK_FIELD(get_execution_provider_type, GetExecutionProviderType)
CHECK_FIELD(get_input_type, GetInputType)
CHECK_FIELD(get_input_type_count, GetInputTypeCount)
CHECK_FIELD(get_output_type, GetOutputType)
CHECK_FIELD(get_output_type_count, GetOutputTypeCount)
CHECK_FIELD(kernel_compute, KernelCompute)
CHECK_FIELD(kernel_destroy, KernelDestroy)
CHECK_FIELD(get_input_characteristic, GetInputCharacteristic)
CHECK_FIELD(get_output_characteristic, GetOutputCharacteristic)
CHECK_FIELD(get_input_memory_type, GetInputMemoryType)
CHECK_FIELD(get_variadic_input_min_arity, GetVariadicInputMinArity)
CHECK_FIELD(get_variadic_input_homogeneity, GetVariadicInputHomogeneity)
CHECK_FIELD(get_variadic_output_min_arity, GetVariadicOutputMinArity)
CHECK_FIELD(get_variadic_output_homogeneity, GetVariadicOutputHomogeneity)
CHECK_FIELD(create_kernel_v2, CreateKernelV2)
CHECK_FIELD(kernel_compute_v2, KernelComputeV2)
CHECK_FIELD(infer_output_shape, InferOutputShapeFn)
CHECK_FIELD(get_start_version, GetStartVersion)
CHECK_FIELD(get_end_version, GetEndVersion)
CHECK_FIELD(get_may_inplace, GetMayInplace)
CHECK_FIELD(release_may_inplace, ReleaseMayInplace)
CHECK_FIELD(get_alias_map, GetAliasMap)
CHECK_FIELD(release_alias_map, ReleaseAliasMap)
#undef CHECK_FIELD

static_assert(offsetof(ours::ApiBase, get_api) == offsetof(OrtApiBase, GetApi));
static_assert(offsetof(ours::ApiBase, get_version_string) ==
              offsetof(OrtApiBase, GetVersionString));

#define CHECK_VALUE(ours_value, official) \
  static_assert(static_cast<int>(ours_value) == static_cast<int>(official), #official)
CHECK_VALUE(ours::ErrorCode::kFail, ORT_FAIL);
CHECK_VALUE(ours::ErrorCode::kInvalidArgument, ORT_INVALID_ARGUMENT);
CHECK_VALUE(ours::ErrorCode::kRuntimeException, ORT_RUNTIME_EXCEPTION);
CHECK_VALUE(ours::ErrorCode::kNotImplemented, ORT_NOT_IMPLEMENTED);
CHECK_VALUE(ours::ErrorCode::kInvalidGraph, ORT_INVALID_GRAPH);
CHECK_VALUE(ours::Characteristic::kRequired, INPUT_OUTPUT_REQUIRED);
CHECK_VALUE(ours::Characteristic::kOptional, INPUT_OUTPUT_OPTIONAL);
CHECK_VALUE(ours::Characteristic::kVariadic, INPUT_OUTPUT_VARIADIC);
CHECK_VALUE(ours::MemType::kCpuInput, OrtMemTypeCPUInput);
CHECK_VALUE(ours::MemType::kDefault, OrtMemTypeDefault);
#define CHECK_TYPE(ours_name, official) \
  CHECK_VALUE(ours::ElementType::ours_name, ONNX_TENSOR_ELEMENT_DATA_TYPE_##official)
CHECK_TYPE(kUndefined, UNDEFINED);
CHECK_TYPE(kFloat, FLOAT);
CHECK_TYPE(kUint8, UINT8);
CHECK_TYPE(kInt8, INT8);
CHECK_TYPE(kUint16, UINT16);
CHECK_TYPE(kInt16, INT16);
CHECK_TYPE(kInt32, INT32);
CHECK_TYPE(kInt64, INT64);
CHECK_TYPE(kString, STRING);
CHECK_TYPE(kBool, BOOL);
CHECK_TYPE(kFloat16, FLOAT16);
CHECK_TYPE(kDouble, DOUBLE);
CHECK_TYPE(kUint32, UINT32);
CHECK_TYPE(kUint64, UINT64);
CHECK_TYPE(kComplex64, COMPLEX64);
CHECK_TYPE(kComplex128, COMPLEX128);
CHECK_TYPE(kBfloat16, BFLOAT16);
CHECK_TYPE(kFloat8E4M3FN, FLOAT8E4M3FN);
CHECK_TYPE(kFloat8E4M3FNUZ, FLOAT8E4M3FNUZ);
CHECK_TYPE(kFloat8E5M2, FLOAT8E5M2);
CHECK_TYPE(kFloat8E5M2FNUZ, FLOAT8E5M2FNUZ);
CHECK_TYPE(kUint4, UINT4);
CHECK_TYPE(kInt4, INT4);
#undef CHECK_TYPE
#undef CHECK_VALUE

}  // namespace

int main() { return 0; }
