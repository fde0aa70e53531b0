// Config: a name or a value that it does not take is a ConfigError and changes nothing; what it
// takes is within the bounds that knobs.h promises, can be read back as JSON, and can be taken
// back.
//
// Input: settings, each a layer, a knob (or a name that may be none) and a value.
#include "config/config.h"
#include "config/config_json.h"

#include <cmath>

#include "config/byte_size.h"
#include "json_reader.h"
#include "metrics/stats_json.h"
#include "reader.h"
#include "target.h"

namespace actcache {
namespace {

constexpr std::uint64_t kMemory = std::uint64_t{8} << 30;

std::string Described(const Config& config) { return ConfigJson(config.values()); }

void CheckValues(const Config& config) {
  const KnobValues values = config.values();
  ACTCACHE_FUZZ_CHECK(values.verify_fraction >= 0 && values.verify_fraction <= 1);
  ACTCACHE_FUZZ_CHECK(values.verify_tolerance >= 0);
  ACTCACHE_FUZZ_CHECK(values.session.name_space.size() <= kMaxNamespaceBytes);
  ACTCACHE_FUZZ_CHECK(values.budget_bytes == config.budget_bytes());
  ACTCACHE_FUZZ_CHECK(values.hash == HashKind::kBlake3 || values.hash == HashKind::kXxh3);
  const std::string json = Described(config);
  const std::optional<fuzz::Json> read = fuzz::JsonReader::Read(json);
  ACTCACHE_FUZZ_CHECK(read);
  ACTCACHE_FUZZ_CHECK(read->members.at("budget_bytes").text == std::to_string(values.budget_bytes));
}

// A percentage is of the whole, and nothing else depends on it.
void CheckByteSize(const std::string& text) {
  const std::optional<std::uint64_t> bytes = ParseByteSize(text, kMemory);
  if (!bytes) return;
  const std::optional<std::uint64_t> of_nothing = ParseByteSize(text, 0);
  ACTCACHE_FUZZ_CHECK(of_nothing);
  const bool percentage = text.find('%') != std::string::npos;
  ACTCACHE_FUZZ_CHECK(percentage ? *of_nothing == 0 && *bytes <= kMemory : *of_nothing == *bytes);
}

struct Setting {
  std::size_t layer;
  std::string name;
  std::string value;
};

Setting ReadSetting(fuzz::Reader* reader) {
  Setting setting;
  setting.layer = reader->Below(3);
  const std::size_t knob = reader->Below(kKnobCount + 1);
  setting.name = knob < kKnobCount ? kKnobs[knob].name : reader->Text(30);
  setting.value = reader->Text(255);
  return setting;
}

std::string EnvironmentName(std::string name) {
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return "ACTCACHE_" + name;
}

Config::Reader Only(const std::string& name, const std::string& value) {
  return [name, value](const std::string& asked) {
    return asked == name ? std::optional<std::string>(value) : std::nullopt;
  };
}

// Applies a setting in one of the ways that there are; false if it was refused.
bool Apply(Config* config, const Setting& setting) {
  try {
    switch (setting.layer) {
      case 0:
        config->Configure(setting.name, setting.value);
        break;
      case 1:
        config->RegisterSession(Only("actcache." + setting.name, setting.value));
        break;
      default: {
        const Config fresh(Only(EnvironmentName(setting.name), setting.value), kMemory,
                           [](const KnobValues&) {});
        CheckValues(fresh);
      }
    }
    return true;
  } catch (const ConfigError& error) {
    ACTCACHE_FUZZ_CHECK(std::string(error.what()).rfind("actcache: ", 0) == 0);
    return false;
  }
}

fuzz::Input Seed(std::size_t layer, std::size_t knob, const std::string& value) {
  fuzz::Input seed{static_cast<std::uint8_t>(layer), static_cast<std::uint8_t>(knob),
                   static_cast<std::uint8_t>(value.size())};
  seed.insert(seed.end(), value.begin(), value.end());
  return seed;
}

}  // namespace

std::vector<fuzz::Input> fuzz::Seeds() {
  const char* const values[] = {"268435456",
                                "512MiB",
                                "1.5 gib",
                                "10%",
                                " 99.9 % ",
                                "xxh3",
                                "inf",
                                "1e-4",
                                "0.25",
                                "disable",
                                "off",
                                "tenant\xff",
                                "18446744073709551615",
                                "16777216TiB",
                                "nan",
                                "-0",
                                "0x10"};
  std::vector<Input> seeds;
  for (std::size_t knob = 0; knob < kKnobCount; ++knob) {
    for (std::size_t i = 0; i < std::size(values); ++i)
      seeds.push_back(Seed(i % 3, knob, values[i]));
  }
  return seeds;
}

}  // namespace actcache

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace actcache;
  fuzz::Reader reader(data, size);
  std::size_t told = 0;
  Config config([](const std::string&) { return std::nullopt; }, kMemory,
                [&](const KnobValues& values) { told = values.budget_bytes; });
  while (!reader.empty()) {
    const Setting setting = ReadSetting(&reader);
    CheckByteSize(setting.value);
    const std::string before = Described(config);
    if (!Apply(&config, setting)) ACTCACHE_FUZZ_CHECK(Described(config) == before);
    CheckValues(config);
    ACTCACHE_FUZZ_CHECK(told == config.budget_bytes());
  }
  for (const Knob& knob : kKnobs) config.Configure(knob.name, std::nullopt);
  CheckValues(config);
  return 0;
}
