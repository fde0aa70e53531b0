// The statistics are JSON and name every region once, whatever regions and namespaces are called:
// both come out of model files and session options.
//
// Input: regions, each an id and a fingerprint.
#include "base/json_text.h"
#include "metrics/stats_json.h"

#include "json_reader.h"
#include "reader.h"
#include "target.h"

namespace actcache {
namespace {

using fuzz::Json;
using fuzz::JsonReader;

void CheckText(const std::string& text) {
  const std::optional<Json> read = JsonReader::Read(JsonString(text));
  ACTCACHE_FUZZ_CHECK(read);
  if (fuzz::IsUtf8(text)) ACTCACHE_FUZZ_CHECK(read->text == text);
}

void CheckStatistics(const Registry& registry) {
  const Store store(0);
  const std::optional<Json> read = JsonReader::Read(StatsJson(registry, store));
  ACTCACHE_FUZZ_CHECK(read);
  const std::map<std::string, Json>& regions = read->members.at("regions").members;
  ACTCACHE_FUZZ_CHECK(regions.size() == registry.Regions().size());
  for (const Region* region : registry.Regions()) {
    if (!fuzz::IsUtf8(region->id) || !fuzz::IsUtf8(region->fingerprint)) continue;
    bool found = false;
    for (const auto& [name, members] : regions) {
      found = found || (name.rfind(region->id, 0) == 0 &&
                        members.members.at("fingerprint").text == region->fingerprint);
    }
    ACTCACHE_FUZZ_CHECK(found);
  }
}

fuzz::Input Seed(const std::vector<std::string>& texts) {
  fuzz::Input seed;
  for (const std::string& text : texts) {
    seed.push_back(static_cast<std::uint8_t>(text.size()));
    seed.insert(seed.end(), text.begin(), text.end());
  }
  return seed;
}

}  // namespace

std::vector<fuzz::Input> fuzz::Seeds() {
  return {Seed({"encoder", "0123456789"}),
          Seed({"a", "0123456789", "a", "0123456788", "a", "012345678"}),
          Seed({"a", "0123456789", "a@01234567", "f", "a", "0123456788"}),
          Seed({"\"\\\n\x7f", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82"}),
          Seed({"\xc3", "\xff\xed\xa0\x80"}),
          Seed({std::string(1, '\0'), "x"})};
}

}  // namespace actcache

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace actcache;
  fuzz::Reader reader(data, size);
  Registry registry;
  while (!reader.empty()) {
    const std::string id = reader.Text(24);
    const std::string fingerprint = reader.Text(24);
    CheckText(id);
    Region& region = registry.InternRegion(id, fingerprint);
    RegionCounters::Add(region.counters.saved_ns, reader.empty() ? ~std::uint64_t{0} : size);
  }
  CheckStatistics(registry);
  return 0;
}
