#include "ops/session.h"

#include <utility>

#include "config/misspelt.h"
#include "region/registry.h"

namespace actcache {

namespace slot = ort::slot;

namespace {

std::string& Stated() noexcept {
  thread_local std::string stated;
  return stated;
}

}  // namespace

void StateModel(std::string text) { Stated() = std::move(text); }

const std::string& StatedModel() noexcept { return Stated(); }

SessionEntries ReadEntries(const ort::Api* api, const ort::KernelInfo* info) {
  ort::KeyValuePairs* raw = nullptr;
  ort::Call(api, slot::KernelInfo_GetConfigEntries, info, &raw);
  const ort::Handle pairs(api, raw, slot::ReleaseKeyValuePairs);
  const char* const* names = nullptr;
  const char* const* values = nullptr;
  std::size_t count = 0;
  slot::GetKeyValuePairs(api, pairs.get(), &names, &values, &count);
  SessionEntries entries;
  for (std::size_t i = 0; i < count; ++i) entries.emplace(names[i], values[i]);
  return entries;
}

SessionEntries ReadKnownEntries(const ort::Api* api, const ort::SessionOptions* options) {
  SessionEntries entries;
  for (const std::string& name : KnownEntries()) {
    int present = 0;
    ort::Call(api, slot::HasSessionConfigEntry, options, name.c_str(), &present);
    if (present == 0) continue;
    entries[name] = ort::ReadString(api, [&](char* out, std::size_t* size) {
      return slot::GetSessionConfigEntry(api, options, name.c_str(), out, size);
    });
  }
  return entries;
}

SessionSettings SettingsOf(const SessionEntries& entries) {
  TellOfEntries(entries);
  SessionKnobs knobs =
      Config::Process().RegisterSession([&](const std::string& name) -> std::optional<std::string> {
        const auto found = entries.find(name);
        if (found == entries.end()) return std::nullopt;
        return found->second;
      });
  SessionSettings settings;
  settings.name_space_number = Registry::Process().InternNamespace(knobs.name_space);
  settings.name_space = std::move(knobs.name_space);
  settings.ttl_ns = knobs.ttl_ns;
  settings.max_age_ns = knobs.max_age_ns;
  settings.value_entries = ValueEntries(entries);
  return settings;
}

}  // namespace actcache
