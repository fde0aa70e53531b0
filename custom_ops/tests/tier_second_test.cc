// Two tiers, of which each has some of the values that a call asks for.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tier/disk/disk_tier.h"
#include "tier/tiers.h"
#include "tier_remote_testing.h"
#include "tier_testing.h"

namespace actcache {
namespace {

constexpr std::size_t kBytes = 100;
constexpr std::size_t kKeys = 6;

class TwoTiersTest : public testing::Test {
 protected:
  // Some are on the disk, some on the server, one on both, two nowhere.
  static bool OnDisk(std::uint64_t number) { return number % 2 == 1; }
  static bool OnServer(std::uint64_t number) { return number % 3 == 1; }

  void SetUp() override {
    settings_.disk_path = folder_.path() + "/store";
    {
      DiskTier disk(settings_.disk_path, 0);
      for (std::uint64_t number = 0; number < kKeys; ++number) {
        if (OnDisk(number)) PutOne(&disk, number, kBytes);
      }
    }
    settings_.remote.url = "redis://127.0.0.1:" + std::to_string(server_.port());
    settings_.remote.secret = "a secret of this test";
    const auto remote = OpenRemoteTier(settings_.remote);
    for (std::uint64_t number = 0; number < kKeys; ++number) {
      if (!OnServer(number)) continue;
      const Record record = TestRecord(number, kBytes, remote->secret());
      records_[NameOf(TestKey(number))].assign(reinterpret_cast<const char*>(record.data()),
                                               record.size());
    }
  }

  static std::string NameOf(const TierKey& key) {
    std::string name = "actcache:1:";
    for (const unsigned char byte : key) {
      for (const int half : {byte >> 4, byte & 15}) name += "0123456789abcdef"[half];
    }
    return name;
  }
  bool Answer(int connection, const std::vector<std::string>& words) {
    const auto found = words.size() < 2 ? records_.end() : records_.find(words[1]);
    const std::string value = found == records_.end() ? "" : found->second;
    if (words[0] != "GET") {
      BrokenServer::Send(connection, ":0\r\n");
    } else if (value.empty()) {
      BrokenServer::Send(connection, "$-1\r\n");
    } else {
      BrokenServer::Send(connection, "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n");
    }
    return true;
  }

  TestFolder folder_;
  TierSettings settings_;
  std::map<std::string, std::string> records_;
  BrokenServer server_{[this](int connection, const std::vector<std::string>& words) {
    return Answer(connection, words);
  }};
};

TEST_F(TwoTiersTest, EachKeyGetsItsOwnValueWhicheverTierHasIt) {
  std::vector<TierKey> keys;
  for (std::uint64_t number = 0; number < kKeys; ++number) keys.push_back(TestKey(number));
  Tiers tiers;
  tiers.Configure(settings_);
  std::vector<Tiers::Found> found;
  // A busy machine may answer too late, once and again.
  Await([&] {
    RegionUse use;
    found = std::vector<Tiers::Found>(kKeys);
    tiers.Get(&use, keys.data(), kKeys, 0, found.data());
    return std::count_if(found.begin(), found.end(), [](const Tiers::Found& one) {
             return static_cast<bool>(one.record);
           }) == 4;
  });
  for (std::uint64_t number = 0; number < kKeys; ++number) {
    EXPECT_EQ(static_cast<bool>(found[number].record), OnDisk(number) || OnServer(number))
        << number;
    if (!found[number].record) continue;
    EXPECT_EQ(found[number].record.fields().key, keys[number]);
    EXPECT_TRUE(IsTestValue(found[number].record, number)) << number;
    EXPECT_STREQ(Tiers::NameOf(found[number].tier), OnDisk(number) ? "disk" : "remote") << number;
  }
  tiers.Configure({});
}

}  // namespace
}  // namespace actcache
