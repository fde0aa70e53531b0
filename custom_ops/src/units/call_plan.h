// The plan: what a lookup tells the operator of the branch that runs, as plain bytes in a uint8
// tensor.
//
// It travels through the graph instead of through shared state, so that a Run that is aborted
// between the two operators leaves nothing behind, but for what is handed over. It is still input
// from outside: DecodePlan checks all of it before a byte is used, so that no plan, however made,
// can make the store operator leave its tensors.
//
// Layout: PlanHeader, then `missing` keys, then as many second halves of keys, if the header says
// so, then (only if something is missing, and some was found, of prefixes) as many keys as there
// are rows of the batch, then (only if something is missing, and only of rows and whole calls)
// `rows` sources, then `missing` bytes of MissingFlags.
#ifndef ACTCACHE_UNITS_CALL_PLAN_H_
#define ACTCACHE_UNITS_CALL_PLAN_H_

#include <cstddef>
#include <cstdint>

#include "flight/flight_table.h"
#include "hash/key.h"
#include "policy/row_costs.h"
#include "store/offer.h"

namespace actcache {

// Names what a lookup has handed over to be fetched (ops/hand_over_table.h). Plain data, which
// travels in the plan; nobody can guess one.
using HandOverToken = std::uint64_t;
inline constexpr HandOverToken kNothingHandedOver = 0;

enum class PlanKind : std::uint8_t {
  kPass = 0,   // nothing was looked up; the computed live-outs are the results
  kRow = 1,    // one key per row of the batch
  kWhole = 2,  // one key for the whole call: rows == 1
  // One key per block of positions of each row of the batch. The first `cached_rows` of them, as
  // many in each row, were found, the others are missing; so there are no sources.
  kPrefix = 3,
};

// Where a row of the complete live-outs comes from: `computed(i)` is row i of the computed
// live-outs, `cached(i)` row i of the cached ones.
class RowSource {
 public:
  RowSource() = default;
  static RowSource Computed(std::size_t i) { return RowSource(static_cast<std::int32_t>(i)); }
  static RowSource Cached(std::size_t i) { return RowSource(~static_cast<std::int32_t>(i)); }

  bool cached() const { return code_ < 0; }
  std::size_t index() const { return static_cast<std::size_t>(cached() ? ~code_ : code_); }

 private:
  explicit RowSource(std::int32_t code) : code_(code) {}
  std::int32_t code_ = 0;  // i >= 0: computed(i); ~i: cached(i)
};

// Why a row is computed although it might be in the store, and what becomes of its result. Bits.
enum MissingFlags : std::uint8_t {
  kReplace = 1,  // what is stored takes the place of an entry with the key
  kVerify = 2,   // the row was found: compare what is computed with the entry
  kExpired = 4,  // its entry was too old
  kKept = 8,     // an entry has it, or will have: it is computed because others are, and not stored
  kDivides = 16,  // of a cut with ends: they are known behind this unit, too
};
inline constexpr std::uint8_t kAllMissingFlags = kReplace | kVerify | kExpired | kKept | kDivides;

struct PlanHeader {
  std::uint32_t magic;
  std::uint16_t version;
  PlanKind kind;
  ShapeClass shape;
  // The registry's number, so that a plan cannot reach another region's store.
  std::uint32_t region;
  std::uint32_t name_space;  // the registry's number; whose the entries will be
  std::uint32_t rows;
  std::uint32_t missing;      // unique rows to compute: M
  std::uint32_t cached_rows;  // rows of the `cached` tensors: H
  FlightToken flight;         // others wait for missing rows until it ends; kNoFlight: nobody does
  std::uint64_t lookup_end_ns;
  std::uint64_t call;    // AuditLog's number; 0: the lookup is not in the log, nor is what follows
  std::uint32_t origin;  // of the lookup's kernel (policy/origins.h)
  std::uint16_t scope;   // of the keys: a KeyScope
  std::uint16_t tails;   // 1: the keys have second halves
  std::uint32_t length;  // of `rows`, in each row of the batch; 1 but for kPrefix
  std::uint32_t tail;    // positions behind them in each row; 0 but for kPrefix
  HandOverToken handed_over;  // what was found, if it is not in the `cached` tensors
};
static_assert(sizeof(PlanHeader) == 72 && alignof(PlanHeader) == 8, "plan bytes have no padding");

// Row counts above this do not fit a RowSource; such a call is looked up as a whole.
inline constexpr std::size_t kMaxPlanRows = 0x7fffffff;

// A plan before or after its trip through the graph. Does not own the arrays.
struct CallPlan {
  PlanKind kind = PlanKind::kPass;
  ShapeClass shape = 0;  // of the rows' inputs, by which their costs are kept
  std::uint32_t region = 0;
  std::uint32_t name_space = 0;
  std::uint32_t rows = 0;
  std::uint32_t missing = 0;
  std::uint32_t cached_rows = 0;
  FlightToken flight = kNoFlight;
  std::uint64_t lookup_end_ns = 0;
  std::uint64_t call = 0;
  std::uint16_t origin = 0;
  KeyScope scope = KeyScope::kProcess;  // of the keys
  std::uint32_t length = 1;
  std::uint32_t tail = 0;
  HandOverToken handed_over = kNothingHandedOver;
  const Key* keys = nullptr;       // `missing` of them
  const KeyTail* tails = nullptr;  // as many, for what goes to other processes; null: nothing does
  // Of kPrefix, the key of the last unit found in each row of the batch; null if nothing was found,
  // or nothing is missing.
  const Key* before = nullptr;
  const KeyTail* before_tails = nullptr;  // as many; null as `before` or `tails` is
  const RowSource* sources = nullptr;   // `rows` of them if missing > 0, else none; not of kPrefix
  const std::uint8_t* flags = nullptr;  // `missing` of them: MissingFlags

  // Whether anything is to be computed.
  bool any_miss() const { return missing > 0 || tail > 0; }
  // Rows of the batch, of kPrefix.
  std::size_t batch() const { return rows / length; }
  // Of kPrefix: how many of the missing units of a row are up to the first with kDivides; 0: there
  // is none.
  std::size_t divided() const;
  // How many units were wanted that are computed, equal ones counted each.
  std::size_t wanted() const;
  // Calls visit(unit, found) for each unit that was found: it is number `found` of the cached ones.
  // REQUIRES: any_miss().
  template <typename Visit>
  void ForEachFound(const Visit& visit) const {
    if (kind == PlanKind::kPrefix) {
      const std::size_t in_a_row = cached_rows / batch();
      for (std::size_t found = 0; found < cached_rows; ++found) {
        visit(found / in_a_row * length + found % in_a_row, found);
      }
      return;
    }
    for (std::size_t row = 0; row < rows; ++row) {
      if (sources[row].cached()) visit(row, sources[row].index());
    }
  }
};

std::size_t PlanBytes(const CallPlan& plan);

// Writes PlanBytes(plan) bytes, 8-byte aligned.
void EncodePlan(const CallPlan& plan, std::byte* out);

// Reads a plan; null when it is sound, else what is wrong with it. The result points into `bytes`,
// which must be 8-byte aligned (checked).
const char* DecodePlan(const std::byte* bytes, std::size_t size, std::uint32_t region,
                       CallPlan* plan);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_CALL_PLAN_H_
