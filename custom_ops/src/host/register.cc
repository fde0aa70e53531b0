// RegisterCustomOps: what onnxruntime calls when a session's options load the library.
#include <cstdio>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "abi/runtime.h"
#include "actcache.h"
#include "base/mutex.h"
#include "config/config.h"
#include "host/register.h"
#include "ops/cache_constants.h"
#include "ops/cache_fetch.h"
#include "ops/cache_lookup.h"
#include "ops/cache_store.h"
#include "ops/session.h"

namespace actcache {
namespace {

namespace slot = ort::slot;

constexpr const char* kDomain = "ai.actcache";

// Where the kernels of a session learn of its settings.
struct SettingsSource {
  // The runtime's table, if it tells kernels their session's entries; else null.
  const ort::Api* entries;
  // If it does not: what the entries were when the library was registered.
  SessionSettings registered;
  std::string runtime;

  // Of the session that this thread is creating.
  SessionSettings Of(const ort::KernelInfo* info) const {
    SessionSettings settings =
        entries == nullptr ? registered : SettingsOf(ReadEntries(entries, info));
    settings.runtime = runtime;
    settings.model = StatedModel();
    return settings;
  }
};

// A CustomOp with what its kernels share. `Kernel` is CacheLookup, CacheStore, CacheFetch or
// CacheConstants.
template <typename Kernel>
struct Operator : ort::CustomOp {
  explicit Operator(const SettingsSource& settings_in) : ort::CustomOp{}, settings(settings_in) {
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

  const SettingsSource& settings;

 private:
  struct Instance {
    const ort::Api* api;
    Kernel kernel;
  };

  static ort::Status* CreateKernel(const ort::CustomOp* op, const ort::Api* api,
                                   const ort::KernelInfo* info, void** kernel) {
    return ort::Guard(api, [&] {
      const auto& self = *static_cast<const Operator*>(op);
      *kernel = new Instance{api, Kernel(api, info, self.settings.Of(info))};
    });
  }

  static ort::Status* Compute(void* kernel, ort::KernelContext* context) {
    const auto& instance = *static_cast<const Instance*>(kernel);
    return ort::Guard(instance.api, [&] { instance.kernel.Compute(context); });
  }
};

struct LookupOperator : Operator<CacheLookup> {
  explicit LookupOperator(const SettingsSource& settings_in) : Operator(settings_in) {
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

// An operator of a branch: from a plan and tensors to live-outs.
template <typename Kernel>
struct BranchOperator : Operator<Kernel> {
  explicit BranchOperator(const SettingsSource& settings_in) : Operator<Kernel>(settings_in) {
    using ort::CustomOp;
    this->get_input_type_count = [](const CustomOp*) -> std::size_t { return 2; };
    this->get_input_type = [](const CustomOp*, std::size_t index) {
      return index == 0 ? ElementType::kUint8 : ElementType::kUndefined;
    };
    this->get_input_characteristic = [](const CustomOp*, std::size_t index) {
      return index == 0 ? ort::Characteristic::kRequired : ort::Characteristic::kVariadic;
    };
    this->get_output_type_count = [](const CustomOp*) -> std::size_t { return 1; };
    this->get_output_type = [](const CustomOp*, std::size_t) { return ElementType::kUndefined; };
    this->get_output_characteristic = [](const CustomOp*, std::size_t) {
      return ort::Characteristic::kVariadic;
    };
  }
};

struct ConstantsOperator : Operator<CacheConstants> {
  explicit ConstantsOperator(const SettingsSource& settings_in) : Operator(settings_in) {
    get_input_type_count = [](const CustomOp*) -> std::size_t { return 2; };
    get_input_type = [](const CustomOp*, std::size_t index) {
      return index == 0 ? ElementType::kBool : ElementType::kUndefined;
    };
    get_input_characteristic = [](const CustomOp*, std::size_t index) {
      return index == 0 ? ort::Characteristic::kRequired : ort::Characteristic::kVariadic;
    };
    get_output_type_count = [](const CustomOp*) -> std::size_t { return 1; };
    get_output_type = [](const CustomOp*, std::size_t) { return ElementType::kBool; };
    get_output_characteristic = [](const CustomOp*, std::size_t) {
      return ort::Characteristic::kRequired;
    };
  }
};

// The operators and their domain. Sessions refer to these objects, and nothing says when the last
// of them is gone, so they are made once and kept.
struct OperatorSet {
  OperatorSet(const ort::Api* api, SettingsSource settings_in)
      : settings(std::move(settings_in)),
        lookup(settings),
        store(settings),
        fetch(settings),
        constants(settings) {
    ort::Call(api, slot::CreateCustomOpDomain, kDomain, &domain);
    for (const ort::CustomOp* op :
         std::initializer_list<const ort::CustomOp*>{&lookup, &store, &fetch, &constants}) {
      ort::Call(api, slot::CustomOpDomain_Add, domain, op);
    }
  }

  const SettingsSource settings;
  const LookupOperator lookup;
  const BranchOperator<CacheStore> store;
  const BranchOperator<CacheFetch> fetch;
  const ConstantsOperator constants;
  ort::CustomOpDomain* domain = nullptr;
};

// The table with which kernels can read their session's entries; null if there is none. The version
// is looked at first, as get_api() complains on the error output about what it does not have.
const ort::Api* EntriesApi(const ort::ApiBase* base) {
  unsigned major = 0;
  unsigned minor = 0;
  if (std::sscanf(base->get_version_string(), "%u.%u", &major, &minor) != 2) return nullptr;
  if (major == 1 && minor < ort::kSessionEntriesVersion) return nullptr;
  return base->get_api(ort::kSessionEntriesVersion);
}

using OperatorSets =
    std::map<std::pair<const ort::Api*, SessionEntries>, std::unique_ptr<OperatorSet>>;
// Never freed; no initialiser that fork() could interrupt.
OperatorSets* operator_sets ACTCACHE_GUARDED_BY(operators_mutex) = nullptr;

// One set for each runtime, as a process can hold two of them, with domains of different layout;
// and, where kernels are not told their session's entries, for each of the entries registered.
OperatorSet& InternOperators(const ort::Api* api, const ort::ApiBase* base, SessionEntries entries,
                             SessionSettings settings) {
  const ort::Api* const entries_api = EntriesApi(base);
  if (entries_api != nullptr) entries.clear();
  const MutexLock lock(&operators_mutex);
  if (operator_sets == nullptr) operator_sets = new OperatorSets;
  std::unique_ptr<OperatorSet>& set = (*operator_sets)[{api, std::move(entries)}];
  if (!set) {
    set = std::make_unique<OperatorSet>(
        api, SettingsSource{entries_api, std::move(settings), base->get_version_string()});
  }
  return *set;
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
    // What is there already is read in any case: what makes no sense is refused here, and what
    // holds for the process holds from now on.
    SessionEntries entries = ReadKnownEntries(api, options);
    SessionSettings settings = SettingsOf(entries);
    // Nobody will tell whether a namespace is added, so none can be taken for certain.
    settings.shares = entries.count("actcache.namespace") != 0;
    OperatorSet& operators = InternOperators(api, base, std::move(entries), std::move(settings));
    ort::Call(api, slot::AddCustomOpDomain, options, operators.domain);
  });
}
