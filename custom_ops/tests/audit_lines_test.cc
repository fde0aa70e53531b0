// JsonLines: each kind of record as the line that docs/audit.md says.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "audit/json_lines.h"
#include "audit_testing.h"

namespace actcache {
namespace {

using testing_support::Lines;

// What comes before a member's value and what comes after it are known; the value is the clock's.
std::string WithoutTime(std::string line) {
  const std::size_t begin = line.find("\"t\":") + 4;
  const std::size_t end = line.find(',', begin);
  const std::string time = line.substr(begin, end - begin);
  EXPECT_EQ(time.find('.'), time.size() - 10) << line;  // nanoseconds
  EXPECT_GT(std::stoull(time), 1'600'000'000u) << line;
  return line.replace(begin, end - begin, "T");
}

class JsonLinesTest : public testing::Test {
 protected:
  JsonLinesTest() {
    Region& region = registry_.InternRegion("enc\"oder", "f1");
    region.granularity = "row";
    registry_.InternRegion("other", "f2");
    registry_.InternNamespace("");
    registry_.InternNamespace("tenant \\\n\xff \xc3\xa4");
    lines_.AppendStart(1, {"blake3", "{}"});
    lines_.clear();
  }

  template <typename Record>
  void Add(const Record& record, const std::vector<std::byte>& rest = {}) {
    std::vector<std::byte> bytes(sizeof(Record) + rest.size());
    std::memcpy(bytes.data(), &record, sizeof(Record));
    std::copy(rest.begin(), rest.end(), bytes.begin() + sizeof(Record));
    lines_.AppendRecord({static_cast<std::uint32_t>(Record::kKind), bytes.data(), bytes.size()});
  }

  std::vector<std::string> Take() {
    std::vector<std::string> lines = Lines(std::string(lines_.view()));
    EXPECT_EQ(lines_.view().back(), '\n');
    lines_.clear();
    std::transform(lines.begin(), lines.end(), lines.begin(), WithoutTime);
    return lines;
  }

  static LookupRecord Lookup() {
    LookupRecord record{};
    record.now_ns = 6;
    record.call = 7;
    record.bytes = 18446744073709551615u;
    record.hash_ns = 1;
    record.lookup_ns = 2;
    record.wait_ns = 3;
    record.copy_ns = 4;
    record.saved_ns = 5;
    return record;
  }

  Registry registry_;
  JsonLines lines_{registry_};
};

const char* const kRegion =
    R"({"event":"region","t":T,"region":0,"id":"enc\"oder","fingerprint":"f1","granularity":"row"})";

TEST_F(JsonLinesTest, AFileBeginsWithTheProcess) {
  lines_.AppendStart(3, {"xxh3", R"({"hash": "xxh3"})"});
  const std::string pid = std::to_string(getpid());
  EXPECT_EQ(Take().front(), R"({"event":"start","t":T,"schema":1,"part":3,"pid":)" + pid +
                                R"(,"version":")" ACTCACHE_VERSION
                                R"(","hash":"xxh3","config":{"hash": "xxh3"}})");
}

TEST_F(JsonLinesTest, ALookupTellsOfEachRow) {
  LookupRecord record = Lookup();
  record.rows = 3;
  record.name_space = 1;
  std::vector<std::byte> rest(3 * 13);
  const std::uint64_t keys[] = {0x0123456789abcdef, 0, ~std::uint64_t{0}};
  const std::uint32_t ages[] = {kNoAge, 12007, 0};
  std::memcpy(rest.data(), keys, 24);
  std::memcpy(rest.data() + 24, ages, 12);
  std::memcpy(rest.data() + 36, "mhj", 3);
  Add(record, rest);
  const auto lines = Take();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], kRegion);
  EXPECT_EQ(lines[1],
            "{\"event\":\"lookup\",\"t\":T,\"now_ns\":6,\"call\":7,\"region\":0,"
            "\"namespace\":\"tenant \\\\\\u000a\xef\xbf\xbd \xc3\xa4\",\"rows\":3,"
            "\"outcomes\":\"mhj\","
            "\"keys\":[\"0123456789abcdef\",\"0000000000000000\",\"ffffffffffffffff\"],"
            "\"ages\":[-1,12.007,0.000],\"bytes\":18446744073709551615,\"hash_ns\":1,"
            "\"lookup_ns\":2,\"wait_ns\":3,\"copy_ns\":4,\"saved_ns\":5}");
}

TEST_F(JsonLinesTest, ALookupOfPrefixesTellsHowLongItsRowsAre) {
  LookupRecord record = Lookup();
  record.rows = 4;
  record.length = 2;
  record.passed = true;
  Add(record);
  record.ends = true;
  Add(record);
  const auto lines = Take();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_NE(lines[1].find(R"("rows":4,"length":2,"outcomes":"bbbb")"), std::string::npos);
  EXPECT_NE(lines[2].find(R"("rows":4,"length":2,"ends":true,"outcomes":"bbbb")"),
            std::string::npos);
}

