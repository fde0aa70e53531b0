// What a region of prefixes would find of a simulated store, and what it would keep there: the
// operators' own search of chains, and what CacheStore does about the rest, without a tensor.
#ifndef ACTCACHE_UNITS_CHAIN_SIMULATION_H_
#define ACTCACHE_UNITS_CHAIN_SIMULATION_H_

#include <cstddef>
#include <cstdint>

#include "store/simulation.h"

namespace actcache {

// One call, told by the keys of its units. An entry is one position.
struct SimulatedChains {
  std::uint32_t region;
  std::size_t rows;           // of the batch
  std::size_t length;         // units of each
  std::size_t min_suffix;     // the fewest that are computed if any are
  const std::uint64_t* keys;  // of all units, row by row; each covers those before it in its row
  std::size_t bytes;          // of a unit's payload
  std::size_t end_bytes;  // of what is known behind the last unit alone; 0: there is no such thing
  std::uint64_t saving_ns;  // by a hit on a unit
  bool hands_ends_on;       // what has end_bytes is a result of the call, too
};

// Looks the call up, and offers what it would compute. Returns how many units of each row it would
// use. May throw std::bad_alloc.
std::size_t Simulate(Simulation& simulation, const SimulatedChains& call);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_CHAIN_SIMULATION_H_
