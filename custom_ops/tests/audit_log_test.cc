// AuditLog and its writer: what is added is written, in the file that was named then.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "audit/audit_log.h"
#include "audit_testing.h"

namespace actcache {
namespace {

using testing_support::Content;
using testing_support::CountOf;
using testing_support::Folder;
using testing_support::Lines;

AuditSettings To(const std::string& path) {
  AuditSettings settings;
  settings.path = path;
  return settings;
}

class AuditLogTest : public testing::Test {
 protected:
  ~AuditLogTest() override { log_.Finish(); }

  void Configure(const AuditSettings& settings) { log_.Configure(settings, {"blake3", "{}"}); }
  // An event of about 100 bytes as a line.
  void Add(const std::string& arguments = "{}") { log_.AddControl("pin", arguments, 1); }

  const Folder folder_;
  Registry registry_;
  AuditLog log_{registry_};
};

TEST_F(AuditLogTest, IsOffUntilItHasAFile) {
  EXPECT_FALSE(log_.on());
  EXPECT_EQ(log_.NextCall(), 0u);
  Add();
  Configure(To(folder_ / "a"));
  EXPECT_TRUE(log_.on());
  EXPECT_EQ(log_.NextCall(), 1u);
  EXPECT_EQ(log_.NextCall(), 2u);
  Add();
  Configure(To(""));
  EXPECT_FALSE(log_.on());
  Add();
  const std::string content = Content(folder_ / "a");
  EXPECT_EQ(Lines(content).size(), 2u);
  EXPECT_EQ(CountOf(content, "\"event\":\"start\""), 1u);
  EXPECT_EQ(log_.counts().written, 1u);
  EXPECT_EQ(log_.counts().dropped, 0u);
  EXPECT_EQ(log_.counts().bytes, content.size());
}

TEST_F(AuditLogTest, GoesOnInAnotherFile) {
  Configure(To(folder_ / "a"));
  Add(R"({"n":1})");
  Configure(To(folder_ / "b"));
  Add(R"({"n":2})");
  Configure(To(folder_ / "a"));
  Add(R"({"n":3})");
  Configure(To(""));
  EXPECT_EQ(CountOf(Content(folder_ / "a"), "\"event\":\"start\""), 2u);
  EXPECT_EQ(CountOf(Content(folder_ / "a"), "{\"n\":1}"), 1u);
  EXPECT_EQ(CountOf(Content(folder_ / "a"), "{\"n\":3}"), 1u);
  EXPECT_EQ(CountOf(Content(folder_ / "b"), "{\"n\":2}"), 1u);
}

TEST_F(AuditLogTest, AnotherLimitKeepsTheFile) {
  AuditSettings settings = To(folder_ / "a");
  Configure(settings);
  Add();
  settings.buffer_bytes = 64 << 10;
  Configure(settings);
  Add();
  log_.Configure(settings, {"xxh3", "{}"});  // for the next part
  Configure(To(""));
  EXPECT_EQ(folder_.files(), 1u);
  EXPECT_EQ(CountOf(Content(folder_ / "a"), "\"event\":\"control\""), 2u);
}

TEST_F(AuditLogTest, AFileThatCannotBeOpenedChangesNothing) {
  Configure(To(folder_ / "a"));
  EXPECT_THROW(Configure(To(folder_ / "no/a")), std::runtime_error);
  EXPECT_TRUE(log_.on());
  Add();
  Configure(To(""));
  EXPECT_EQ(Lines(Content(folder_ / "a")).size(), 2u);
}

TEST_F(AuditLogTest, WhatDoesNotFitIsDroppedAndSaid) {
  AuditSettings settings = To(folder_ / "a");
  settings.buffer_bytes = 64 << 10;
  Configure(settings);
  constexpr std::uint64_t kEvents = 20000;  // far more than fit before the writer wakes up
  const std::string arguments = "{\"x\":\"" + std::string(200, 'x') + "\"}";
  for (std::uint64_t i = 0; i < kEvents; ++i) Add(arguments);
  Configure(To(""));
  const std::string content = Content(folder_ / "a");
  std::uint64_t said = 0;
  for (const std::string& line : Lines(content)) {
    const std::size_t at = line.find("\"events\":");
    if (at != std::string::npos) said += std::stoull(line.substr(at + 9));
  }
  EXPECT_GT(said, 0u);
  EXPECT_EQ(said, log_.counts().dropped);
  EXPECT_EQ(CountOf(content, "\"event\":\"control\""), kEvents - said);
  EXPECT_EQ(log_.counts().written, kEvents - said);
}

TEST_F(AuditLogTest, RotatesWithAFirstLineInEveryPart) {
  AuditSettings settings = To(folder_ / "a");
  settings.max_bytes = 4096;
  settings.files = 2;
  Configure(settings);
  for (int i = 0; i < 200; ++i) Add();
  Configure(To(""));
  EXPECT_EQ(folder_.files(), 3u);
  for (const char* name : {"a", "a.1", "a.2"}) {
    const std::string content = Content(folder_ / name);
    EXPECT_EQ(content.find("{\"event\":\"start\""), 0u) << name;
    EXPECT_EQ(content.back(), '\n') << name;
    EXPECT_LT(content.size(), 4096u + 200u) << name;
  }
  EXPECT_GE(Content(folder_ / "a.1").size(), 4096u);
  const auto part = [&](const char* name) {
    const std::string content = Content(folder_ / name);
    return std::stoi(content.substr(content.find("\"part\":") + 7));
  };
  EXPECT_EQ(part("a"), part("a.1") + 1);
  EXPECT_EQ(part("a.1"), part("a.2") + 1);
}

TEST_F(AuditLogTest, ThreadsAddWhileItIsSwitched) {
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!done) Add(R"({"text":"0123456789"})");
    });
  }
  AuditSettings settings = To(folder_ / "a");
  for (int i = 0; i < 20; ++i) {
    settings.path = folder_ / (i % 2 == 0 ? "a" : "b");
    settings.buffer_bytes = static_cast<std::size_t>(64 + i) << 10;
    Configure(settings);
    std::this_thread::yield();
    if (i % 5 == 0) Configure(To(""));
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  Configure(To(""));
  std::uint64_t events = 0;
  for (const char* name : {"a", "b"}) {
    for (const std::string& line : Lines(Content(folder_ / name))) {
      ASSERT_EQ(line.front(), '{');
      ASSERT_EQ(line.back(), '}');
      events += CountOf(line, "\"event\":\"control\"");
    }
  }
  EXPECT_EQ(events, log_.counts().written);
}

