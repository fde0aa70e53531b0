#include "units/chain_simulation.h"

#include <array>
#include <limits>
#include <new>
#include <optional>
#include <utility>

#include "units/match.h"
#include "units/prefix_cut.h"

namespace actcache {
namespace {

// Units of [rows, positions, bytes], and ends likewise.
PrefixAxes AxesOf(const SimulatedChains& call) {
  if (call.end_bytes == 0) return {{0}, {1}, {0}, {1}};
  return {{0}, {1}, {0, 0}, {1, 1}, 1, call.hands_ends_on};
}

class Kept {
 public:
  Kept(Store& store, const SimulatedChains& call) : store_(store), call_(call) {}

  // As UnitKeeper: row by row, each unit behind the one before it. `keys`: of the whole call.
  void Keep(const Match& match, const Keys& keys, std::size_t used) {
    const std::size_t computed = call_.length - used;
    for (std::size_t i = 0; i < match.missing.size(); ++i) {
      const std::size_t place = i % computed;
      if (place == 0) Begin(used == 0 ? nullptr : &keys[match.missing[i] - 1]);
      const std::uint8_t flags = match.missing_flags[i];
      const bool has_ends = place + 1 == computed || (flags & kDivides) != 0;
      See(match.missing_keys[i], flags, has_ends, computed - 1 - place);
    }
  }

 private:
  void Begin(const Key* before) {
    before_ = std::numeric_limits<double>::infinity();
    if (before != nullptr) before_ = store_.WorthOf(*before);
  }

  void See(const Key& key, std::uint8_t flags, bool has_ends, std::size_t followers) {
    if ((flags & kKept) == 0 && before_) {
      Draft draft = Reserve(key, (flags & kReplace) != 0, has_ends, followers);
      if (draft) {
        before_ = draft.worth();
        store_.Publish(std::move(draft));
        return;
      }
      if (draft.rejection() == Rejection::kNoMemory) throw std::bad_alloc();
    }
    // Nothing took the place of what is to be replaced.
    if ((flags & kReplace) != 0) store_.Remove(key, Ledger::Removal::kOutdated);
    before_ = store_.WorthOf(key);
  }

  Draft Reserve(const Key& key, bool replace, bool has_ends, std::size_t followers) {
    constexpr auto kType = static_cast<std::int32_t>(ElementType::kUint8);
    const std::size_t end = has_ends ? call_.end_bytes : 0;
    const std::array<TensorSpec, 2> specs = {
        TensorSpec{kType, {1, static_cast<std::int64_t>(call_.bytes)}, call_.bytes},
        TensorSpec{kType, {has_ends ? 1 : 0, static_cast<std::int64_t>(call_.end_bytes)}, end}};
    Offer offer{};
    offer.key = key;
    offer.specs = specs.data();
    offer.count = call_.end_bytes == 0 ? 1 : 2;
    offer.cost_ns = call_.saving_ns;
    offer.now_ns = Simulation::kNow;
    offer.replace = replace;
    offer.before = *before_;
    offer.followers = followers;
    offer.payloads = false;
    return store_.Reserve(offer);
  }

  Store& store_;
  const SimulatedChains& call_;
  std::optional<double> before_;  // what the unit before is worth; none: it is not kept
};

}  // namespace

std::size_t Simulate(Simulation& simulation, const SimulatedChains& call) {
  const std::size_t count = call.rows * call.length;
  if (count == 0) return 0;
  Keys keys;
  for (std::size_t i = 0; i < count; ++i) {
    keys.push_back(Simulation::KeyOf(call.region, call.keys[i]));
  }
  const PrefixCut cut(AxesOf(call), 1, call.min_suffix);
  const ElementTypes types(call.end_bytes == 0 ? 1 : 2, ElementType::kUint8);
  const LookupRules rules{FindLimits{Simulation::kNow}};
  Match match = FindUnits(simulation.store(), keys, {&cut, count, OneUnit::kNone, call.length, 0},
                          types, rules);
  match.hits.clear();  // the operators' references are gone when the rest is stored
  match.ends.clear();
  const std::size_t used = call.length - match.missing.size() / call.rows;
  Kept(simulation.store(), call).Keep(match, keys, used);
  return used;
}

}  // namespace actcache
