// Which signatures were seen lately: a guess at what would have been found, had it been stored.
#ifndef ACTCACHE_POLICY_SIGNATURE_FILTER_H_
#define ACTCACHE_POLICY_SIGNATURE_FILTER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace actcache {

// A direct-mapped table of 2^16 fingerprints of 16 bits: 128 KiB, allocated at first use, not
// charged to the budget. After n other signatures one is remembered with probability
// exp(-n / 65536); one never seen is taken for seen with probability 2^-16. Thread-safe, without
// locks: threads that meet in a slot lose one of their signatures.
class SignatureFilter {
 public:
  SignatureFilter() = default;
  ~SignatureFilter();
  SignatureFilter(const SignatureFilter&) = delete;
  SignatureFilter& operator=(const SignatureFilter&) = delete;

  // Notes a signature, and says whether it was there. Without memory nothing is ever there.
  bool Note(std::uint64_t signature) noexcept;

 private:
  static constexpr std::size_t kSlots = std::size_t{1} << 16;
  using Slots = std::array<std::atomic<std::uint16_t>, kSlots>;  // 0: empty

  Slots* GetSlots() noexcept;

  std::atomic<Slots*> slots_{nullptr};
};

}  // namespace actcache

#endif  // ACTCACHE_POLICY_SIGNATURE_FILTER_H_
