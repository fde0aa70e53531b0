// Which of several settings of one knob counts, and what is in effect.
//
// First wins: actcache_configure(), the session config entry "actcache.<name>" (of the session that
// was registered or created last), the environment variable ACTCACHE_<NAME>, the default. Where a
// knob holds for a session (knobs.h), the session's own entry comes before actcache_configure(),
// which sets what sessions without an entry get.
#ifndef ACTCACHE_CONFIG_CONFIG_H_
#define ACTCACHE_CONFIG_CONFIG_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/mutex.h"
#include "config/knobs.h"
#include "hash/hasher.h"
#include "policy/bypass_setting.h"

namespace actcache {

// A value or a name that a knob does not take; the message says which and what it takes instead.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Thread-safe. All setters throw ConfigError, or what `apply` throws, and change nothing then.
class Config {
 public:
  using Reader = std::function<std::optional<std::string>(const std::string& name)>;
  using Sink = std::function<void(const KnobValues&)>;

  // `environment` reads a variable; `memory_bytes` is what this process may use; `apply` is told
  // the values whenever one may have changed, under the configuration's lock, and throws if it
  // cannot do as they say. Throws ConfigError for an environment variable that means nothing.
  Config(const Reader& environment, std::uint64_t memory_bytes, Sink apply);

  // The configuration of the process, which is that of its store, audit log and metrics file.
  static Config& Process();

  // What actcache_configure() does. nullopt takes the setting back.
  void Configure(const std::string& name, const std::optional<std::string>& value);

  // Reads a session's entries ("actcache.<name>"), when the library is registered and again when
  // its kernels are created, and returns what holds for that session.
  SessionKnobs RegisterSession(const Reader& entry);

  // What is in effect for the process, and for sessions without entries of their own.
  KnobValues values() const;

  // Read by every call of an operator, so without the lock.
  std::size_t budget_bytes() const { return Read(budget_bytes_); }
  HashKind hash() const { return Read(hash_); }
  double verify_fraction() const { return Read(verify_fraction_); }
  double verify_tolerance() const { return Read(verify_tolerance_); }
  OnMismatch on_mismatch() const { return Read(on_mismatch_); }
  BypassSetting bypass() const { return Read(bypass_); }  // automatic: "auto"
  bool single_flight() const { return Read(single_flight_); }
  bool portable() const { return Read(portable_); }

  // For host/fork.h: hold all locks of the process's configuration, if it exists, around fork();
  // tell the store of a child its limits. A child has no metrics file until its configuration is
  // applied the next time, and then only if "%p" in its name makes it another one.
  static void LockForFork();
  static void UnlockAfterFork();
  static void ApplyAfterFork();

 private:
  enum Layer : std::size_t { kConfigured, kSession, kEnvironment, kLayerCount };
  using Settings = std::array<std::optional<std::string>, kKnobCount>;
  using Layers = std::array<Settings, kLayerCount>;

  template <typename Value>
  static Value Read(const std::atomic<Value>& value) {
    return value.load(std::memory_order_relaxed);
  }

  void Validate(const Knob& knob, const std::string& value, const std::string& where) const;
  KnobValues Effective() const ACTCACHE_REQUIRES(mutex_);
  void Apply() ACTCACHE_REQUIRES(mutex_);
  // Applies `layers`, or leaves everything as it was and throws.
  void Replace(Layers layers) ACTCACHE_REQUIRES(mutex_);

  const std::uint64_t memory_bytes_;
  const Sink apply_;
  mutable Mutex mutex_;
  Layers layers_ ACTCACHE_GUARDED_BY(mutex_);
  std::size_t namespace_quota_bytes_ ACTCACHE_GUARDED_BY(mutex_) = 0;
  std::atomic<std::size_t> budget_bytes_{0};
  std::atomic<HashKind> hash_{};
  std::atomic<double> verify_fraction_{};
  std::atomic<double> verify_tolerance_{};
  std::atomic<OnMismatch> on_mismatch_{};
  std::atomic<BypassSetting> bypass_{};
  std::atomic<bool> single_flight_{};
  std::atomic<bool> portable_{};
};

}  // namespace actcache

#endif  // ACTCACHE_CONFIG_CONFIG_H_
