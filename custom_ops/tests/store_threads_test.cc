// Many threads against one store. Every value is derived from its key, so any reader can tell
// whether it got the right bytes; a sampler looks at the budget all the while.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "store_testing.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

struct Tally {
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> over_budget{0};
  std::atomic<bool> done{false};
};

std::size_t SizeOf(std::uint64_t n) { return Mix(n) % 8 == 0 ? 9000 + Mix(n) % 900 : n % 700; }

void Check(std::uint64_t n, const Entry& entry, Tally* tally) {
  const Key key = KeyNumber(n);
  const bool right = entry.key() == key && entry.tensor_count() == 1 &&
                     entry.bytes(0) == SizeOf(n) && Holds(key, entry.data(0), entry.bytes(0));
  if (!right) ++tally->wrong;
}

// One step of a user: look up, and on a miss compute and store; sometimes hold several at once,
// sometimes give a draft up.
void UseOnce(Store* store, std::mt19937_64* random, std::vector<EntryRef>* held, Tally* tally) {
  const std::uint64_t n = (*random)() % (1 + (*random)() % 400);
  if (EntryRef found = Get(store, n)) {
    ++tally->hits;
    Check(n, *found, tally);
    if ((*random)() % 4 == 0) held->push_back(std::move(found));
    if (held->size() > 6) held->clear();
    return;
  }
  const auto specs = Bytes(SizeOf(n));
  const EntryTag tag{static_cast<std::uint32_t>(n % 3), static_cast<std::uint32_t>(n % 5)};
  Draft draft = store->Reserve(OfferOf(n, specs, Mix(n) % 100000, tag));
  if (!draft) return;
  Fill(KeyNumber(n), draft.data(0), draft.bytes(0));
  if ((*random)() % 16 != 0) store->Publish(std::move(draft));
}

template <typename Meddle>
void RunUsers(Store* store, int users, int steps, Tally* tally, Meddle meddle) {
  std::vector<std::thread> threads;
  for (int user = 0; user < users; ++user) {
    threads.emplace_back([=] {
      std::mt19937_64 random(static_cast<std::uint64_t>(user));
      std::vector<EntryRef> held;
      for (int step = 0; step < steps; ++step) UseOnce(store, &random, &held, tally);
    });
  }
  std::thread meddler([&] {
    std::mt19937_64 random(99);
    while (!tally->done) {
      meddle(&random);
      std::this_thread::yield();
    }
  });
  for (std::thread& thread : threads) thread.join();
  tally->done = true;
  meddler.join();
}

void ExpectEmptyable(Store* store) {
  StoreStats stats = store->stats();
  EXPECT_EQ(Clear(store), stats.entries);
  stats = store->stats();
  EXPECT_EQ(stats.bytes, 0u);
  EXPECT_EQ(stats.entries, 0u);
  for (std::uint32_t region = 0; region < 5; ++region) {
    EXPECT_EQ(store->usage(region).bytes, 0u);
    EXPECT_EQ(store->usage(region).entries, 0u);
  }
}

TEST(StoreThreads, NeverOverBudgetNeverWrongBytes) {
  Store store(100000);
  Tally tally;
  RunUsers(&store, 4, 20000, &tally, [&](std::mt19937_64*) {
    const StoreStats stats = store.stats();
    if (stats.bytes > stats.budget_bytes) ++tally.over_budget;
    if (stats.entries > 1000) ++tally.over_budget;  // a counter below zero
  });
  EXPECT_EQ(tally.wrong, 0u);
  EXPECT_EQ(tally.over_budget, 0u);
  EXPECT_GT(tally.hits, 1000u);
  EXPECT_GT(store.stats().evictions, 1000u);
  ExpectEmptyable(&store);
}

TEST(StoreThreads, ClearAndBudgetChangesMeanwhile) {
  Store store(100000);
  Tally tally;
  RunUsers(&store, 3, 20000, &tally, [&](std::mt19937_64* random) {
    switch ((*random)() % 64) {
      case 0:
        Clear(&store);
        break;
      case 1:
        ClearNamespace(&store, static_cast<std::uint32_t>((*random)() % 3));
        break;
      case 2:
      case 3:
        store.SetBudget((*random)() % 200000);
        break;
      default:
        store.stats();
    }
  });
  EXPECT_EQ(tally.wrong, 0u);
  EXPECT_GT(tally.hits, 1000u);
  EXPECT_LE(store.stats().bytes, store.budget());  // nobody holds anything any more
  ExpectEmptyable(&store);
}

// After SetBudget() returns and every reader has let go, no draft that was in flight may have
// slipped in above the new budget.
TEST(StoreThreads, NoDraftOutlivesALowerBudget) {
  for (int round = 0; round < 200; ++round) {
    Store store(50000);
    std::thread writer([&] {
      for (std::uint64_t n = 0; n < 40; ++n) Put(&store, n, 1000, 1000);
    });
    store.SetBudget(5000);
    writer.join();
    EXPECT_LE(store.stats().bytes, 5000u);
  }
}

// Everybody wants the same few keys: one publisher wins, all readers agree.
TEST(StoreThreads, EqualKeysAreStoredOnce) {
  Store store(1 << 20);
  std::atomic<int> published{0};
  std::vector<std::thread> threads;
  for (int user = 0; user < 4; ++user) {
    threads.emplace_back([&] {
      for (std::uint64_t n = 0; n < 500; ++n)
        published += Put(&store, n, 50, 1) == Rejection::kNone;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(published, 500);
  EXPECT_EQ(store.stats().entries, 500u);
  EXPECT_EQ(store.stats().bytes, 500 * ChargeOf(50));
}

}  // namespace
}  // namespace actcache
