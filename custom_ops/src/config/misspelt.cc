#include "config/misspelt.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdio>
#include <numeric>
#include <set>
#include <vector>

#include "config/knobs.h"

extern char** environ;

namespace actcache {
namespace {

constexpr std::string_view kVariable = "ACTCACHE_";
constexpr std::string_view kEntry = "actcache.";
// Of the Python package.
constexpr std::string_view kOtherVariables[] = {"ACTCACHE_LIBRARY"};
constexpr std::string_view kOtherEntries[] = {"actcache.registered_library"};

bool Begins(std::string_view text, std::string_view with) {
  return text.substr(0, with.size()) == with;
}

std::string InCase(std::string_view text, int (*convert)(int)) {
  std::string converted(text);
  for (char& c : converted) c = static_cast<char>(convert(static_cast<unsigned char>(c)));
  return converted;
}

// How many letters have to be put in, left out or changed (Levenshtein).
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

struct Closest {
  std::string_view knob;
  std::size_t distance = ~std::size_t{0};
  bool is_close = false;
};

Closest ClosestKnob(std::string_view name) {
  constexpr std::size_t kFew = 2;
  constexpr std::size_t kTelling = 4;  // letters
  Closest closest;
  for (const Knob& knob : kKnobs) {
    const std::string_view known = knob.name;
    const std::size_t common = std::min(name.size(), known.size());
    const bool begins_alike =
        common >= kTelling && name.substr(0, common) == known.substr(0, common);
    const std::size_t distance =
        begins_alike ? std::min(kFew, Distance(name, known)) : Distance(name, known);
    if (distance < closest.distance) closest = {known, distance, distance <= kFew};
  }
  return closest;
}

// No lock, which a fork() might leave taken. Who comes while another tells is told the next time.
std::atomic<bool> telling{false};
std::set<std::string>* told = nullptr;  // of who is telling; never destroyed

void TellOnce(const std::string& text) {
  if (telling.exchange(true, std::memory_order_acquire)) return;
  if (told == nullptr) told = new std::set<std::string>;
  const bool is_new = told->insert(text).second;
  telling.store(false, std::memory_order_release);
  if (!is_new) return;
  std::fprintf(stderr, "actcache: %s\n", text.c_str());
}

}  // namespace

std::optional<std::string> AboutVariable(std::string_view name) {
  if (!Begins(name, kVariable)) return std::nullopt;
  for (const std::string_view other : kOtherVariables) {
    if (name == other) return std::nullopt;
  }
  const Closest closest = ClosestKnob(InCase(name.substr(kVariable.size()), &std::tolower));
  const std::string meant = std::string(kVariable) + InCase(closest.knob, &std::toupper);
  if (!closest.is_close || meant == name) return std::nullopt;
  return "the environment variable " + std::string(name) + " has no effect; is " + meant +
         " meant?";
}

std::optional<std::string> AboutEntry(std::string_view name) {
  if (!Begins(name, kEntry)) return std::nullopt;
  for (const std::string_view other : kOtherEntries) {
    if (name == other) return std::nullopt;
  }
  const Closest closest = ClosestKnob(name.substr(kEntry.size()));
  const std::string meant = std::string(kEntry) + std::string(closest.knob);
  if (meant == name) return std::nullopt;
  return "the session config entry " + std::string(name) + " has no effect; is " + meant +
         " meant?";
}

void TellOfVariables() {
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view whole = *variable;
    if (const auto text = AboutVariable(whole.substr(0, whole.find('=')))) TellOnce(*text);
  }
}

void TellOfEntries(const SessionEntries& entries) {
  for (const auto& [name, value] : entries) {
    if (const auto text = AboutEntry(name)) TellOnce(*text);
  }
}

}  // namespace actcache
