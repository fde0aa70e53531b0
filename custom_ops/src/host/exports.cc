// The exported control functions: no logic, only the edge of the library, where exceptions end.
#include <charconv>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <optional>
#include <string>

#include "actcache.h"
#include "audit/audit_log.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "config/byte_size.h"
#include "config/config.h"
#include "config/config_json.h"
#include "config/knobs.h"
#include "flight/open_flights.h"
#include "flight/thread_activity.h"
#include "host/fork.h"
#include "host/select.h"
#include "metrics/metrics_file.h"
#include "metrics/stats_json.h"
#include "ops/hand_over_table.h"
#include "ops/session.h"
#include "region/logged_calls.h"
#include "region/registry.h"
#include "store/simulation.h"
#include "store/store.h"
#include "tier/tiers.h"
#include "units/chain_simulation.h"
#include "units/tensor_digest.h"

namespace {

using actcache::AuditLog;
using actcache::Config;
using actcache::Registry;
using actcache::Select;
using actcache::Selection;
using actcache::Selectors;
using actcache::Simulation;
using actcache::SteadyNow;
using actcache::Store;
using actcache::Tiers;

__attribute__((constructor)) void OnLoad() noexcept { actcache::InstallForkHandlers(); }

// The library is never unloaded, so the process exits here.
__attribute__((destructor)) void OnExit() noexcept { actcache::MetricsFile::Process().Stop(); }

// Tells the audit log that the host called a control function.
void Audit(const char* what, const std::string& arguments, std::int64_t count) {
  AuditLog::Process().AddControl(what, arguments, count);
}

std::string JsonOrNull(const char* text) {
  return text == nullptr ? "null" : actcache::JsonString(text);
}

std::string Described(const Selectors& selectors) {
  // JSON has no infinity; no entry is 285 years old.
  char age[32];
  const char* const end =
      std::to_chars(age, age + sizeof(age), std::fmin(selectors.min_age_seconds, 9e9)).ptr;
  return "{\"namespace\":" + JsonOrNull(selectors.name_space) +
         ",\"region\":" + JsonOrNull(selectors.region) +
         ",\"fingerprint\":" + JsonOrNull(selectors.fingerprint) +
         ",\"min_age_seconds\":" + std::string(static_cast<const char*>(age), end) + "}";
}

constexpr int kAbi = 9;

// A fixed buffer, so that reporting "out of memory" needs none.
thread_local char last_error[1024] = "";

void SetLastError(const char* message) noexcept {
  std::strncpy(last_error, message, sizeof(last_error) - 1);
  last_error[sizeof(last_error) - 1] = '\0';
}

template <typename Result, typename Body>
Result Guard(Result failure, const Body& body) noexcept {
  SetLastError("");
  try {
    return body();
  } catch (const std::exception& error) {
    SetLastError(error.what());
  } catch (...) {
    SetLastError("actcache: unknown error");
  }
  return failure;
}

std::size_t CopyOut(const std::string& text, char* buffer, std::size_t capacity) {
  const std::size_t needed = text.size() + 1;
  if (buffer != nullptr && needed <= capacity) std::memcpy(buffer, text.c_str(), needed);
  return needed;
}

// Does it to the entries that are meant, and returns how many it changed.
using Operation = std::size_t (Store::*)(const Selection&, std::uint64_t now_ns) noexcept;
std::int64_t ForSelected(const char* what, const Selectors& selectors, Operation operation) {
  return Guard(std::int64_t{-1}, [&]() -> std::int64_t {
    const std::optional<Selection> selection = Select(Registry::Process(), selectors);
    const std::size_t count =
        selection ? (Store::Process().*operation)(*selection, SteadyNow()) : 0;
    Audit(what, Described(selectors), static_cast<std::int64_t>(count));
    return static_cast<std::int64_t>(count);
  });
}

}  // namespace

