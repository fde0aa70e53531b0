// Whether a region stores what it computes the first time it is seen.
//
// Storing a large value takes time: copying it, and memory that the system has to find. Where
// nothing repeats that is lost. So a region has credit, in nanoseconds. What hits save adds to it,
// up to what storing 64 of the largest calls takes, or a second; storing a call's units is paid
// from it. The first calls are free, as nothing is known yet, and then there is a debt of what two
// hits save: where storing is cheap, one hit in many rows pays, and few misses say little. When
// that is used up, too, and storing takes more than a hundredth of the time to compute, first
// sights are not stored any more: only keys are remembered (SignatureFilter), and a unit is stored
// when its key comes the second time. Each such call is weighed: what hits have saved, and what
// hits on the units seen before would have saved, against half as much again as storing all its
// units would have cost. As soon as that is a gain, all is stored again, this call's units
// included. So what repeats is lost once at most, and what never repeats costs no more than
// hashing.
#ifndef ACTCACHE_POLICY_FIRST_SIGHT_H_
#define ACTCACHE_POLICY_FIRST_SIGHT_H_

namespace actcache {

// Of one region. Not thread-safe. Durations are in nanoseconds.
class FirstSight {
 public:
  static constexpr unsigned kFreeCalls = 6;
  static constexpr double kMostCalls = 64;
  static constexpr double kMostNs = 1e9;
  static constexpr double kSmallShare = 0.01;
  static constexpr double kDebtHits = 2;
  static constexpr double kCaution = 1.5;

  // Whether units are stored that nobody is known to want again.
  bool stores() const noexcept { return stores_; }

  // What was found saved so much more than copying it took.
  void Saved(double saved) noexcept;

  // All units of a call were stored, which took that long: this share of computing them. A hit on
  // one of them saves so much more than it takes.
  void Stored(double took, double share, double hit_saves) noexcept;

  // First sights of a call are not to be stored. `would_save`: hits on its units that were seen
  // before; `would_take`: storing all of them. Whether all are to be stored from now on.
  bool Repeats(double would_save, double would_take) noexcept;

 private:
  // Of calls that differ in size, few are large: a sequence is handed in at once and goes on by
  // small steps. These must not limit what the large ones may take.
  double most() const noexcept;

  bool stores_ = true;
  unsigned calls_ = 0;  // those that were free
  double largest_ = 0;  // what storing a call took at most
  double credit_ = 0;   // negative: debt
};

}  // namespace actcache

#endif  // ACTCACHE_POLICY_FIRST_SIGHT_H_
