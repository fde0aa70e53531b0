// The knobs, and which of several settings of one knob counts.
//
//   name          value                        holds for
//   budget_bytes  bytes, a decimal integer;    the process
//                 0 turns the cache off
//   hash          "blake3" or "xxh3"           the process
//   namespace     any text                     a session
//
// First wins: actcache_configure(), the session config entry "actcache.<name>" (of the session that
// was registered last), the environment variable ACTCACHE_<NAME>, the default. As the namespace is
// a session's own, its session config entry comes before actcache_configure(), which sets what
// sessions without an entry get.
#ifndef ACTCACHE_CONTROL_CONFIG_H_
#define ACTCACHE_CONTROL_CONFIG_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/mutex.h"
#include "hash/hasher.h"

namespace actcache {

inline constexpr std::size_t kDefaultBudgetBytes = std::size_t{256} << 20;

// A value or a name that a knob does not take; the message says which and what it takes instead.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Knob : std::size_t { kBudgetBytes, kHash, kNamespace };
inline constexpr std::size_t kKnobCount = 3;
inline constexpr std::array<const char*, kKnobCount> kKnobNames = {"budget_bytes", "hash",
                                                                   "namespace"};

// Thread-safe. All setters throw ConfigError, and change nothing then.
class Config {
 public:
  using Lookup = std::function<std::optional<std::string>(const std::string& name)>;
  using BudgetSink = std::function<void(std::size_t)>;

  // `environment` reads a variable; `apply_budget` is told every new budget. Throws ConfigError for
  // an environment variable that does not parse.
  Config(const Lookup& environment, BudgetSink apply_budget);

  // The configuration of the process, whose budget is the process store's.
  static Config& Process();

  // What actcache_configure() does. nullopt takes the setting back.
  void Configure(const std::string& name, const std::optional<std::string>& value);

  // Reads a session's entries ("actcache.<name>") and returns the session's namespace.
  std::string RegisterSession(const Lookup& entry);

  // Read by every lookup, so without the lock.
  HashKind hash() const { return hash_.load(std::memory_order_relaxed); }
  std::size_t budget_bytes() const { return budget_bytes_.load(std::memory_order_relaxed); }
  std::string default_namespace() const;

 private:
  enum Layer : std::size_t { kConfigured, kSession, kEnvironment, kLayerCount };
  using Settings = std::array<std::optional<std::string>, kKnobCount>;

  static void Validate(Knob knob, const std::string& value, const std::string& where);
  std::string Effective(Knob knob) const ACTCACHE_REQUIRES(mutex_);
  void Apply() ACTCACHE_REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::array<Settings, kLayerCount> layers_ ACTCACHE_GUARDED_BY(mutex_);
  const BudgetSink apply_budget_;
  std::atomic<HashKind> hash_{HashKind::kBlake3};
  std::atomic<std::size_t> budget_bytes_{kDefaultBudgetBytes};
};

}  // namespace actcache

#endif  // ACTCACHE_CONTROL_CONFIG_H_