TEST_F(JsonLinesTest, ALookupTellsWhatTiersHad) {
  LookupRecord record = Lookup();
  record.rows = 1;
  record.fetched = 2;
  std::vector<std::byte> rest(13 + 2 * sizeof(FetchedRow));
  std::memcpy(rest.data() + 12, "k", 1);
  const FetchedRow rows[] = {{~std::uint64_t{0}, 7, 0, 12007, kNoAge, 1}, {5, 8, 1, 1, 2003, 0}};
  std::memcpy(rest.data() + 13, rows, sizeof(rows));
  Add(record, rest);
  EXPECT_EQ(Take().at(1),
            R"({"event":"lookup","t":T,"now_ns":6,"call":7,"region":0,"namespace":"","rows":1,)"
            R"("outcomes":"k","keys":["0000000000000000"],"ages":[0.000],)"
            R"("fetched":[{"row":7,"tier":"disk","cost_ns":18446744073709551615,"age":12.007,)"
            R"("ttl":-1,"trusted":true},{"row":8,"tier":"remote","cost_ns":5,"age":0.001,)"
            R"("ttl":2.003,"trusted":false}],)"
            R"("bytes":18446744073709551615,"hash_ns":1,"lookup_ns":2,"wait_ns":3,"copy_ns":4,)"
            R"("saved_ns":5})");
}

TEST_F(JsonLinesTest, ALookupThatPassedHasNoKeys) {
  LookupRecord record = Lookup();
  record.rows = 4;
  record.passed = true;
  record.region = 1;
  record.name_space = kNoNamespace;
  Add(record);
  EXPECT_EQ(
      Take(),
      (std::vector<std::string>{
          R"({"event":"region","t":T,"region":1,"id":"other","fingerprint":"f2",)"
          R"("granularity":"tensor"})",
          R"({"event":"lookup","t":T,"now_ns":6,"call":7,"region":1,"namespace":null,"rows":4,)"
          R"("outcomes":"bbbb","keys":null,"ages":null,"bytes":18446744073709551615,)"
          R"("hash_ns":1,"lookup_ns":2,"wait_ns":3,"copy_ns":4,"saved_ns":5})"}));
}

TEST_F(JsonLinesTest, AStoreCountsItsOutcomes) {
  StoreRecord record{};
  record.call = 8;
  record.rows = 6;
  record.stored_bytes = 24;
  record.cost_ns = 100;
  std::vector<std::byte> rest(6);
  std::memcpy(rest.data(), "ssr=xn", 6);
  Add(record, rest);
  EXPECT_EQ(
      Take().back(),
      R"({"event":"store","t":T,"now_ns":0,"call":8,"region":0,"stored":2,"refused":1,"bytes":24,)"
      R"("compute_ns":0,"copy_ns":0,"saved_ns":0,"cost_ns":100,"fetch_ns":0,)"
      R"("outcomes":"ssr=xn"})");
}

TEST_F(JsonLinesTest, ACopyBelongsToACall) {
  CopyRecord record{};
  record.call = 9;
  record.copy_ns = 1234;
  Add(record);
  EXPECT_EQ(Take().back(), R"({"event":"copy","t":T,"call":9,"region":0,"copy_ns":1234})");
}

TEST_F(JsonLinesTest, EvictionsControlAndPolicy) {
  EvictionRecord eviction{};
  eviction.key = 255;
  eviction.reason = "room";
  Add(eviction);
  ControlRecord control{};
  control.what = "pin";
  control.count = 3;
  control.text_bytes = 2;
  Add(control, {std::byte{'{'}, std::byte{'}'}});
  control.count = -1;
  Add(control, {std::byte{'{'}, std::byte{'}'}});
  PolicyRecord policy{};
  policy.state = "bypassed";
  policy.reason = "overhead exceeds saving";
  Add(policy);
  policy.state = "active";
  policy.reason = nullptr;
  Add(policy);
  lines_.AppendDropped(0, 12);
  EXPECT_EQ(Take(),
            (std::vector<std::string>{
                kRegion,
                R"({"event":"evict","t":T,"region":0,"keys":["00000000000000ff"],"reason":"room"})",
                R"({"event":"control","t":T,"what":"pin","arguments":{},"count":3})",
                R"({"event":"control","t":T,"what":"pin","arguments":{}})",
                R"({"event":"policy","t":T,"region":0,"state":"bypassed",)"
                R"("reason":"overhead exceeds saving"})",
                R"({"event":"policy","t":T,"region":0,"state":"active","reason":null})",
                R"({"event":"dropped","t":T,"events":12})"}));
}

TEST_F(JsonLinesTest, RegionsAreDescribedOncePerFile) {
  EvictionRecord eviction{};
  eviction.reason = "room";
  for (int file = 0; file < 2; ++file) {
    lines_.AppendStart(1, {"blake3", "{}"});
    for (const std::uint32_t region : {1u, 0u, 1u, 0u}) {
      eviction.region = region;
      Add(eviction);
    }
    EXPECT_EQ(Take().size(), 1u + 4u + 2u);
  }
}

TEST_F(JsonLinesTest, RegionsAndNamespacesThatCameLaterAreFound) {
  Add(Lookup());
  LookupRecord record = Lookup();
  record.region = registry_.InternRegion("late", "f3").number;
  record.name_space = *registry_.InternNamespace("late too");
  Add(record);
  const auto lines = Take();
  EXPECT_NE(lines[2].find("\"id\":\"late\""), std::string::npos);
  EXPECT_NE(lines[3].find("\"namespace\":\"late too\""), std::string::npos);
}

}  // namespace
}  // namespace actcache
