// Numbers of namespaces.
#include "region/namespaces.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "config/knobs.h"

namespace actcache {
namespace {

TEST(Namespaces, AreNumberedFromZero) {
  Namespaces namespaces;
  EXPECT_FALSE(namespaces.Find("a"));
  EXPECT_EQ(namespaces.Intern("a"), 0u);
  EXPECT_EQ(namespaces.Intern(""), 1u);
  EXPECT_EQ(namespaces.Intern("a"), 0u);
  EXPECT_EQ(namespaces.Find("a"), 0u);
  EXPECT_EQ(namespaces.Find("a").has_value(), true);
  EXPECT_FALSE(namespaces.Find(std::string_view("a\0", 2)));
  EXPECT_EQ(namespaces.Names(), (std::vector<std::string>{"a", ""}));
}

TEST(Namespaces, AreBounded) {
  Namespaces namespaces;
  EXPECT_FALSE(namespaces.Intern(std::string(kMaxNamespaceBytes + 1, 'n')));
  EXPECT_TRUE(namespaces.Intern(std::string(kMaxNamespaceBytes, 'n')));
  for (std::uint32_t i = 1; i < Namespaces::kMost; ++i) {
    ASSERT_EQ(namespaces.Intern("tenant-" + std::to_string(i)), i);
  }
  EXPECT_FALSE(namespaces.Intern("one too many"));
  EXPECT_EQ(namespaces.Intern("tenant-7"), 7u);
  EXPECT_EQ(namespaces.Names().size(), Namespaces::kMost);
}

TEST(Namespaces, ThreadsAgreeOnEveryNumber) {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kNames = 5000;
  Namespaces namespaces;
  std::vector<std::vector<std::uint32_t>> seen(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < kNames; ++i) {
        seen[t].push_back(namespaces.Intern(std::to_string(i)).value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::string> names = namespaces.Names();
  ASSERT_EQ(names.size(), kNames);
  for (std::size_t i = 0; i < kNames; ++i) EXPECT_EQ(names[seen[0][i]], std::to_string(i));
  for (std::size_t t = 1; t < kThreads; ++t) EXPECT_EQ(seen[t], seen[0]);
}

}  // namespace
}  // namespace actcache
