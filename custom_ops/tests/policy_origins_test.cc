// Who may use whose entries.
#include "policy/origins.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace actcache {
namespace {

Digest Id(int number) { return DigestOf({std::to_string(number)}); }

TEST(Origins, OneIdentityHasOneOrigin) {
  Origins origins;
  const Origin first = origins.Of(Id(1));
  EXPECT_EQ(origins.Of(Id(1)), first);
  const Origin second = origins.Of(Id(2));
  EXPECT_NE(second, first);
  EXPECT_NE(origins.ClassOf(second), origins.ClassOf(first));
  EXPECT_EQ(origins.IdentityOf(first), Id(1));
  EXPECT_EQ(origins.IdentityOf(second), Id(2));
}

TEST(Origins, NobodyIsTrusted) {
  Origins origins;
  const Origin mine = origins.Of(Id(1));
  EXPECT_EQ(origins.Of(Digest{}), Origins::kNone);
  EXPECT_TRUE(origins.IsApart(Origins::kNone));
  EXPECT_EQ(origins.IdentityOf(Origins::kNone), Digest{});
  EXPECT_EQ(origins.IdentityOf(static_cast<Origin>(mine + 1)), Digest{});
  for (int i = 0; i < 5; ++i) origins.Agree(mine, Origins::kNone);
  EXPECT_NE(origins.ClassOf(Origins::kNone), origins.ClassOf(mine));
}

TEST(Origins, EqualRowsMakeOneClass) {
  Origins origins;
  const Origin a = origins.Of(Id(1));
  const Origin b = origins.Of(Id(2));
  origins.Agree(b, a);
  EXPECT_NE(origins.ClassOf(a), origins.ClassOf(b));
  origins.Agree(b, a);
  EXPECT_EQ(origins.ClassOf(a), origins.ClassOf(b));
  // What holds for b holds for all of its class.
  const Origin c = origins.Of(Id(3));
  origins.Agree(c, b);
  origins.Agree(c, a);
  EXPECT_EQ(origins.ClassOf(c), origins.ClassOf(a));
  EXPECT_EQ(origins.ClassOf(origins.Of(Id(2))), origins.ClassOf(a));
}

TEST(Origins, EqualRowsOfTwoClassesAreNotAdded) {
  Origins origins;
  const Origin a = origins.Of(Id(1));
  const Origin b = origins.Of(Id(2));
  const Origin c = origins.Of(Id(3));
  for (int i = 0; i < 4; ++i) origins.Agree(c, i % 2 == 0 ? a : b);
  EXPECT_NE(origins.ClassOf(c), origins.ClassOf(a));
  EXPECT_NE(origins.ClassOf(c), origins.ClassOf(b));
}

TEST(Origins, WhoDiffersKeepsApartForGood) {
  Origins origins;
  const Origin a = origins.Of(Id(1));
  const Origin b = origins.Of(Id(2));
  const Origin c = origins.Of(Id(3));
  for (int i = 0; i < 2; ++i) origins.Agree(b, a);
  for (int i = 0; i < 2; ++i) origins.Agree(c, a);
  EXPECT_TRUE(origins.KeepApart(a));  // whose name the class has
  EXPECT_FALSE(origins.KeepApart(a));
  EXPECT_TRUE(origins.IsApart(a));
  EXPECT_FALSE(origins.IsApart(b));
  EXPECT_EQ(origins.ClassOf(b), origins.ClassOf(c));
  EXPECT_NE(origins.ClassOf(a), origins.ClassOf(b));
  for (int i = 0; i < 5; ++i) {
    origins.Agree(a, b);
    origins.Agree(b, a);
  }
  EXPECT_NE(origins.ClassOf(a), origins.ClassOf(b));
  EXPECT_EQ(origins.Of(Id(1)), a);  // and so does everyone of that identity
}

TEST(Origins, ThereIsAnEndOfThem) {
  Origins origins;
  for (int i = 0; i < Origins::kNone; ++i) ASSERT_NE(origins.Of(Id(i)), Origins::kNone);
  EXPECT_EQ(origins.Of(Id(Origins::kNone)), Origins::kNone);
  EXPECT_NE(origins.Of(Id(5)), Origins::kNone);
}

TEST(Origins, ThreadsThatAskForOneIdentityGetOne) {
  Origins origins;
  std::vector<std::vector<Origin>> got(4);
  std::vector<std::thread> threads;
  for (std::vector<Origin>& mine : got) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) mine.push_back(origins.Of(Id(i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<Origin>& mine : got) EXPECT_EQ(mine, got.front());
}

}  // namespace
}  // namespace actcache
