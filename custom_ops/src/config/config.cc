#include "config/config.h"

#include <atomic>
#include <cctype>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <utility>

#include "audit/audit_log.h"
#include "audit/removals.h"
#include "base/memory_limit.h"
#include "base/process_path.h"
#include "config/config_json.h"
#include "config/misspelt.h"
#include "metrics/metrics_file.h"
#include "store/store.h"
#include "tier/tiers.h"

namespace actcache {
namespace {

std::string EnvironmentName(const char* knob) {
  std::string name = "ACTCACHE_";
  for (const char* c = knob; *c != '\0'; ++c) {
    name += static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
  }
  return name;
}

std::optional<std::string> ReadEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::string KnobNames() {
  std::string names;
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    if (i > 0) names += i + 1 < kKnobCount ? ", " : " and ";
    names += kKnobs[i].name;
  }
  return names;
}

// What does not change, the store and the files leave alone.
void ApplyToStore(std::size_t budget_bytes, std::size_t namespace_quota_bytes) {
  Store::Process().SetBudget(budget_bytes);
  Store::Process().SetNamespaceQuota(namespace_quota_bytes);
}

void ApplyToProcess(const KnobValues& values) {
  // First what may fail: tiers are opened, and used only once there is a file for the log.
  try {
    Tiers::Opened tiers = Tiers::Process().Open(values.tiers);
    AuditLog& log = AuditLog::Process();
    log.Configure(values.audit, {HashName(values.hash), ConfigJson(values)});
    Store::Process().SetRemovalListener(log.on() ? &AuditRemoval : nullptr);
    MetricsFile::Process().SetPath(values.metrics_path);
    Tiers::Process().Use(std::move(tiers));
  } catch (const std::exception& error) {
    throw ConfigError(std::string("actcache: ") + error.what());
  }
  ApplyToStore(values.budget_bytes, values.namespace_quota_bytes);
}

// No function-local static: a fork() while another thread initialises it would leave the child
// waiting for that thread.
Mutex process_mutex;                           // held to make the process's configuration
std::atomic<Config*> process_config{nullptr};  // set under it

// The process's configuration, made if there is none yet.
Config& MadeForProcess() ACTCACHE_REQUIRES(process_mutex) {
  Config* config = process_config.load(std::memory_order_relaxed);
  if (config == nullptr) {
    // Never destroyed, as the store and the registry.
    config = new Config(ReadEnvironment, MemoryLimit(), &ApplyToProcess);
    process_config.store(config, std::memory_order_release);
    TellOfVariables();
  }
  return *config;
}

}  // namespace

Config::Config(const Reader& environment, std::uint64_t memory_bytes, Sink apply)
    : memory_bytes_(memory_bytes), apply_(std::move(apply)) {
  const MutexLock lock(&mutex_);
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    const std::string name = EnvironmentName(kKnobs[i].name);
    const std::optional<std::string> value = environment(name);
    if (!value) continue;
    Validate(kKnobs[i], *value, "environment variable " + name);
    layers_[kEnvironment][i] = value;
  }
  Apply();
}

Config& Config::Process() {
  if (Config* const config = process_config.load(std::memory_order_acquire)) return *config;
  const MutexLock lock(&process_mutex);
  return MadeForProcess();
}

void Config::Validate(const Knob& knob, const std::string& value, const std::string& where) const {
  KnobValues unused(memory_bytes_);
  const std::string given = "actcache: " + where + " is \"" + (knob.secret ? "***" : value) + "\"";
  if (!knob.read(value, &unused)) throw ConfigError(given + ", but has to be " + knob.takes);
  if (knob.obstacle == nullptr) return;
  if (const std::optional<std::string> obstacle = knob.obstacle(value)) {
    throw ConfigError(given + ", but " + *obstacle);
  }
}

void Config::Configure(const std::string& name, const std::optional<std::string>& value) {
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    if (name != kKnobs[i].name) continue;
    if (value) Validate(kKnobs[i], *value, "knob " + name);
    const MutexLock lock(&mutex_);
    Layers layers = layers_;
    layers[kConfigured][i] = value;
    Replace(std::move(layers));
    return;
  }
  throw ConfigError("actcache: there is no knob \"" + name + "\"; the knobs are " + KnobNames());
}

SessionKnobs Config::RegisterSession(const Reader& entry) {
  Settings settings;
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    const std::string key = std::string("actcache.") + kKnobs[i].name;
    settings[i] = entry(key);
    if (settings[i]) Validate(kKnobs[i], *settings[i], "session config entry " + key);
  }
  const MutexLock lock(&mutex_);
  Layers layers = layers_;
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    if (kKnobs[i].scope == Knob::Scope::kProcess && settings[i]) layers[kSession][i] = settings[i];
  }
  Replace(std::move(layers));
  KnobValues own = Effective();
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    if (kKnobs[i].scope == Knob::Scope::kSession && settings[i]) {
      kKnobs[i].read(*settings[i], &own);
    }
  }
  return own.session;
}

KnobValues Config::values() const {
  const MutexLock lock(&mutex_);
  return Effective();
}

KnobValues Config::Effective() const {
  KnobValues values(memory_bytes_);
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    for (const Settings& layer : layers_) {
      if (!layer[i]) continue;
      kKnobs[i].read(*layer[i], &values);
      break;
    }
  }
  return values;
}

void Config::Replace(Layers layers) {
  std::swap(layers, layers_);
  try {
    Apply();
  } catch (...) {
    layers_ = std::move(layers);
    throw;
  }
}

void Config::Apply() {
  const KnobValues values = Effective();
  apply_(values);
  constexpr auto kRelaxed = std::memory_order_relaxed;
  budget_bytes_.store(values.budget_bytes, kRelaxed);
  hash_.store(values.hash, kRelaxed);
  verify_fraction_.store(values.verify_fraction, kRelaxed);
  verify_tolerance_.store(values.verify_tolerance, kRelaxed);
  on_mismatch_.store(values.on_mismatch, kRelaxed);
  bypass_.store(bypass_.load(kRelaxed).After(values.bypass), kRelaxed);
  single_flight_.store(values.single_flight, kRelaxed);
  portable_.store(values.portable, kRelaxed);
  namespace_quota_bytes_ = values.namespace_quota_bytes;
}

void Config::LockForFork() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  process_mutex.Lock();
  if (Config* const config = process_config.load(std::memory_order_relaxed)) config->mutex_.Lock();
}

void Config::UnlockAfterFork() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  if (Config* const config = process_config.load(std::memory_order_relaxed))
    config->mutex_.Unlock();
  process_mutex.Unlock();
}

// REQUIRES, which the analysis cannot see: the locks, from LockForFork().
void Config::ApplyAfterFork() ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
  Config* const config = process_config.load(std::memory_order_relaxed);
  if (config == nullptr) return;
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    if (std::string_view(kKnobs[i].name) != "metrics_path") continue;
    for (Settings& layer : config->layers_) {
      if (layer[i] && !NamesProcess(*layer[i])) layer[i].reset();  // that file is the parent's
    }
  }
  ApplyToStore(config->budget_bytes(), config->namespace_quota_bytes_);
}

}  // namespace actcache
