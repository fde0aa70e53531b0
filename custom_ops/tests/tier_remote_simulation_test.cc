// The remote tier in a world of its own: callers, the background work and a server that fails in
// every way, on one clock that a seed decides all of. Minutes pass in a moment, every run can be
// had again, and what must hold is checked at every step.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tier_remote_testing.h"

namespace actcache {
namespace {

constexpr std::uint64_t kMillisecondNs = 1'000'000;

// Threads of which one runs at a time: the one whose time has come first.
class World {
 public:
  std::uint64_t now() const { return now_.load(); }

  // The calling actor goes on at `until_ns`.
  void SleepUntil(std::uint64_t until_ns) {
    std::unique_lock<std::mutex> lock(mutex_);
    Waiter waiter;
    waiting_[{std::max(until_ns, now_.load()), next_turn_++}] = &waiter;
    Next();
    waiter.changed.wait(lock, [&] { return waiter.awake; });
  }
  void Sleep(std::uint64_t ns) { SleepUntil(now() + ns); }

  // Runs actors to their ends; they begin in order.
  void Run(std::vector<std::function<void()>> actors) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < actors.size(); ++i) {
      threads.emplace_back([this, i, all = actors.size(), actor = std::move(actors[i])] {
        Begin(i, all);
        actor();
        const std::lock_guard<std::mutex> lock(mutex_);
        Next();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

 private:
  using Turn = std::pair<std::uint64_t, std::uint64_t>;  // time, order of going to sleep
  struct Waiter {
    std::condition_variable changed;
    bool awake = false;
  };

  void Begin(std::size_t number, std::size_t all) {
    std::unique_lock<std::mutex> lock(mutex_);
    Waiter waiter;
    waiting_[{0, number}] = &waiter;
    next_turn_ = all;
    if (waiting_.size() == all) Next();
    waiter.changed.wait(lock, [&] { return waiter.awake; });
  }
  // Wakes the first.
  void Next() {
    if (waiting_.empty()) return;
    const auto first = waiting_.begin();
    now_ = std::max(now_.load(), first->first.first);
    first->second->awake = true;
    first->second->changed.notify_one();
    waiting_.erase(first);
  }

  std::mutex mutex_;
  std::map<Turn, Waiter*> waiting_;
  std::atomic<std::uint64_t> now_{0};
  std::uint64_t next_turn_ = 0;
};

class WorldTime final : public TimeSource {
 public:
  explicit WorldTime(World* world) : world_(*world) {}
  std::uint64_t Now() const noexcept override { return world_.now(); }
  // Looks again every millisecond.
  void Wait(Condition*, Mutex* mutex,
            std::uint64_t until_ns) noexcept override ACTCACHE_NO_THREAD_SAFETY_ANALYSIS {
    mutex->Unlock();
    world_.SleepUntil(std::min(until_ns, world_.now() + kMillisecondNs));
    mutex->Lock();
  }

 private:
  World& world_;
};

enum class Mood { kSound, kSlow, kSilent, kRefusing, kBreaking, kLying, kFull, kMoods };

// The server of the world.
struct Server {
  Server(World* world_in, std::uint64_t seed) : world(*world_in), random(seed) {}

  bool Chance(int percent) { return static_cast<int>(random() % 100) < percent; }
  // Answers after a while. False: not by the deadline, which has come then.
  bool Answer(std::uint64_t deadline_ns) {
    const std::uint64_t usual = 100'000 + random() % 400'000;
    const std::uint64_t takes = mood == Mood::kSlow ? usual * 40 : usual;
    const bool comes = mood != Mood::kSilent && world.now() + takes <= deadline_ns;
    world.SleepUntil(comes ? world.now() + takes : deadline_ns);
    return comes;
  }

  World& world;
  std::mt19937_64 random;
  Mood mood = Mood::kSound;
  std::map<std::string, std::string> values;
  int connecting = 0;
  int connects = 0;
};

class WorldLink final : public Link {
 public:
  explicit WorldLink(Server* server) : server_(*server) {}

  bool Idle() noexcept override { return server_.mood != Mood::kRefusing; }

  LinkResult Get(const std::string* keys, std::size_t count, std::size_t, std::uint64_t deadline_ns,
                 Buffer* values) noexcept override {
    if (!server_.Answer(deadline_ns)) return LinkResult::kLate;
    for (std::size_t i = 0; i < count; ++i) {
      if (server_.mood == Mood::kBreaking && server_.Chance(50)) return LinkResult::kLost;
      const auto found = Look(keys[i]);
      if (found == server_.values.end()) continue;
      std::string value = found->second;
      if (server_.mood == Mood::kLying && server_.Chance(30)) value.resize(value.size() / 2);
      if (server_.mood == Mood::kLying && server_.Chance(30)) value[value.size() / 3] ^= 1;
      values[i] = Buffer::Copy(value.data(), value.size());
    }
    return LinkResult::kAnswered;
  }

  LinkResult Exist(const std::string* keys, std::size_t count, std::uint64_t deadline_ns,
                   bool* there) noexcept override {
    if (!server_.Answer(deadline_ns)) return LinkResult::kLate;
    for (std::size_t i = 0; i < count; ++i) there[i] = server_.values.count(keys[i]) != 0;
    return LinkResult::kAnswered;
  }

  LinkResult Set(const LinkItem* items, std::size_t count, std::uint64_t deadline_ns,
                 std::size_t* kept) noexcept override {
    *kept = 0;
    if (!server_.Answer(deadline_ns)) return LinkResult::kLate;
    if (server_.mood == Mood::kFull) return LinkResult::kRefused;
    for (std::size_t i = 0; i < count; ++i, ++*kept) {
      server_.values.emplace(std::string(items[i].key), std::string(items[i].value));
    }
    return LinkResult::kAnswered;
  }

  LinkResult Delete(const std::string* keys, std::size_t count,
                    std::uint64_t deadline_ns) noexcept override {
    if (!server_.Answer(deadline_ns)) return LinkResult::kLate;
    for (std::size_t i = 0; i < count; ++i) server_.values.erase(keys[i]);
    return LinkResult::kAnswered;
  }

  const std::string& problem() const noexcept override { return problem_; }

 private:
  // The value of the key, or of any other.
  std::map<std::string, std::string>::iterator Look(const std::string& key) {
    if (server_.mood == Mood::kLying && server_.Chance(30) && !server_.values.empty()) {
      auto other = server_.values.begin();
      std::advance(other, server_.random() % server_.values.size());
      return other;
    }
    return server_.values.find(key);
  }

  Server& server_;
  const std::string problem_ = "as the world wants it";
};

class WorldConnector final : public Connector {
 public:
  explicit WorldConnector(Server* server) : server_(*server) {}
  std::unique_ptr<Link> Connect(std::uint64_t deadline_ns, std::string* problem) noexcept override {
    EXPECT_EQ(++server_.connecting, 1) << "one at a time";
    ++server_.connects;
    const bool made = server_.mood != Mood::kRefusing && server_.Answer(deadline_ns);
    --server_.connecting;
    if (made) return std::make_unique<WorldLink>(&server_);
    *problem = "as the world wants it";
    return nullptr;
  }

 private:
  Server& server_;
};

struct Outcome {
  std::uint64_t hits = 0;
  std::uint64_t asked = 0;
  std::uint64_t waited_in_vain = 0;  // calls that took time and found nothing that is there
  int connects = 0;
  std::uint64_t ended_ns = 0;
  TierStats stats;

  friend bool operator==(const Outcome& a, const Outcome& b) {
    return a.hits == b.hits && a.asked == b.asked && a.connects == b.connects &&
           a.ended_ns == b.ended_ns && a.stats.damaged == b.stats.damaged;
  }
};

// The parts of one run, and its actors.
class Playing {
 public:
  Playing(std::uint64_t seed, std::vector<std::pair<Mood, std::uint64_t>> moods)
      : server_(&world_, seed),
        moods_(std::move(moods)),
        tier_(TestSettings(), std::make_shared<WorldConnector>(&server_),
              std::make_shared<WorldTime>(&world_), seed, Background::kCaller),
        seed_(seed) {}

  Outcome Play(int callers) {
    std::vector<std::function<void()>> actors = {[this] { ChangeMoods(); }, [this] { Work(); },
                                                 [this] { Write(); }};
    for (int i = 0; i < callers; ++i)
      actors.push_back([this, i] { Call(seed_ * 100 + static_cast<std::uint64_t>(i)); });
    world_.Run(std::move(actors));
    outcome_.connects = server_.connects;
    outcome_.ended_ns = world_.now();
    outcome_.stats = tier_.stats();
    return outcome_;
  }

 private:
  static constexpr std::uint64_t kKeys = 20;
  static constexpr std::size_t kBytes = 200;

  void ChangeMoods() {
    for (const auto& [mood, lasts_ns] : moods_) {
      server_.mood = mood;
      world_.Sleep(lasts_ns);
    }
    over_ = true;
  }
  void Work() {
    while (!over_) {
      const std::uint64_t next = tier_.client().Step();
      world_.SleepUntil(std::min(next, world_.now() + kMillisecondNs));
    }
  }
  void Write() {
    std::mt19937_64 random(seed_);
    while (!over_) {
      const Record record = RecordOf(random() % kKeys, kBytes);
      tier_.Put(&record, 1);
      world_.Sleep(random() % (5 * kMillisecondNs));
    }
  }
  void Call(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!over_) {
      const std::uint64_t numbers[] = {random() % kKeys, kKeys + random() % kKeys};
      const TierKey keys[] = {KeyOf(numbers[0]), KeyOf(numbers[1])};
      Record found[2];
      const std::uint64_t begin = world_.now();
      const std::uint64_t patience = kMillisecondNs + random() % (49 * kMillisecondNs);
      const bool available = tier_.available();
      tier_.Get(keys, 2, begin + patience, found);
      const std::uint64_t took = world_.now() - begin;
      ++outcome_.asked;
      EXPECT_LE(took, patience) << "nobody waits beyond the deadline";
      EXPECT_TRUE(available || took == 0) << "a server that is left alone costs no time";
      EXPECT_FALSE(found[1]) << "nobody has ever stored it";
      if (found[0]) {
        ++outcome_.hits;
        EXPECT_TRUE(IsRecordOf(found[0], numbers[0], kBytes)) << "never a wrong byte";
      } else if (took == patience) {
        ++outcome_.waited_in_vain;
      }
      world_.Sleep(random() % (3 * kMillisecondNs));
    }
  }

  World world_;
  Server server_;
  const std::vector<std::pair<Mood, std::uint64_t>> moods_;
  RemoteTier tier_;
  const std::uint64_t seed_;
  Outcome outcome_;
  std::atomic<bool> over_{false};
};

TEST(RemoteSimulationTest, NothingWrongAndNobodyLateWhateverTheServerDoes) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<std::pair<Mood, std::uint64_t>> moods = {{Mood::kSound, 300 * kMillisecondNs}};
    for (int i = 0; i < 8; ++i) {
      const auto mood = static_cast<Mood>(random() % static_cast<int>(Mood::kMoods));
      moods.emplace_back(mood, random() % (400 * kMillisecondNs));
    }
    SCOPED_TRACE(seed);
    const Outcome outcome = Playing(seed, moods).Play(4);
    EXPECT_GT(outcome.hits, 0u);
    EXPECT_GT(outcome.asked, outcome.hits);
  }
}

TEST(RemoteSimulationTest, ASeedDecidesEverything) {
  const std::vector<std::pair<Mood, std::uint64_t>> moods = {{Mood::kSound, 200 * kMillisecondNs},
                                                             {Mood::kLying, 200 * kMillisecondNs},
                                                             {Mood::kSilent, 200 * kMillisecondNs},
                                                             {Mood::kSound, 300 * kMillisecondNs}};
  const Outcome once = Playing(5, moods).Play(3);
  EXPECT_TRUE(once == Playing(5, moods).Play(3));
  EXPECT_FALSE(once == Playing(6, moods).Play(3));
  EXPECT_GT(once.stats.damaged, 0u);
}

TEST(RemoteSimulationTest, ADeadServerCostsEachCallerOneDeadline) {
  const Outcome outcome =
      Playing(3, {{Mood::kSound, 300 * kMillisecondNs}, {Mood::kSilent, 4 * kSecondNs}}).Play(4);
  EXPECT_GT(outcome.hits, 0u);
  EXPECT_GE(outcome.waited_in_vain, 1u);
  EXPECT_LE(outcome.waited_in_vain, 4u);
  EXPECT_LT(outcome.connects, 12) << "a probe takes seconds, and the waits grow";
}

TEST(RemoteSimulationTest, AServerThatComesBackIsUsedAgain) {
  for (const Mood mood : {Mood::kSilent, Mood::kRefusing, Mood::kBreaking}) {
    const Outcome broken = Playing(4, {{mood, 300 * kMillisecondNs}}).Play(2);
    const Outcome outcome =
        Playing(4, {{mood, 300 * kMillisecondNs}, {Mood::kSound, 4 * kSecondNs}}).Play(2);
    EXPECT_GT(outcome.hits, broken.hits + 100) << static_cast<int>(mood);
    EXPECT_TRUE(outcome.stats.available);
  }
}

TEST(RemoteSimulationTest, AFullServerGivesWhatItHas) {
  const Outcome before = Playing(2, {{Mood::kSound, 300 * kMillisecondNs}}).Play(2);
  const Outcome outcome =
      Playing(2, {{Mood::kSound, 300 * kMillisecondNs}, {Mood::kFull, kSecondNs}}).Play(2);
  EXPECT_GT(outcome.hits, 2 * before.hits);
  EXPECT_GT(outcome.stats.refused, 0u);
  EXPECT_EQ(outcome.waited_in_vain, 0u);
}

}  // namespace
}  // namespace actcache
