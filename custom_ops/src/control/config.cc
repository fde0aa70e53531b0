#include "control/config.h"

#include <cctype>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "store/store.h"

namespace actcache {
namespace {

std::optional<std::size_t> ParseBytes(const std::string& text) {
  std::size_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<HashKind> ParseHash(const std::string& text) {
  if (text == "blake3") return HashKind::kBlake3;
  if (text == "xxh3") return HashKind::kXxh3;
  return std::nullopt;
}

std::string DefaultOf(Knob knob) {
  switch (knob) {
    case Knob::kBudgetBytes:
      return std::to_string(kDefaultBudgetBytes);
    case Knob::kHash:
      return "blake3";
    case Knob::kNamespace:
      break;
  }
  return "";
}

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

}  // namespace

Config::Config(const Lookup& environment, BudgetSink apply_budget)
    : apply_budget_(std::move(apply_budget)) {
  const MutexLock lock(&mutex_);
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    const std::string name = EnvironmentName(kKnobNames[i]);
    const std::optional<std::string> value = environment(name);
    if (!value) continue;
    Validate(static_cast<Knob>(i), *value, "environment variable " + name);
    layers_[kEnvironment][i] = value;
  }
  Apply();
}

Config& Config::Process() {
  // Never destroyed, as the store and the registry.
  static auto* const config =
      new Config(ReadEnvironment, [](std::size_t budget) { Store::Process().SetBudget(budget); });
  return *config;
}

void Config::Validate(Knob knob, const std::string& value, const std::string& where) {
  const auto refuse = [&](const char* wanted) {
    throw ConfigError("actcache: " + where + " is \"" + value + "\", but has to be " + wanted);
  };
  if (knob == Knob::kBudgetBytes && !ParseBytes(value)) refuse("a whole number of bytes");
  if (knob == Knob::kHash && !ParseHash(value)) refuse("\"blake3\" or \"xxh3\"");
}

void Config::Configure(const std::string& name, const std::optional<std::string>& value) {
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    if (name != kKnobNames[i]) continue;
    if (value) Validate(static_cast<Knob>(i), *value, "actcache_configure: " + name);
    const MutexLock lock(&mutex_);
    layers_[kConfigured][i] = value;
    Apply();
    return;
  }
  throw ConfigError("actcache: there is no knob \"" + name +
                    "\"; the knobs are budget_bytes, hash and namespace");
}

std::string Config::RegisterSession(const Lookup& entry) {
  Settings settings;
  for (std::size_t i = 0; i < kKnobCount; ++i) {
    const std::string key = std::string("actcache.") + kKnobNames[i];
    settings[i] = entry(key);
    if (settings[i]) Validate(static_cast<Knob>(i), *settings[i], "session config entry " + key);
  }
  const MutexLock lock(&mutex_);
  for (const Knob knob : {Knob::kBudgetBytes, Knob::kHash}) {
    const auto i = static_cast<std::size_t>(knob);
    if (settings[i]) layers_[kSession][i] = settings[i];
  }
  Apply();
  const auto& own = settings[static_cast<std::size_t>(Knob::kNamespace)];
  return own ? *own : Effective(Knob::kNamespace);
}

std::string Config::Effective(Knob knob) const {
  for (const Settings& layer : layers_) {
    const auto& value = layer[static_cast<std::size_t>(knob)];
    if (value) return *value;
  }
  return DefaultOf(knob);
}

void Config::Apply() {
  hash_.store(*ParseHash(Effective(Knob::kHash)), std::memory_order_relaxed);
  const std::size_t budget = *ParseBytes(Effective(Knob::kBudgetBytes));
  budget_bytes_.store(budget, std::memory_order_relaxed);
  apply_budget_(budget);
}

std::string Config::default_namespace() const {
  const MutexLock lock(&mutex_);
  return Effective(Knob::kNamespace);
}

}  // namespace actcache
