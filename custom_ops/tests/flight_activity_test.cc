// Telling threads that work from threads that have stopped.
#include "flight/thread_activity.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "base/clock.h"

namespace actcache {
namespace {

constexpr std::uint64_t kWindowNs = 2'000'000;

void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

// A thread that does `body` after it has said who it is.
template <typename Body>
std::thread Watched(ThreadId* id, Body body) {
  std::promise<ThreadId> said;
  std::future<ThreadId> heard = said.get_future();
  std::thread thread([&said, body] {
    said.set_value(CurrentThread());
    body();
  });
  *id = heard.get();
  return thread;
}

TEST(ThreadActivity, ThreadsHaveDifferentNumbers) {
  ThreadId other;
  Watched(&other, [] {}).join();
  EXPECT_NE(other.number, CurrentThread().number);
  EXPECT_EQ(CurrentThread().number, CurrentThread().number);
}

TEST(ThreadActivity, AThreadThatWaitsIsIdle) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  ThreadId id;
  std::thread thread = Watched(&id, [released] { released.wait(); });
  IdleWatch watch(id, kWindowNs);
  int looks = 0;
  while (!watch.Idle(SteadyNow()) && looks < 10000) {
    ++looks;
    Pause();
  }
  EXPECT_LT(looks, 10000);
  EXPECT_GT(looks, 0);  // never at first sight
  release.set_value();
  thread.join();
}

TEST(ThreadActivity, AThreadThatComputesIsNot) {
  std::atomic<bool> stop{false};
  ThreadId id;
  std::thread thread = Watched(&id, [&stop] {
    while (!stop) {
    }
  });
  IdleWatch watch(id, kWindowNs);
  for (int look = 0; look < 50; ++look) {
    EXPECT_FALSE(watch.Idle(SteadyNow()));
    Pause();
  }
  stop = true;
  thread.join();
}

TEST(ThreadActivity, OfAThreadThatIsGoneNothingIsKnown) {
  ThreadId id;
  Watched(&id, [] {}).join();
  IdleWatch watch(id, kWindowNs);
  for (int look = 0; look < 5; ++look) {
    EXPECT_FALSE(watch.Idle(SteadyNow()));
    Pause();
  }
}

}  // namespace
}  // namespace actcache
