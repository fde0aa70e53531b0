// What the store would keep of a stream of requests, told without a byte of payload: predictions,
// the report's curve and the policy benchmark ask the store itself, so that its policy is written
// once.
#ifndef ACTCACHE_STORE_SIMULATION_H_
#define ACTCACHE_STORE_SIMULATION_H_

#include <cstddef>
#include <cstdint>

#include "store/store.h"

namespace actcache {

// A store of its own, whose entries are charged as if they had payloads. One thread at a time.
class Simulation {
 public:
  struct Request {
    std::uint32_t region;
    std::uint64_t key;        // two of one region are the same entry if these are equal
    std::size_t bytes;        // of its payload
    std::uint64_t saving_ns;  // by a hit
  };
  enum class Outcome : std::uint8_t { kMiss, kHit, kNoMemory };

  explicit Simulation(std::size_t budget) noexcept : store_(budget) {}

  // Looks the entry up and, if it is not there, offers it to the store. kNoMemory: a miss, too, but
  // none that the policy decided.
  Outcome Touch(const Request& request) noexcept;

  // For calls whose units follow each other (units/chain_simulation.h): the store, the time at
  // which all happens, as nothing expires, and what stands for a key.
  Store& store() noexcept { return store_; }
  static constexpr std::uint64_t kNow = 1;
  static Key KeyOf(std::uint32_t region, std::uint64_t key) noexcept;

 private:
  Store store_;
};

}  // namespace actcache

#endif  // ACTCACHE_STORE_SIMULATION_H_
