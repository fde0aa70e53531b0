// RegisterCustomOps: what onnxruntime calls when a session's options load the library.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "abi/runtime.h"
#include "actcache.h"
#include "base/mutex.h"
#include "control/config.h"
#include "control/registry.h"
#include "ops/cache_lookup.h"
#include "ops/cache_store.h"
#include "ops/register.h"
#include "ops/session.h"

namespace actcache {
namespace {

namespace slot = ort::slot;

constexpr const char* kDomain = "ai.actcache";

// A CustomOp with what its kernels share. `Kernel` is CacheLookup or CacheStore.
template <typename Kernel>
struct Operator : ort::CustomOp {
  Operator(const ort::Api* api_in, const SessionSettings& session_in)
      : ort::CustomOp{}, api(api_in), session(session_in) {
    version = ort::kCustomOpVersion;
    get_name = [](const CustomOp*) { return Kernel::kName; };
    get_execution_provider_type = [](const CustomOp*) -> const char* {
      return "CPUExecutionProvider";
    };
    get_input_memory_type = [](const CustomOp*, std::size_t) { return ort::MemType::kDefault; };
    get_variadic_input_min_arity = [](const CustomOp*) { return 1; };
    get_variadic_input_homogeneity = [](const CustomOp*) { return 0; };
    get_variadic_output_min_arity = [](const CustomOp*) { return 1; };
    get_variadic_output_homogeneity = [](const CustomOp*) { return 0; };
    get_start_version = [](const CustomOp*) { return 1; };
    get_end_version = [](const CustomOp*) { return 1; };
    create_kernel_v2 = &CreateKernel;
    kernel_compute_v2 = &Compute;
    kernel_destroy = [](void* kernel) { delete static_cast<Instance*>(kernel); };
  }

  const ort::Api* api;
  const SessionSettings& session;

 private:
  struct Instance {
    const ort::Api* api;
    Kernel kernel;
  };

  static ort::Status* CreateKernel(const ort::CustomOp* op, const ort::Api* api,
                                   const ort::KernelInfo* info, void** kernel) {
    return ort::Guard(api, [&] {
      const auto& self = *static_cast<const Operator*>(op);
      *kernel = new Instance{api, Kernel(api, info, self.session)};
    });
  }

  static ort::Status* Compute(void* kernel, ort::KernelContext* context) {
    const auto& instance = *static_cast<const Instance*>(kernel);
    return ort::Guard(instance.api, [&] { instance.kernel.Compute(context); });
  }
};

struct LookupOperator : Operator<CacheLookup> {
  LookupOperator(const ort::Api* api_in, const SessionSettings& session_in)
      : Operator(api_in, session_in) {
    get_input_type_count = [](const CustomOp*) -> std::size_t { return 1; };
    get_input_type = [](const CustomOp*, std::size_t) { return ElementType::kUndefined; };
    get_input_characteristic = [](const CustomOp*, std::size_t) {
      return ort::Characteristic::kVariadic;
    };
    get_output_type_count = [](const CustomOp*) -> std::size_t { return 3; };
    get_output_type = [](const CustomOp*, std::size_t index) {
      constexpr ElementType kTypes[] = {ElementType::kBool, ElementType::kUint8,
                                        ElementType::kUndefined};
      return kTypes[index];
    };
    get_output_characteristic = [](const CustomOp*, std::size_t index) {
      return index < 2 ? ort::Characteristic::kRequired : ort::Characteristic::kVariadic;
    };
  }
};

struct StoreOperator : Operator<CacheStore> {
  StoreOperator(const ort::Api* api_in, const SessionSettings& session_in)
      : Operator(api_in, session_in) {
    get_input_type_count = [](const CustomOp*) -> std::size_t { return 2; };
    get_input_type = [](const CustomOp*, std::size_t index) {
      return index == 0 ? ElementType::kUint8 : ElementType::kUndefined;
    };
    get_input_characteristic = [](const CustomOp*, std::size_t index) {
      return index == 0 ? ort::Characteristic::kRequired : ort::Characteristic::kVariadic;
    };
    get_output_type_count = [](const CustomOp*) -> std::size_t { return 1; };
    get_output_type = [](const CustomOp*, std::size_t) { return ElementType::kUndefined; };
    get_output_characteristic = [](const CustomOp*, std::size_t) {
      return ort::Characteristic::kVariadic;
    };
  }
};

// The operators and their domain for sessions of the same settings. Sessions refer to these
// objects, and nothing says when the last of them is gone, so they are made once and kept.
struct OperatorSet {
  OperatorSet(const ort::Api* api, const SessionKnobs& knobs)
      : session{knobs.name_space, Registry::Process().InternNamespace(knobs.name_space),
                knobs.ttl_ns, knobs.max_age_ns},
        lookup(api, session),
        store(api, session) {
    ort::Call(api, slot::CreateCustomOpDomain, kDomain, &domain);
    ort::Call(api, slot::CustomOpDomain_Add, domain, static_cast<const ort::CustomOp*>(&lookup));
    ort::Call(api, slot::CustomOpDomain_Add, domain, static_cast<const ort::CustomOp*>(&store));
  }

