// DecodePlan: whatever bytes it takes for a plan, everything in that plan lies within them and
// refers to rows that are there; and there is one encoding of a plan.
//
// Input: a byte that says by how much the plan is misaligned, then the plan.
#include "units/call_plan.h"

#include <cstring>
#include <memory>

#include "target.h"

namespace actcache {
namespace {

constexpr std::uint32_t kRegion = 7;

// As many bytes as there are and not one more, so that AddressSanitizer sees each that is read
// beyond.
class ExactCopy {
 public:
  ExactCopy(const std::uint8_t* data, std::size_t size, std::size_t misalignment)
      : memory_(new std::byte[size + misalignment]), misalignment_(misalignment) {
    if (size > 0) std::memcpy(memory_.get() + misalignment, data, size);
  }
  const std::byte* bytes() const { return memory_.get() + misalignment_; }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t misalignment_;
};

void CheckSources(const CallPlan& plan) {
  ACTCACHE_FUZZ_CHECK((plan.sources == nullptr) ==
                      (plan.missing == 0 || plan.kind == PlanKind::kPrefix));
  if (plan.sources == nullptr) return;
  std::size_t seen = 0;
  for (std::uint32_t row = 0; row < plan.rows; ++row) {
    const RowSource source = plan.sources[row];
    if (source.cached()) {
      ACTCACHE_FUZZ_CHECK(source.index() < plan.cached_rows);
      continue;
    }
    ACTCACHE_FUZZ_CHECK(source.index() <= seen && source.index() < plan.missing);
    if (source.index() == seen) ++seen;
  }
  ACTCACHE_FUZZ_CHECK(seen == plan.missing);
}

// As many blocks are found in every row.
void CheckBlocks(const CallPlan& plan) {
  if (plan.kind != PlanKind::kPrefix) {
    ACTCACHE_FUZZ_CHECK(plan.length == 1 && plan.tail == 0);
    return;
  }
  ACTCACHE_FUZZ_CHECK(plan.length > 0 && plan.rows > 0 && plan.rows % plan.length == 0);
  ACTCACHE_FUZZ_CHECK(plan.cached_rows % (plan.rows / plan.length) == 0);
  ACTCACHE_FUZZ_CHECK(plan.missing + plan.cached_rows == plan.rows);
  ACTCACHE_FUZZ_CHECK((plan.before != nullptr) == (plan.missing > 0 && plan.cached_rows > 0));
}

void CheckFound(const CallPlan& plan) {
  if (!plan.any_miss()) return;
  plan.ForEachFound([&](std::size_t unit, std::size_t found) {
    ACTCACHE_FUZZ_CHECK(unit < plan.rows && found < plan.cached_rows);
  });
}

void CheckPlan(const CallPlan& plan, const std::byte* bytes, std::size_t size) {
  ACTCACHE_FUZZ_CHECK(plan.region == kRegion);
  ACTCACHE_FUZZ_CHECK(plan.missing + std::uint64_t{plan.cached_rows} <= plan.rows);
  ACTCACHE_FUZZ_CHECK(plan.kind != PlanKind::kPass || plan.rows == 0);
  ACTCACHE_FUZZ_CHECK(plan.kind != PlanKind::kWhole || plan.rows == 1);
  ACTCACHE_FUZZ_CHECK(plan.handed_over == kNothingHandedOver || plan.cached_rows > 0);
  CheckFound(plan);
  CheckSources(plan);
  CheckBlocks(plan);
  for (std::uint32_t i = 0; i < plan.missing; ++i) {
    ACTCACHE_FUZZ_CHECK((plan.flags[i] & ~kAllMissingFlags) == 0);
  }
  ACTCACHE_FUZZ_CHECK(PlanBytes(plan) == size);
  const std::unique_ptr<std::byte[]> again(new std::byte[size]);
  EncodePlan(plan, again.get());
  ACTCACHE_FUZZ_CHECK(std::memcmp(again.get(), bytes, size) == 0);
}

}  // namespace

std::vector<fuzz::Input> fuzz::Seeds() {
  const Key keys[] = {Key{{1, 2}}, Key{{3, 4}}};
  const RowSource sources[] = {RowSource::Computed(0), RowSource::Cached(0), RowSource::Computed(1),
                               RowSource::Computed(0), RowSource::Cached(1)};
  const std::uint8_t flags[] = {kReplace, kVerify};
  CallPlan plan;
  plan.region = kRegion;
  plan.lookup_end_ns = 1;
  plan.keys = keys;
  plan.sources = sources;
  plan.flags = flags;
  std::vector<Input> seeds;
  const auto add = [&](PlanKind kind, std::uint32_t rows, std::uint32_t missing,
                       std::uint32_t cached_rows) {
    plan.kind = kind;
    plan.rows = rows;
    plan.missing = missing;
    plan.cached_rows = cached_rows;
    Input seed(1 + PlanBytes(plan));
    EncodePlan(plan, reinterpret_cast<std::byte*>(seed.data() + 1));
    seeds.push_back(seed);
  };
  add(PlanKind::kPass, 0, 0, 0);
  add(PlanKind::kWhole, 1, 1, 0);
  add(PlanKind::kRow, 5, 2, 2);
  add(PlanKind::kRow, 5, 0, 5);
  plan.handed_over = 7;
  add(PlanKind::kRow, 5, 0, 5);
  add(PlanKind::kRow, 5, 2, 2);
  plan.handed_over = kNothingHandedOver;
  plan.length = 2;
  plan.tail = 1;
  plan.before = keys;
  add(PlanKind::kPrefix, 4, 2, 2);
  add(PlanKind::kPrefix, 4, 0, 4);
  return seeds;
}

}  // namespace actcache

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace actcache;
  if (size == 0) return 0;
  const std::size_t misalignment = data[0] % 8;
  const ExactCopy copy(data + 1, size - 1, misalignment);
  CallPlan plan;
  const char* const problem = DecodePlan(copy.bytes(), size - 1, kRegion, &plan);
  if (problem != nullptr) return 0;
  ACTCACHE_FUZZ_CHECK(misalignment == 0);
  CheckPlan(plan, copy.bytes(), size - 1);
  return 0;
}