// What a child does with its own log; its exit status.
template <typename Work>
int StatusOf(const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    work();
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(AuditLogTest, AProcessThatExitsWritesItsBuffer) {
  const std::string path = folder_ / "a";
  EXPECT_EQ(StatusOf([&] {
              AuditLog::Process().Configure(To(path), {"blake3", "{}"});
              for (int i = 0; i < 100; ++i) AuditLog::Process().AddControl("pin", "{}", i);
              std::exit(0);
            }),
            0);
  EXPECT_EQ(CountOf(Content(path), "\"event\":\"control\""), 100u);
}

TEST_F(AuditLogTest, AFullDiskDropsEventsAndNothingElse) {
  const std::string path = folder_ / "a";
  EXPECT_EQ(StatusOf([&] {
              std::signal(SIGXFSZ, SIG_IGN);
              const auto limit = [](rlim_t bytes) {
                const rlimit limits{bytes, RLIM_INFINITY};
                setrlimit(RLIMIT_FSIZE, &limits);
              };
              const auto wait_for = [](const auto& condition) {
                while (!condition()) std::this_thread::yield();
              };
              AuditLog& log = AuditLog::Process();
              log.Configure(To(path), {"blake3", "{}"});
              wait_for([&] { return log.counts().bytes > 0; });
              limit(log.counts().bytes + 50);  // half a line
              log.AddControl("pin", "{}", 1);
              wait_for([&] { return log.counts().dropped == 1; });
              limit(RLIM_INFINITY);
              const std::uint64_t before = log.counts().bytes;
              wait_for([&] { return log.counts().bytes > before; });  // the disk has room again
              log.AddControl("unpin", "{}", 1);
              std::exit(0);
            }),
            0);
  const std::string content = Content(path);
  EXPECT_EQ(CountOf(content, "\"what\":\"pin\""), 0u);
  EXPECT_EQ(CountOf(content, "\"what\":\"unpin\""), 1u);
  EXPECT_EQ(CountOf(content, "\"event\":\"dropped\""), 1u);
  for (const std::string& line : Lines(content)) EXPECT_EQ(line.back(), '}') << line;
}

}  // namespace
}  // namespace actcache
