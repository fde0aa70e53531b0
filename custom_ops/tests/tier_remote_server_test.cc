// The remote tier with a real server.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tier_remote_testing.h"

namespace actcache {
namespace {

class RemoteServerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!ServerProcess::Installed()) GTEST_SKIP() << ServerProcess::kNotInstalled;
  }
};

TEST_F(RemoteServerTest, WhatOneStoresAnotherFinds) {
  const ServerProcess server;
  const auto writer = MakeTier(AtPort(server.port()));
  PutOne(*writer, 1, 1000);
  const auto reader = MakeTier(AtPort(server.port()));
  EXPECT_TRUE(IsRecordOf(GetOne(*reader, 1), 1, 1000)) << "the first call waits for the connection";
  EXPECT_FALSE(GetOne(*reader, 2));
  const TierStats stats = reader->stats();
  EXPECT_EQ(stats.hits, 1u);
  EXPECT_EQ(stats.misses, 1u);
  EXPECT_EQ(stats.errors, 0u);
  EXPECT_TRUE(stats.available);
  EXPECT_EQ(reader->problem(), "");
}

TEST_F(RemoteServerTest, KeysNameTheFormatAndExpire) {
  const ServerProcess server;
  RemoteSettings settings = TestSettings();
  settings.ttl_ns = 30 * kSecondNs;
  const auto tier = MakeTier(AtPort(server.port()), settings);
  PutOne(*tier, 1, 10);
  EXPECT_EQ(server.Command({"DBSIZE"}), "1");
  const std::string key = server.Command({"RANDOMKEY"});
  EXPECT_EQ(key.substr(0, 11), "actcache:1:");
  EXPECT_EQ(key.size(), 11u + 64);
  const long ttl = std::stol(server.Command({"PTTL", key}));
  EXPECT_GT(ttl, 0);
  EXPECT_LE(ttl, 30'000);
}

TEST_F(RemoteServerTest, WhatHasExpiredIsAMiss) {
  const ServerProcess server;
  RemoteSettings settings = TestSettings();
  settings.ttl_ns = 20'000'000;
  const auto tier = MakeTier(AtPort(server.port()), settings);
  PutOne(*tier, 1, 10);
  Await([&] { return !GetOne(*tier, 1); });
  EXPECT_EQ(server.Command({"DBSIZE"}), "0");
  EXPECT_EQ(tier->stats().damaged, 0u);
}

TEST_F(RemoteServerTest, ManyKeysAreAskedAtOnce) {
  const ServerProcess server;
  const auto tier = MakeTier(AtPort(server.port()));
  constexpr std::size_t kCount = 200;
  std::vector<Record> records;
  std::vector<TierKey> keys;
  for (std::size_t i = 0; i < kCount; ++i) {
    keys.push_back(KeyOf(i));
    if (i % 3 != 0) records.push_back(RecordOf(i, 100 + i));
  }
  PutOne(*tier, kCount, 1);  // from here on there is a connection
  tier->Put(records.data(), records.size());
  EXPECT_EQ(tier->stats().stored, records.size() + 1);
  std::vector<Record> found(kCount);
  tier->Get(keys.data(), kCount, SteadyNow() + 10 * kSecondNs, found.data());
  for (std::size_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(IsRecordOf(found[i], i, 100 + i), i % 3 != 0) << i;
  }
}

TEST_F(RemoteServerTest, LargeValuesTravelWhole) {
  const ServerProcess server;
  const auto tier = MakeTier(AtPort(server.port()));
  for (const std::size_t bytes :
       {std::size_t{65'535}, std::size_t{300'000}, std::size_t{20} << 20}) {
    PutOne(*tier, bytes, bytes);
    const TierKey key = KeyOf(bytes);
    Record found;
    tier->GetOfSize(&key, 1, bytes, SteadyNow() + 20 * kSecondNs, &found);
    EXPECT_TRUE(IsRecordOf(found, bytes, bytes)) << bytes;
  }
  EXPECT_EQ(tier->stats().errors, 0u);
}

TEST_F(RemoteServerTest, AValueAboveTheLimitIsNeitherSentNorRead) {
  const ServerProcess server;
  RemoteSettings small = TestSettings();
  small.max_value_bytes = 1000;
  const auto tier = MakeTier(AtPort(server.port()), small);
  PutOne(*tier, 1, 10);
  const Record large = RecordOf(2, 1000);  // with what goes round it, it is more
  tier->Put(&large, 1);
  EXPECT_EQ(tier->stats().refused, 1u);
  EXPECT_EQ(server.Command({"DBSIZE"}), "1");
}

TEST_F(RemoteServerTest, WhatIsThereStaysAndWhatIsRemovedIsGone) {
  const ServerProcess server;
  const auto tier = MakeTier(AtPort(server.port()));
  PutOne(*tier, 1, 10);
  PutOne(*tier, 1, 10);  // is there already, and counts as stored
  EXPECT_EQ(server.Command({"DBSIZE"}), "1");
  const TierKey key = KeyOf(1);
  tier->Remove(&key, 1);
  EXPECT_FALSE(GetOne(*tier, 1));
  EXPECT_EQ(server.Command({"DBSIZE"}), "0");
}

TEST_F(RemoteServerTest, WhatIsNoRecordOfTheKeyIsAMissAndRemoved) {
  const ServerProcess server;
  const auto tier = MakeTier(AtPort(server.port()));
  PutOne(*tier, 1, 500);
  const std::string key = server.Command({"RANDOMKEY"});
  const std::string good = server.Command({"GET", key});
  DigestKey other = TestSecret();
  other[5] ^= 1;
  const Record forged = RecordOf(1, 500, other);
  const Record foreign = RecordOf(2, 500);
  const auto text = [](const Record& record) {
    return std::string(reinterpret_cast<const char*>(record.data()), record.size());
  };
  std::string flipped = good;
  flipped[good.size() / 2] ^= 4;
  std::uint64_t damaged = 0;
  for (const std::string& wrong :
       {text(forged), text(foreign), flipped, good.substr(0, good.size() - 1), good + "x",
        std::string("garbage"), good.substr(0, 64)}) {
    server.Command({"SET", key, wrong});
    EXPECT_FALSE(GetOne(*tier, 1));
    EXPECT_EQ(tier->stats().damaged, ++damaged);
    Await([&] { return server.Command({"EXISTS", key}) == "0"; });
  }
  server.Command({"RPUSH", key, "a list"});
  EXPECT_FALSE(GetOne(*tier, 1));
  Await([&] { return server.Command({"EXISTS", key}) == "0"; });
  PutOne(*tier, 1, 500);
  EXPECT_TRUE(IsRecordOf(GetOne(*tier, 1), 1, 500));
}

TEST_F(RemoteServerTest, ARestartedServerIsEmptyAndUsedAgain) {
  ServerProcess server;
  const auto tier = MakeTier(AtPort(server.port()));
  PutOne(*tier, 1, 10);
  ASSERT_TRUE(GetOne(*tier, 1));
  server.Stop();
  EXPECT_FALSE(GetOne(*tier, 1));
  server.Start();
  Await([&] { return tier->available() && !GetOne(*tier, 1) && tier->available(); });
  PutOne(*tier, 1, 10);
  Await([&] { return bool{GetOne(*tier, 1)}; });
}

TEST_F(RemoteServerTest, AStoppedServerCostsOneDeadlineAndIsUsedAgain) {
  const ServerProcess server;
  const auto tier = MakeTier(AtPort(server.port()));
  PutOne(*tier, 1, 10);
  ASSERT_TRUE(GetOne(*tier, 1));
  server.Signal(SIGSTOP);
  EXPECT_FALSE(GetOne(*tier, 1, 20'000'000));
  EXPECT_FALSE(tier->available());
  EXPECT_EQ(tier->stats().late, 1u);
  EXPECT_EQ(tier->problem(), "the server did not answer in time");
  EXPECT_FALSE(GetOne(*tier, 1, 3600 * kSecondNs)) << "comes back at once, not in an hour";
  server.Signal(SIGCONT);
  Await([&] { return bool{GetOne(*tier, 1)}; });
}

TEST_F(RemoteServerTest, AFullServerIsReadFrom) {
  const ServerProcess server({"--maxmemory", "3mb", "--maxmemory-policy", "noeviction"});
  const auto tier = MakeTier(AtPort(server.port()));
  PutOne(*tier, 0, 1000);
  std::uint64_t number = 1;
  while (tier->stats().refused == 0) {
    ASSERT_LT(number, 1000u);
    const Record record = RecordOf(number++, 100'000);
    tier->Put(&record, 1);
  }
  EXPECT_TRUE(tier->available());
  EXPECT_TRUE(IsRecordOf(GetOne(*tier, 0), 0, 1000));
  // Writing waits a while before it tries again.
  const std::uint64_t errors = tier->stats().errors;
  const Record record = RecordOf(number, 100'000);
  tier->Put(&record, 1);
  EXPECT_EQ(tier->stats().errors, errors);
  server.Command({"FLUSHALL"});
  PutOne(*tier, 1, 100'000);
}

TEST_F(RemoteServerTest, APasswordIsNeededAndNeverTold) {
  const ServerProcess server({"--requirepass", "open-sesame"});
  const std::string port = std::to_string(server.port());
  const auto without = MakeTier(AtPort(server.port()));
  EXPECT_FALSE(GetOne(*without, 1));
  EXPECT_NE(without->problem().find("wants a password"), std::string::npos) << without->problem();
  const auto wrong = MakeTier(At("redis://:close-sesame@127.0.0.1:" + port));
  EXPECT_FALSE(GetOne(*wrong, 1));
  EXPECT_FALSE(wrong->available());
  EXPECT_NE(wrong->problem().find("WRONGPASS"), std::string::npos) << wrong->problem();
  EXPECT_EQ(wrong->problem().find("sesame"), std::string::npos) << wrong->problem();
  const auto right = MakeTier(At("redis://:open-sesame@127.0.0.1:" + port));
  PutOne(*right, 1, 10);

  RemoteServer from_file = AtPort(server.port());
  from_file.password_file = server.folder() + "/password";
  const auto filed = MakeTier(from_file);
  EXPECT_FALSE(GetOne(*filed, 1));
  EXPECT_NE(filed->problem().find(from_file.password_file + " cannot be read"), std::string::npos);
  std::ofstream(from_file.password_file) << "open-sesame\n";
  Await([&] { return bool{GetOne(*filed, 1)}; });
}

TEST_F(RemoteServerTest, AUserSignsInWithANameOfItsOwn) {
  const ServerProcess server({"--user", "ann", "on", ">pw", "~actcache:*", "+get", "+set", "+del",
                              "+hello", "+auth", "+select"});
  const auto tier = MakeTier(At("redis://ann:pw@127.0.0.1:" + std::to_string(server.port())));
  PutOne(*tier, 1, 10);
  EXPECT_TRUE(GetOne(*tier, 1));
}

TEST_F(RemoteServerTest, SocketsAndDatabases) {
  const ServerProcess server;
  const auto third = MakeTier(At("unix://" + server.socket() + "?db=3"));
  PutOne(*third, 1, 10);
  EXPECT_EQ(server.Command({"DBSIZE"}), "0");
  EXPECT_TRUE(IsRecordOf(
      GetOne(*MakeTier(At("redis://127.0.0.1:" + std::to_string(server.port()) + "/3")), 1), 1,
      10));
  const auto none = MakeTier(At("unix://" + server.socket() + "?db=99"));
  EXPECT_FALSE(GetOne(*none, 1));
  EXPECT_EQ(none->problem(), "the server has no database 99");
}

TEST_F(RemoteServerTest, AClusterIsRefusedInWords) {
  const ServerProcess server(
      {"--cluster-enabled", "yes", "--cluster-port", std::to_string(ServerProcess::FreePort())});
  const auto tier = MakeTier(AtPort(server.port()));
  EXPECT_FALSE(GetOne(*tier, 1));
  EXPECT_FALSE(tier->available());
  EXPECT_NE(tier->problem().find("cluster mode"), std::string::npos) << tier->problem();
}

TEST_F(RemoteServerTest, IdleConnectionsThatTheServerClosesAreReplaced) {
  const ServerProcess server;
  const auto tier = MakeTier(AtPort(server.port()));
  PutOne(*tier, 1, 10);
  for (int i = 0; i < 5; ++i) {
    server.Command({"CLIENT", "KILL", "TYPE", "normal"});
    // A request that was on its way when the server closed its connection is a miss.
    Await([&] { return static_cast<bool>(GetOne(*tier, 1)); });
  }
  EXPECT_EQ(tier->stats().errors, 0u);
}

TEST_F(RemoteServerTest, ThreadsShareTheConnections) {
  const ServerProcess server;
  const auto tier = MakeTier(AtPort(server.port()));
  for (std::uint64_t i = 0; i < 8; ++i) PutOne(*tier, i, 5000);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (std::uint64_t i = 0; i < 100; ++i) {
        if (!IsRecordOf(GetOne(*tier, i % 8), i % 8, 5000)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(std::stoi(server.Command({"CLIENT", "KILL", "TYPE", "normal"})), 8);
}

// A child starts a thread of its own; ThreadSanitizer does not let it.
#if !defined(__SANITIZE_THREAD__)
TEST_F(RemoteServerTest, AChildHasConnectionsOfItsOwn) {
#if defined(ACTCACHE_EMULATED)
  GTEST_SKIP()
      << "qemu stops where a child starts threads (qemu_plugin_vcpu_init_hook, seen in 7.2)";
#endif
  const ServerProcess server;
  const auto tier = MakeTier(AtPort(server.port()));
  ExpectParentAndChildRead(*tier);
}
#endif

}  // namespace
}  // namespace actcache
