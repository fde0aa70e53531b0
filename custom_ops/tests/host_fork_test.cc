// fork() while threads use the store, the registry and the configuration.
#include "base/forked.h"
#include "host/fork.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "audit/audit_log.h"
#include "audit_testing.h"
#include "base/memory.h"
#include "config/config.h"
#include "hash/secret.h"
#include "metrics/metrics_file.h"
#include "ops_fake_session.h"
#include "region/registry.h"
#include "rounds.h"
#include "store/store.h"
#include "store_testing.h"

namespace actcache {
namespace {

using testing_support::Folder;
using testing_support::Rounds;

// Once for all tests of this process: who installs them twice takes every lock twice.
void InstallOnce() { [[maybe_unused]] static const bool installed = (InstallForkHandlers(), true); }

// What `work` returns in a child, where a hang ends in SIGALRM.
int ExitStatusInChild(const std::function<bool()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(work() ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

bool ChildWorks(std::size_t budget) {
  Store& store = Store::Process();
  if (!Forked() || store.stats().bytes != 0 || store.budget() != budget) return false;
  if (Registry::Process().Regions().front()->counters.hits != 0) return false;
  Config::Process().Configure("budget_bytes", std::to_string(budget / 2));
  if (store.budget() != budget / 2) return false;
  if (!Config::Process().values().metrics_path.empty()) return false;
  Registry::Process().InternNamespace("the child's");
  testing_support::Put(&store, 1, 100, 1);
  testing_support::Put(&store, 2, 2 * kPooledBytes, 1);
  if (!testing_support::Has(&store, 2)) return false;
  return testing_support::Has(&store, 1) && store.Invalidate({}, 0) == 2;
}

TEST(Fork, AChildStartsAnewWhateverTheOtherThreadsWereDoing) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer's malloc hangs in a child whose parent's threads were using it";
#endif
  constexpr std::size_t kBudget = std::size_t{1} << 17;
  InstallOnce();
  Config::Process().Configure("budget_bytes", std::to_string(kBudget));
  Region& region = Registry::Process().InternRegion("fork", "f");
  const std::string metrics_path =
      (std::filesystem::temp_directory_path() / ("actcache-fork-" + std::to_string(getpid())))
          .string();
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  const auto repeat = [&](const std::function<void(std::uint64_t)>& action) {
    threads.emplace_back([&done, action] {
      for (std::uint64_t i = 0; !done; ++i) action(i);
    });
  };
  for (std::uint64_t thread = 0; thread < 2; ++thread) {
    repeat([&region, thread](std::uint64_t i) {
      const std::size_t bytes = i % 16 == 0 ? kPooledBytes : 100 + i % 500;
      testing_support::Put(&Store::Process(), thread << 32 | i, bytes, i % 100);
      RegionCounters::Add(region.counters.hits, 1);
    });
  }
  repeat([](std::uint64_t i) { Registry::Process().InternNamespace(std::to_string(i % 50000)); });
  repeat([](std::uint64_t i) { Registry::Process().InternRegion(std::to_string(i % 500), "f"); });
  repeat([](std::uint64_t i) { Config::Process().Configure("hash", i % 2 ? "xxh3" : "blake3"); });
  repeat([&](std::uint64_t i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // it ends a thread each time
    Config::Process().Configure("metrics_path", i % 8 < 4 ? metrics_path : metrics_path + "2");
  });
  for (int i = 0; i < Rounds(50); ++i) {
    EXPECT_EQ(ExitStatusInChild([] { return ChildWorks(kBudget); }), 0);
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(Forked());
  EXPECT_GT(region.counters.hits, 0u);
  Config::Process().Configure("budget_bytes", std::nullopt);
  Config::Process().Configure("hash", std::nullopt);
  Config::Process().Configure("metrics_path", std::nullopt);
  std::filesystem::remove(metrics_path);
  std::filesystem::remove(metrics_path + "2");
}

// In a child, whose configuration has files in `folder`: one that it shares with its parent, or one
// of its own name.
bool ChildWrites(const Folder& folder, bool own) {
  const std::string pid = std::to_string(getpid());
  Config::Process().Configure("hash", "xxh3");  // applies the configuration again
  AuditLog::Process().Finish();
  MetricsFile::Process().Stop();
  const bool metrics = std::filesystem::exists(folder / (pid + ".json"));
  const bool audit = std::filesystem::exists(folder / ("audit-" + pid + ".jsonl"));
  return metrics == own && audit == own && Config::Process().values().metrics_path.empty() != own;
}

TEST(Fork, AChildHasFilesOfItsOwnWhereTheirNamesHaveItsId) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer lets no child start threads";
#elif defined(ACTCACHE_EMULATED)
  GTEST_SKIP()
      << "qemu stops where a child starts threads (qemu_plugin_vcpu_init_hook, seen in 7.2)";
#elif defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer's malloc hangs in a child whose parent's threads were using it";
#endif
  InstallOnce();
  const Folder folder;
  const auto set = [&](const char* metrics, const char* audit) {
    Config::Process().Configure("metrics_path", folder / metrics);
    Config::Process().Configure("audit_path", folder / audit);
  };
  set("%p.json", "audit-%p.jsonl");
  EXPECT_EQ(ExitStatusInChild([&] { return ChildWrites(folder, true); }), 0);
  const std::string pid = std::to_string(getpid());
  EXPECT_TRUE(std::filesystem::exists(folder / ("audit-" + pid + ".jsonl")));
  set("all.json", "audit.jsonl");
  EXPECT_EQ(ExitStatusInChild([&] { return ChildWrites(folder, false); }), 0);
  for (const char* knob : {"metrics_path", "audit_path", "hash"}) {
    Config::Process().Configure(knob, std::nullopt);
  }
}

// Every new secret has the keyings of all kernels made again, in the next call. Of a session with
// so long a text that takes most of the call.
TEST(Fork, AChildMakesKeyingsOfKernelsWhoseKeyingsAnotherThreadWasMaking) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer's malloc hangs in a child whose parent's threads were using it";
#endif
  InstallOnce();
  SessionSettings settings{"", 0};
  settings.value_entries.assign(std::size_t{1} << 18, 'v');
  const fake::Session session("fork while keyings are made", settings);
  std::atomic<bool> done{false};
  std::atomic<int> calls{0};
  std::thread caller([&] {
    for (unsigned char i = 0; !done; ++i) {
      AdoptSecret(DigestKey{i});
      session.Call(1);
      ++calls;
    }
  });
  while (calls == 0) std::this_thread::yield();
  for (int i = 0; i < Rounds(50) && !HasFailure(); ++i) {
    EXPECT_EQ(ExitStatusInChild([&] {
                AdoptSecret(DigestKey{0, 1});
                return session.Call(2).result == 2;
              }),
              0);
  }
  done = true;
  caller.join();
}

}  // namespace
}  // namespace actcache
