// The remote tier with servers that are broken in every way that a connection lets through.
#include <gtest/gtest.h>

#include <csignal>

#include "tier_remote_testing.h"

namespace actcache {
namespace {

using Words = std::vector<std::string>;

std::string Bulk(const std::string& value) {
  return "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
}

std::string BytesOf(const Record& record) {
  return {reinterpret_cast<const char*>(record.data()), record.size()};
}

// Why the tier left the server alone the last time; "" if it never did. The tier's own problem()
// is gone once a probe has succeeded, which may be 10 ms later.
std::string LeftAlone(const RemoteTier& tier) { return tier.client().problem(); }

// A Get() is a miss within a deadline that a sound server keeps, and the server is not asked again
// at once.
void ExpectLeftAlone(RemoteTier& tier) {
  EXPECT_FALSE(GetOne(tier, 1, 10 * kSecondNs));
  EXPECT_NE(LeftAlone(tier), "");
}

TEST(RemoteFaultsTest, NobodyListens) {
  std::uint16_t port = 0;
  {
    const BlackHole closed;
    port = closed.port();
  }
  const auto tier = MakeTier(AtPort(port));
  EXPECT_FALSE(GetOne(*tier, 1));
  EXPECT_NE(tier->problem().find("Connection refused"), std::string::npos) << tier->problem();
  EXPECT_EQ(tier->stats().misses, 1u);
}

TEST(RemoteFaultsTest, AHostThatNobodyKnows) {
  const auto tier = MakeTier(At("redis://no-such-host.invalid"));
  EXPECT_FALSE(GetOne(*tier, 1));
  Await([&] { return !tier->problem().empty(); });
  EXPECT_NE(tier->problem().find("no-such-host.invalid is not known"), std::string::npos);
}

TEST(RemoteFaultsTest, ABlackHoleCostsOneDeadline) {
  const BlackHole hole;
  const auto tier = MakeTier(AtPort(hole.port()));
  EXPECT_FALSE(GetOne(*tier, 1, 20'000'000));
  EXPECT_FALSE(tier->available()) << "though the probe is still under way";
  const std::uint64_t begin = SteadyNow();
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(GetOne(*tier, 1, 3600 * kSecondNs));
  EXPECT_LT(SteadyNow() - begin, 20 * kSecondNs) << "none of them waits";
}

TEST(RemoteFaultsTest, AnswersThatNeverCome) {
  const BrokenServer server([](int, const Words&) { return true; });
  const auto tier = MakeTier(AtPort(server.port()));
  // On a slow machine the greeting alone takes that long, and nothing was asked by then.
  std::uint64_t gets = 0;
  Await([&] {
    EXPECT_FALSE(GetOne(*tier, 1, 50'000'000));
    ++gets;
    return !LeftAlone(*tier).empty();
  });
  EXPECT_GE(tier->stats().late, 1u);
  EXPECT_LE(tier->stats().late, gets);
  // There, nobody asks any more by itself: it may have been left alone before the first question.
  Await([&] {
    EXPECT_FALSE(GetOne(*tier, 1, kSecondNs));
    return server.commands() > 0;
  });
}

TEST(RemoteFaultsTest, GarbageInsteadOfTheProtocol) {
  for (const char* const garbage :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", "$-5\r\n", "$abc\r\n", "*99999999999\r\n", "\r\n\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", ":12\r\n",
        "+OK\r\n", "$999999999999999999999\r\n", "%1\r\n+a\r\n+b\r\n", ">2\r\n+a\r\n+b\r\n"}) {
    const BrokenServer server([garbage](int connection, const Words&) {
      BrokenServer::Send(connection, garbage);
      return true;
    });
    const auto tier = MakeTier(AtPort(server.port()));
    SCOPED_TRACE(garbage);
    ExpectLeftAlone(*tier);
    EXPECT_EQ(tier->stats().hits, 0u);
  }
}

TEST(RemoteFaultsTest, AGreetingThatIsGarbage) {
  const BrokenServer server(
      [](int connection, const Words&) {
        BrokenServer::Send(connection, "220 mail.example ESMTP\r\n");
        return true;
      },
      false);
  ExpectLeftAlone(*MakeTier(AtPort(server.port())));
}

TEST(RemoteFaultsTest, OldServersThatDoNotKnowTheGreetingAreUsed) {
  const std::string value = Bulk(BytesOf(RecordOf(1, 100)));
  const BrokenServer server(
      [&](int connection, const Words& words) {
        const bool asks = words[0] == "GET";
        BrokenServer::Send(connection, asks                  ? value
                                       : words[0] == "HELLO" ? "-ERR unknown command\r\n"
                                                             : "+PONG\r\n");
        return true;
      },
      false);
  const auto tier = MakeTier(AtPort(server.port()));
  EXPECT_TRUE(IsRecordOf(GetOne(*tier, 1), 1, 100));
}

TEST(RemoteFaultsTest, AnErrorThatRepeatsThePasswordIsNotRepeated) {
  const BrokenServer server(
      [](int connection, const Words& words) {
        std::string all = "-ERR unknown command, with args beginning with:";
        for (const std::string& word : words) all += " '" + word + "'";
        BrokenServer::Send(connection, all + "\r\n");
        return true;
      },
      false);
  const auto tier = MakeTier(At("redis://:sesame@127.0.0.1:" + std::to_string(server.port())));
  EXPECT_FALSE(GetOne(*tier, 1));
  Await([&] { return !tier->problem().empty(); });
  EXPECT_EQ(tier->problem().find("sesame"), std::string::npos) << tier->problem();
}

TEST(RemoteFaultsTest, ValuesOfOtherKeys) {
  const std::string value = Bulk(BytesOf(RecordOf(2, 100)));
  std::atomic<int> removed{0};
  const BrokenServer server([&](int connection, const Words& words) {
    if (words[0] == "DEL") ++removed;
    BrokenServer::Send(connection, words[0] == "DEL" ? ":1\r\n" : value);
    return true;
  });
  const auto tier = MakeTier(AtPort(server.port()));
  EXPECT_FALSE(GetOne(*tier, 1));
  EXPECT_EQ(tier->stats().damaged, 1u);
  Await([&] { return removed == 1; });
  EXPECT_TRUE(IsRecordOf(GetOne(*tier, 2), 2, 100));
}

TEST(RemoteFaultsTest, AnswersInAnotherOrderAreNeverMistaken) {
  std::vector<Words> asked;
  const BrokenServer server([&](int connection, const Words& words) {
    if (words[0] != "GET") {
      BrokenServer::Send(connection, ":1\r\n");
      return true;
    }
    asked.push_back(words);
    if (asked.size() == 2) {
      BrokenServer::Send(connection, Bulk(BytesOf(RecordOf(2, 100))));
      BrokenServer::Send(connection, Bulk(BytesOf(RecordOf(1, 100))));
    }
    return true;
  });
  const auto tier = MakeTier(AtPort(server.port()));
  const TierKey keys[] = {KeyOf(1), KeyOf(2)};
  Record found[2];
  tier->Get(keys, 2, SteadyNow() + 10 * kSecondNs, found);
  EXPECT_FALSE(found[0]);
  EXPECT_FALSE(found[1]);
  EXPECT_EQ(tier->stats().damaged, 2u);
}

TEST(RemoteFaultsTest, ConnectionsThatBreakInTheMiddleOfAValue) {
  const std::string value = Bulk(BytesOf(RecordOf(1, 100'000)));
  for (const std::size_t sent : {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{300},
                                 value.size() / 2, value.size() - 2, value.size() - 1}) {
    const BrokenServer server([&](int connection, const Words&) {
      BrokenServer::Send(connection, value.substr(0, sent));
      return false;
    });
    const auto tier = MakeTier(AtPort(server.port()));
    SCOPED_TRACE(sent);
    ExpectLeftAlone(*tier);
  }
}

TEST(RemoteFaultsTest, WhatCameBeforeTheConnectionBrokeCounts) {
  int asked = 0;
  const BrokenServer server([&](int connection, const Words&) {
    if (++asked == 2) return false;
    BrokenServer::Send(connection, Bulk(BytesOf(RecordOf(1, 100))));
    return true;
  });
  const auto tier = MakeTier(AtPort(server.port()));
  const TierKey keys[] = {KeyOf(1), KeyOf(2)};
  Record found[2];
  tier->Get(keys, 2, SteadyNow() + 10 * kSecondNs, found);
  EXPECT_TRUE(IsRecordOf(found[0], 1, 100));
  EXPECT_FALSE(found[1]);
  EXPECT_NE(LeftAlone(*tier), "");
}

TEST(RemoteFaultsTest, AFloodIsCutOff) {
  const BrokenServer server([](int connection, const Words&) {
    BrokenServer::Send(connection, "$500000000\r\n");
    const std::string piece(1 << 20, 'x');
    for (int i = 0; i < 16; ++i) BrokenServer::Send(connection, piece);
    return true;
  });
  RemoteSettings settings = TestSettings();
  settings.max_value_bytes = 1 << 20;
  const auto tier = MakeTier(AtPort(server.port()), settings);
  EXPECT_FALSE(GetOne(*tier, 1));
  EXPECT_EQ(LeftAlone(*tier), "the server sent more than was asked for");
}

TEST(RemoteFaultsTest, BytesThatNobodyAskedFor) {
  const std::string value = Bulk(BytesOf(RecordOf(1, 100)));
  const BrokenServer server([&](int connection, const Words&) {
    BrokenServer::Send(connection, value + value);
    return true;
  });
  const auto tier = MakeTier(AtPort(server.port()));
  EXPECT_TRUE(IsRecordOf(GetOne(*tier, 1), 1, 100));
  // The second answer must not be taken for the next question's.
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(GetOne(*tier, 2, kSecondNs));
}

TEST(RemoteFaultsTest, RefusalsOpenTheBreakerOrPauseWriting) {
  for (const char* const code : {"LOADING", "MOVED 1 other:1", "ASK 1 other:1", "NOPERM", "BUSY"}) {
    const BrokenServer server([code](int connection, const Words&) {
      BrokenServer::Send(connection, std::string("-") + code + " it is so\r\n");
      return true;
    });
    const auto tier = MakeTier(AtPort(server.port()));
    SCOPED_TRACE(code);
    ExpectLeftAlone(*tier);
    const std::string first(code, std::string(code).find(' ') == std::string::npos
                                      ? std::string(code).size()
                                      : std::string(code).find(' '));
    EXPECT_NE(LeftAlone(*tier).find(first), std::string::npos) << LeftAlone(*tier);
  }
}

// The server goes away while values are on their way to it: no SIGPIPE reaches the program.
std::atomic<int> pipe_signals{0};

TEST(RemoteFaultsTest, ABrokenPipeIsNoSignal) {
  const auto before = std::signal(SIGPIPE, [](int) { ++pipe_signals; });
  const BrokenServer server([](int, const Words&) { return false; });
  const auto tier = MakeTier(AtPort(server.port()));
  std::vector<Record> records;
  for (std::uint64_t i = 0; i < 4; ++i) records.push_back(RecordOf(i, 4 << 20));
  Await([&] {
    tier->Put(records.data(), records.size());
    return tier->stats().errors > 2;
  });
  std::signal(SIGPIPE, before);
  EXPECT_EQ(pipe_signals, 0);
  EXPECT_EQ(tier->stats().stored, 0u);
}

}  // namespace
}  // namespace actcache
