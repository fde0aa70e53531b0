// A region whose costs are known, with streams of rows played through the real policy and the real
// signature filter. Time is what the costs say, so that outcomes are exact.
#ifndef ACTCACHE_TESTS_POLICY_SIMULATION_H_
#define ACTCACHE_TESTS_POLICY_SIMULATION_H_

#include <cstdint>
#include <functional>
#include <random>
#include <unordered_set>
#include <vector>

#include "policy/region_policy.h"
#include "policy/signature_filter.h"

namespace actcache::simulation {

// Nanoseconds per row.
struct Costs {
  std::uint64_t recompute = 1'000'000;
  std::uint64_t lookup = 8'000;
  std::uint64_t fetch = 1'000;
  std::uint64_t publish = 2'000;
  std::uint64_t watch = 100;
};

struct Totals {
  std::uint64_t rows = 0;
  std::uint64_t hits = 0;
  std::uint64_t passed = 0;  // rows
  double recompute_ns = 0;   // of all rows, had none been reused
  double overhead_ns = 0;    // beyond what a call that passes costs, but for watching
  double saved_ns = 0;

  double loss() const { return overhead_ns - saved_ns; }
};

using Stream = std::function<std::uint64_t()>;  // the identity of the next row

// Rows that no stream of this process has given before.
inline Stream Fresh() {
  static std::uint64_t next = std::uint64_t{1} << 62;
  return [] { return next++; };
}

// Each row is one of `pool` with this probability, else fresh.
inline Stream Repeating(double share, std::uint64_t pool, std::uint64_t seed) {
  return [=, random = std::mt19937_64(seed), next = (seed + 1) << 48]() mutable {
    const bool old = std::uniform_real_distribution<>(0, 1)(random) < share;
    return old ? (seed << 32) + random() % pool : next++;
  };
}

// Each row is with this probability one of all that came before, however long ago.
inline Stream FarApart(double share, std::uint64_t seed) {
  return [=, random = std::mt19937_64(seed), count = std::uint64_t{0}]() mutable {
    const bool old = count > 0 && std::uniform_real_distribution<>(0, 1)(random) < share;
    return (seed << 32) + (old ? random() % count : count++);
  };
}

class Region {
 public:
  explicit Region(const Costs& costs_in, ShapeClass shape = 0) : costs(costs_in), shape_(shape) {}

  Totals Play(const Stream& stream, std::size_t calls, std::size_t rows = 8,
              bool automatic = true) {
    Totals totals;
    for (std::size_t i = 0; i < calls; ++i) Call(stream, rows, automatic, &totals);
    return totals;
  }

  // What `rows` rows cost more when they are looked up and nothing is found.
  double MissOverhead(std::size_t rows = 8) const {
    return static_cast<double>(rows * (costs.lookup + costs.publish));
  }

  RegionPolicy policy;
  Costs costs;
  BypassSetting setting;  // of the last call
  // Whether there is a tier.
  bool others_read = false;
  // What of a row's identity its signature shows.
  std::uint64_t visible = ~std::uint64_t{0};

 private:
  static std::uint64_t Mix(std::uint64_t x) {  // splitmix64's finaliser
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

  void Call(const Stream& stream, std::size_t rows, bool automatic, Totals* totals) {
    setting = setting.After(automatic);
    Mode mode = policy.Begin(setting);
    if (Passes(mode) && others_read && policy.Feeds()) mode = Mode::kLookUp;
    std::vector<std::uint64_t> ids(rows);
    for (std::uint64_t& id : ids) id = stream();
    totals->rows += rows;
    totals->recompute_ns += static_cast<double>(rows * costs.recompute);
    std::size_t seen = 0;
    std::uint64_t watch_ns = 0;
    if (Notes(mode)) {
      watch_ns = rows * costs.watch;
      for (const std::uint64_t id : ids) seen += filter_.Note(Mix(id & visible)) ? 1 : 0;
    }
    totals->overhead_ns += static_cast<double>(watch_ns);
    if (Passes(mode)) {
      totals->passed += rows;
      policy.Passed({shape_, Notes(mode) ? rows : 0, seen, watch_ns});
      return;
    }
    std::vector<std::uint64_t> computed;
    for (const std::uint64_t id : ids) {
      if (store_.count(id) == 0) computed.push_back(id);
    }
    const std::size_t missing = computed.size();
    const std::size_t found = rows - missing;
    const std::uint64_t saved = found * costs.recompute;
    totals->hits += found;
    totals->saved_ns += static_cast<double>(saved);
    totals->overhead_ns += static_cast<double>(rows * costs.lookup + found * costs.fetch);
    policy.LookedUp({shape_, rows, found, 0, rows * costs.lookup, found * costs.fetch, saved});
    if (missing == 0) return;
    policy.Computed(shape_, missing, missing * costs.recompute);
    const bool spared = !others_read && Spare(&computed);
    store_.insert(computed.begin(), computed.end());
    const std::uint64_t publish_ns = computed.size() * costs.publish;
    totals->overhead_ns += static_cast<double>(publish_ns);
    policy.Published({shape_, missing, publish_ns, 0, 0, spared});
  }

  // Leaves those that are to be stored; whether others were there.
  bool Spare(std::vector<std::uint64_t>* computed) {
    if (policy.StoresFirstSights()) return false;
    std::vector<std::uint64_t> seen;
    for (const std::uint64_t id : *computed) {
      if (computed_.Note(Mix(id))) seen.push_back(id);
    }
    if (policy.Repeats(shape_, computed->size(), seen.size())) return false;
    *computed = seen;
    return true;
  }

  const ShapeClass shape_;
  SignatureFilter filter_;
  SignatureFilter computed_;
  std::unordered_set<std::uint64_t> store_;
};

}  // namespace actcache::simulation

#endif  // ACTCACHE_TESTS_POLICY_SIMULATION_H_