  const SessionSettings session;
  const LookupOperator lookup;
  const StoreOperator store;
  ort::CustomOpDomain* domain = nullptr;
};

// Keyed by the runtime too: a process can hold two of them, with domains of different layout.
OperatorSet& InternOperators(const ort::Api* api, const SessionKnobs& knobs) {
  using Settings = std::tuple<const ort::Api*, std::string, std::uint64_t, std::uint64_t>;
  using Sets = std::map<Settings, std::unique_ptr<OperatorSet>>;
  static Sets* sets = nullptr;  // never freed; no initialiser that fork() could interrupt
  const MutexLock lock(&operators_mutex);
  if (sets == nullptr) sets = new Sets;
  std::unique_ptr<OperatorSet>& set =
      (*sets)[{api, knobs.name_space, knobs.ttl_ns, knobs.max_age_ns}];
  if (!set) set = std::make_unique<OperatorSet>(api, knobs);
  return *set;
}

std::optional<std::string> SessionEntry(const ort::Api* api, const ort::SessionOptions* options,
                                        const std::string& key) {
  int present = 0;
  ort::Call(api, slot::HasSessionConfigEntry, options, key.c_str(), &present);
  if (present == 0) return std::nullopt;
  return ort::ReadString(api, [&](char* out, std::size_t* size) {
    return slot::GetSessionConfigEntry(api, options, key.c_str(), out, size);
  });
}

// An error from a runtime that is too old for us can only be made with a table that it has.
ort::Status* RefuseOldRuntime(const ort::ApiBase* base) {
  for (std::uint32_t version = ort::kApiVersion - 1; version > 0; --version) {
    const ort::Api* api = base->get_api(version);
    if (api == nullptr) continue;
    return ort::Guard(api, [&] {
      throw ort::Error(ort::ErrorCode::kNotImplemented,
                       std::string("actcache needs onnxruntime 1.18 or newer; this is ") +
                           base->get_version_string());
    });
  }
  return nullptr;  // no such runtime exists
}

}  // namespace
}  // namespace actcache

extern "C" ACTCACHE_EXPORT actcache::ort::Status* RegisterCustomOps(
    actcache::ort::SessionOptions* options, const actcache::ort::ApiBase* base) {
  using namespace actcache;  // NOLINT(google-build-using-namespace): the function is ours
  const ort::Api* api = base->get_api(ort::kApiVersion);
  if (api == nullptr) return RefuseOldRuntime(base);
  return ort::Guard(api, [&] {
    const SessionKnobs knobs = Config::Process().RegisterSession(
        [&](const std::string& key) { return SessionEntry(api, options, key); });
    OperatorSet& operators = InternOperators(api, knobs);
    ort::Call(api, slot::AddCustomOpDomain, options, operators.domain);
  });
}
