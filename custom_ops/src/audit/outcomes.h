// The letters of an audit log (docs/audit.md): what became of each row that was looked up, and of
// each that was computed. actcache/audit/outcomes.py has the same names; a test compares them.
#ifndef ACTCACHE_AUDIT_OUTCOMES_H_
#define ACTCACHE_AUDIT_OUTCOMES_H_

namespace actcache {

// In a "lookup" line.
enum class LookupOutcome : char {
  kHit = 'h',
  kDuplicate = 'd',
  kJoined = 'j',
  kDisk = 'k',    // memory did not have it, the disk tier had
  kRemote = 'w',  // likewise, the remote tier
  kMiss = 'm',
  kExpired = 'e',
  kVerified = 'v',
  kRefreshed = 'r',
  kAgain = 'a',  // there, or in an earlier row: computed as what follows it is
  kBypassed = 'b',
};

// In a "store" line.
enum class StoreOutcome : char {
  kStored = 's',
  kRefused = 'r',     // not worth it, or no room
  kFirstSight = 'f',  // nothing of the region repeated so far (policy/first_sight.h)
  kPresent = 'p',
  kEqual = '=',      // to its entry
  kDifferent = 'x',  // from its entry
  kNothing = 'n',    // it cannot be an entry, or what it was to be compared with is gone
};

constexpr char Letter(LookupOutcome outcome) { return static_cast<char>(outcome); }
constexpr char Letter(StoreOutcome outcome) { return static_cast<char>(outcome); }

}  // namespace actcache

#endif  // ACTCACHE_AUDIT_OUTCOMES_H_
