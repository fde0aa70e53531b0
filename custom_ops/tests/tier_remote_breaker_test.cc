// When a server is asked, and when it is left alone.
#include <gtest/gtest.h>

#include <set>

#include "tier/remote/backoff.h"
#include "tier/remote/circuit_breaker.h"

namespace actcache {
namespace {

using State = CircuitBreaker::State;

constexpr std::uint64_t kFirstNs = CircuitBreaker::kFirstWaitNs;

TEST(BackoffTest, WaitsDoubleUpToTheLongest) {
  Backoff backoff(1, kFirstNs);
  std::uint64_t span = kFirstNs;
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t wait = backoff.Next();
    EXPECT_LE(wait, span);
    EXPECT_GT(wait, span / 2);
    span = std::min(span * 2, Backoff::kLongestNs);
  }
  EXPECT_EQ(span, Backoff::kLongestNs);
  backoff.Reset();
  EXPECT_LE(backoff.Next(), kFirstNs);
}

TEST(BackoffTest, MachinesOfAFleetDoNotComeBackTogether) {
  std::set<std::uint64_t> waits;
  for (std::uint64_t seed = 0; seed < 50; ++seed) waits.insert(Backoff(seed, kFirstNs).Next());
  EXPECT_EQ(waits.size(), 50u);
  EXPECT_EQ(Backoff(3, kFirstNs).Next(), Backoff(3, kFirstNs).Next());
}

TEST(CircuitBreakerTest, BeginsWithAProbe) {
  CircuitBreaker breaker(1);
  EXPECT_FALSE(breaker.closed());
  EXPECT_TRUE(breaker.BeginProbe(0));
  EXPECT_EQ(breaker.state(), State::kHalfOpen);
  EXPECT_FALSE(breaker.BeginProbe(1)) << "one probe at a time";
  breaker.ProbeEnded(true, 2);
  EXPECT_TRUE(breaker.closed());
  EXPECT_EQ(breaker.probe_at_ns(), CircuitBreaker::kNever);
}

TEST(CircuitBreakerTest, OneFailureOpensAndTheProbeComesLater) {
  CircuitBreaker breaker(1);
  ASSERT_TRUE(breaker.BeginProbe(0));
  breaker.ProbeEnded(true, 0);
  breaker.Failed(1000);
  EXPECT_EQ(breaker.state(), State::kOpen);
  const std::uint64_t at = breaker.probe_at_ns();
  EXPECT_GT(at, 1000 + kFirstNs / 2);
  EXPECT_LE(at, 1000 + kFirstNs);
  EXPECT_FALSE(breaker.BeginProbe(at - 1));
  breaker.Failed(2000);  // of a call that had begun before
  EXPECT_EQ(breaker.probe_at_ns(), at);
  EXPECT_TRUE(breaker.BeginProbe(at));
}

TEST(CircuitBreakerTest, OnlyAnAnsweredCallMakesTheWaitShortAgain) {
  CircuitBreaker breaker(1);
  std::uint64_t now = 0;
  std::uint64_t wait = 0;
  // The server greets, and answers nothing else.
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(breaker.BeginProbe(now));
    breaker.ProbeEnded(true, now);
    breaker.Failed(now);
    wait = breaker.probe_at_ns() - now;
    now = breaker.probe_at_ns();
  }
  EXPECT_GT(wait, kFirstNs * 8);
  ASSERT_TRUE(breaker.BeginProbe(now));
  breaker.ProbeEnded(true, now);
  breaker.Succeeded();
  breaker.Failed(now);
  EXPECT_LE(breaker.probe_at_ns() - now, kFirstNs);
}

TEST(CircuitBreakerTest, AFailedProbeWaitsLonger) {
  CircuitBreaker breaker(1);
  ASSERT_TRUE(breaker.BeginProbe(0));
  breaker.ProbeEnded(false, 0);
  const std::uint64_t first = breaker.probe_at_ns();
  ASSERT_TRUE(breaker.BeginProbe(first));
  breaker.ProbeEnded(false, first);
  EXPECT_FALSE(breaker.closed());
  EXPECT_GE(breaker.probe_at_ns() - first, kFirstNs);
}

}  // namespace
}  // namespace actcache