extern "C" {

int actcache_configure(const char* name, const char* value) {
  return Guard(-1, [&] {
    if (name == nullptr) throw actcache::ConfigError("actcache_configure: the name is null");
    std::optional<std::string> setting;
    if (value != nullptr) setting = value;
    Config::Process().Configure(name, setting);
    Audit("configure", "{" + actcache::JsonString(name) + ":" + JsonOrNull(value) + "}", -1);
    return 0;
  });
}

const char* actcache_last_error() { return last_error; }

std::size_t actcache_stats_json(char* buffer, std::size_t capacity) {
  return Guard(std::size_t{0}, [&] {
    Config::Process();  // so that the store has its budget
    return CopyOut(actcache::StatsJson(Registry::Process(), Store::Process()), buffer, capacity);
  });
}

std::size_t actcache_config_json(char* buffer, std::size_t capacity) {
  return Guard(std::size_t{0}, [&] {
    return CopyOut(actcache::ConfigJson(Config::Process().values()), buffer, capacity);
  });
}

std::int64_t actcache_invalidate(const char* name_space, const char* region,
                                 const char* fingerprint, double min_age_seconds) {
  return ForSelected("invalidate", {name_space, region, fingerprint, min_age_seconds},
                     &Store::Invalidate);
}

std::int64_t actcache_pin(const char* name_space, const char* region, const char* fingerprint,
                          double min_age_seconds) {
  return ForSelected("pin", {name_space, region, fingerprint, min_age_seconds}, &Store::Pin);
}

std::int64_t actcache_unpin(const char* name_space, const char* region, const char* fingerprint,
                            double min_age_seconds) {
  return ForSelected("unpin", {name_space, region, fingerprint, min_age_seconds}, &Store::Unpin);
}

int actcache_replay(const char* region, const char* fingerprint, std::uint64_t lookup_ns,
                    std::uint64_t store_ns, std::uint64_t cost_ns, std::uint64_t fetch_ns,
                    int passed, const char* outcomes) {
  return Guard(-1, [&] {
    if (region == nullptr || fingerprint == nullptr) {
      throw actcache::ConfigError("actcache_replay: the region or the fingerprint is null");
    }
    if (!actcache::AppendLogged(Registry::Process(), region, fingerprint,
                                {lookup_ns,
                                 store_ns,
                                 cost_ns,
                                 fetch_ns,
                                 passed != 0,
                                 {},
                                 outcomes == nullptr ? "" : outcomes})) {
      throw actcache::ConfigError(std::string("actcache: no session has had a region \"") + region +
                                  "\" of the fingerprint " + fingerprint);
    }
    return 0;
  });
}

int actcache_replay_fetched(const char* region, const char* fingerprint, std::uint64_t row,
                            const char* tier, std::uint64_t cost_ns, std::uint64_t age_ns,
                            std::uint64_t ttl_ns, int trusted) {
  return Guard(-1, [&] {
    if (region == nullptr || fingerprint == nullptr || tier == nullptr) {
      throw actcache::ConfigError(
          "actcache_replay_fetched: the region, the fingerprint or the tier is null");
    }
    std::size_t number = 0;
    while (number < actcache::kMostTiers && std::string_view(tier) != Tiers::NameOf(number)) {
      ++number;
    }
    if (number == actcache::kMostTiers) {
      throw actcache::ConfigError(std::string("actcache: there is no tier \"") + tier + '"');
    }
    if (!Registry::Process().AppendFetched(
            region, fingerprint,
            {static_cast<std::size_t>(row), number, cost_ns, age_ns, ttl_ns, trusted != 0})) {
      throw actcache::ConfigError(std::string("actcache: no call of region \"") + region +
                                  "\" is to be replayed");
    }
    return 0;
  });
}

actcache_simulation* actcache_simulation_new(std::uint64_t budget_bytes) {
  return Guard(static_cast<actcache_simulation*>(nullptr), [&] {
    return reinterpret_cast<actcache_simulation*>(new Simulation(budget_bytes));
  });
}

void actcache_simulation_free(actcache_simulation* simulation) {
  delete reinterpret_cast<Simulation*>(simulation);
}

int actcache_simulate(actcache_simulation* simulation, std::size_t count,
                      const std::uint32_t* regions, const std::uint64_t* keys,
                      const std::uint64_t* bytes, const std::uint64_t* saving_ns,
                      std::uint8_t* hits) {
  return Guard(-1, [&] {
    Simulation& store = *reinterpret_cast<Simulation*>(simulation);
    for (std::size_t i = 0; i < count; ++i) {
      const Simulation::Outcome outcome =
          store.Touch({regions[i], keys[i], bytes[i], saving_ns[i]});
      if (outcome == Simulation::Outcome::kNoMemory) throw std::bad_alloc();
      hits[i] = outcome == Simulation::Outcome::kHit ? 1 : 0;
    }
    return 0;
  });
}

std::int64_t actcache_simulate_chains(actcache_simulation* simulation,
                                      const actcache_simulated_chains* call) {
  return Guard(std::int64_t{-1}, [&] {
    const actcache::SimulatedChains played{
        call->region, call->rows,      call->length,    call->min_suffix,        call->keys,
        call->bytes,  call->end_bytes, call->saving_ns, call->hands_ends_on != 0};
    Simulation& store = *reinterpret_cast<Simulation*>(simulation);
    return static_cast<std::int64_t>(actcache::Simulate(store, played));
  });
}

int actcache_flush(double seconds) {
  // Longer than any patience, and its nanoseconds fit; NaN is no time at all.
  const double bounded = seconds > 0 ? std::min(seconds, 1e9) : 0;
  return actcache::Tiers::Process().Flush(static_cast<std::uint64_t>(bounded * 1e9)) ? 1 : 0;
}

void actcache_abandon() { actcache::OpenFlights::OfThisThread().EndAll(); }

void actcache_abandon_run(std::uint64_t begin_ns) {
  actcache_abandon();
  actcache::HandOverTable::Process().EndOfRun(actcache::CurrentThread(), begin_ns);
}

std::int64_t actcache_parse_bytes(const char* text, std::uint64_t whole) {
  return Guard(std::int64_t{-1}, [&]() -> std::int64_t {
    const std::string given = text == nullptr ? "" : text;
    const std::optional<std::uint64_t> bytes = actcache::ParseByteSize(given, whole);
    if (!bytes || *bytes > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
      throw actcache::ConfigError("actcache: '" + given +
                                  "' is not a number of bytes; write 4096, " +
                                  "512MiB, 1.5GiB or 10%");
    }
    return static_cast<std::int64_t>(*bytes);
  });
}

std::uint64_t actcache_default_budget(std::uint64_t memory_bytes) {
  return actcache::DefaultBudget(memory_bytes);
}

int actcache_state_model(const char* text) {
  return Guard(-1, [&] {
    actcache::StateModel(text == nullptr ? "" : text);
    return 0;
  });
}

int actcache_tensor_digest(int32_t type, const int64_t* dims, size_t rank, const void* data,
                           size_t bytes, unsigned char* digest) {
  return Guard(-1, [&] {
    actcache::TensorView tensor;
    tensor.type = static_cast<actcache::ElementType>(type);
    for (std::size_t i = 0; i < rank; ++i) tensor.dims.push_back(dims[i]);
    tensor.bytes = bytes;
    tensor.data = static_cast<const std::byte*>(data);
    const actcache::Digest found = actcache::DigestOfTensor(tensor);
    std::memcpy(digest, found.data(), found.size());
    return 0;
  });
}

const char* actcache_version() { return ACTCACHE_VERSION; }

int actcache_abi() { return kAbi; }

}  // extern "C"
