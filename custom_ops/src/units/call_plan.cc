#include "units/call_plan.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

namespace actcache {
namespace {

constexpr std::uint32_t kMagic = 0x504c4341;  // "ACLP"
constexpr std::uint16_t kVersion = 10;

static_assert(std::is_trivially_copyable_v<Key> && sizeof(Key) == 16);
static_assert(std::is_trivially_copyable_v<KeyTail> && sizeof(KeyTail) == 16);
static_assert(std::is_trivially_copyable_v<RowSource> && sizeof(RowSource) == 4);

// Of a CallPlan or its header.
template <typename Described>
std::size_t SourceCount(const Described& plan) {
  return plan.missing > 0 && plan.kind != PlanKind::kPrefix ? plan.rows : 0;
}

// Rows of the batch of which some units were found, and some are missing.
template <typename Described>
std::size_t BeforeCount(const Described& plan) {
  const bool some = plan.kind == PlanKind::kPrefix && plan.missing > 0 && plan.cached_rows > 0;
  return some && plan.length > 0 ? plan.rows / plan.length : 0;
}

template <typename Described>
std::size_t SizeOf(const Described& plan, bool tails) {
  return sizeof(PlanHeader) + plan.missing * (sizeof(Key) + sizeof(std::uint8_t)) +
         (tails ? (plan.missing + BeforeCount(plan)) * sizeof(KeyTail) : 0) +
         BeforeCount(plan) * sizeof(Key) + SourceCount(plan) * sizeof(RowSource);
}

// The same number of blocks is found in every row, and the others are missing.
const char* CheckBlocks(const PlanHeader& header) {
  if (header.rows == 0 || header.length == 0 || header.rows % header.length != 0) {
    return "its rows are of unequal length";
  }
  if (header.cached_rows % (header.rows / header.length) != 0 ||
      header.missing != header.rows - header.cached_rows) {
    return "what is found and what is missing does not make whole rows";
  }
  return header.tail <= kMaxPlanRows ? nullptr : "its rows are too long";
}

const char* CheckHeader(const PlanHeader& header, std::size_t size, std::uint32_t region) {
  if (header.magic != kMagic || header.version != kVersion || header.shape >= kShapeClasses) {
    return "it was not written by CacheLookup of this version";
  }
  if (header.region != region) return "it belongs to another region";
  if (header.rows > kMaxPlanRows || header.missing > header.rows ||
      header.cached_rows > header.rows - header.missing) {
    return "its row counts are inconsistent";
  }
  if (header.flight != kNoFlight && header.missing == 0) return "nobody can wait for it";
  if (header.handed_over != kNothingHandedOver && header.cached_rows == 0) {
    return "nothing was found that it could hand over";
  }
  if (header.origin > std::numeric_limits<std::uint16_t>::max()) return "its origin is unknown";
  if (header.scope > static_cast<std::uint16_t>(KeyScope::kShared)) return "its scope is unknown";
  if (header.tails > (header.missing > 0 ? 1 : 0)) return "its keys have no such halves";
  switch (header.kind) {
    case PlanKind::kPass:
      if (header.rows != 0) return "a pass has no rows";
      break;
    case PlanKind::kWhole:
      if (header.rows != 1) return "a whole-call plan has one row";
      break;
    case PlanKind::kRow:
      break;
    case PlanKind::kPrefix:
      if (const char* problem = CheckBlocks(header)) return problem;
      break;
    default:
      return "its kind is unknown";
  }
  if (header.kind != PlanKind::kPrefix && (header.length != 1 || header.tail != 0)) {
    return "only prefixes have a length";
  }
  return size == SizeOf(header, header.tails != 0) ? nullptr : "its size is wrong";
}

// Every source in range, and every computed row used, as M unique rows must be.
const char* CheckSources(const CallPlan& plan) {
  if (plan.sources == nullptr) return nullptr;
  std::uint32_t seen = 0;
  for (std::uint32_t row = 0; row < plan.rows; ++row) {
    const RowSource source = plan.sources[row];
    if (source.cached()) {
      if (source.index() >= plan.cached_rows) return "a row's source is out of range";
    } else {
      if (source.index() > seen || source.index() >= plan.missing) {
        return "a row's source is out of range";
      }
      // Missing rows are numbered by first appearance, so a new one is always the next number.
      seen = std::max(seen, static_cast<std::uint32_t>(source.index()) + 1);
    }
  }
  return seen == plan.missing ? nullptr : "a missing row is not used";
}

const char* CheckFlags(const CallPlan& plan) {
  const bool known = std::all_of(plan.flags, plan.flags + plan.missing, [](std::uint8_t flags) {
    return (flags & ~kAllMissingFlags) == 0;
  });
  return known ? nullptr : "a missing row has an unknown flag";
}

}  // namespace

std::size_t PlanBytes(const CallPlan& plan) { return SizeOf(plan, plan.tails != nullptr); }

std::size_t CallPlan::divided() const {
  if (kind != PlanKind::kPrefix || missing == 0) return 0;
  const std::uint8_t* const end = flags + missing / batch();
  const std::uint8_t* const found =
      std::find_if(flags, end, [](std::uint8_t each) { return (each & kDivides) != 0; });
  return found == end ? 0 : static_cast<std::size_t>(found - flags) + 1;
}

std::size_t CallPlan::wanted() const {
  if (sources == nullptr) return missing;
  return static_cast<std::size_t>(std::count_if(
      sources, sources + rows, [](const RowSource& source) { return !source.cached(); }));
}

void EncodePlan(const CallPlan& plan, std::byte* out) {
  const PlanHeader header{kMagic,
                          kVersion,
                          plan.kind,
                          plan.shape,
                          plan.region,
                          plan.name_space,
                          plan.rows,
                          plan.missing,
                          plan.cached_rows,
                          plan.flight,
                          plan.lookup_end_ns,
                          plan.call,
                          plan.origin,
                          static_cast<std::uint16_t>(plan.scope),
                          static_cast<std::uint16_t>(plan.tails != nullptr && plan.missing > 0),
                          plan.length,
                          plan.tail,
                          plan.handed_over};
  std::memcpy(out, &header, sizeof(header));
  if (plan.missing == 0) return;
  out += sizeof(header);
  std::memcpy(out, plan.keys, plan.missing * sizeof(Key));
  out += plan.missing * sizeof(Key);
  if (plan.tails != nullptr) {
    std::memcpy(out, plan.tails, plan.missing * sizeof(KeyTail));
    out += plan.missing * sizeof(KeyTail);
  }
  if (const std::size_t before = BeforeCount(plan) * sizeof(Key); before > 0) {
    std::memcpy(out, plan.before, before);
    out += before;
    if (plan.tails != nullptr) {
      static_assert(sizeof(Key) == sizeof(KeyTail));
      std::memcpy(out, plan.before_tails, before);
      out += before;
    }
  }
  if (const std::size_t sources = SourceCount(plan) * sizeof(RowSource); sources > 0) {
    std::memcpy(out, plan.sources, sources);
    out += sources;
  }
  std::memcpy(out, plan.flags, plan.missing);
}

const char* DecodePlan(const std::byte* bytes, std::size_t size, std::uint32_t region,
                       CallPlan* plan) {
  if (size < sizeof(PlanHeader)) return "it is too short";
  if (reinterpret_cast<std::uintptr_t>(bytes) % alignof(PlanHeader) != 0) return "it is misaligned";
  PlanHeader header;
  std::memcpy(&header, bytes, sizeof(header));
  if (const char* problem = CheckHeader(header, size, region)) return problem;

  plan->kind = header.kind;
  plan->shape = header.shape;
  plan->region = header.region;
  plan->name_space = header.name_space;
  plan->rows = header.rows;
  plan->missing = header.missing;
  plan->cached_rows = header.cached_rows;
  plan->flight = header.flight;
  plan->lookup_end_ns = header.lookup_end_ns;
  plan->call = header.call;
  plan->origin = static_cast<std::uint16_t>(header.origin);
  plan->scope = static_cast<KeyScope>(header.scope);
  const std::byte* keys = bytes + sizeof(PlanHeader);
  plan->keys = reinterpret_cast<const Key*>(keys);
  const std::byte* sources = keys + header.missing * sizeof(Key);
  plan->tails = nullptr;
  if (header.tails != 0) {
    plan->tails = reinterpret_cast<const KeyTail*>(sources);
    sources += header.missing * sizeof(KeyTail);
  }
  const std::size_t before = BeforeCount(header);
  plan->before = before > 0 ? reinterpret_cast<const Key*>(sources) : nullptr;
  sources += before * sizeof(Key);
  plan->before_tails = nullptr;
  if (before > 0 && header.tails != 0) {
    plan->before_tails = reinterpret_cast<const KeyTail*>(sources);
    sources += before * sizeof(KeyTail);
  }
  const std::size_t count = SourceCount(header);
  plan->length = header.length;
  plan->tail = header.tail;
  plan->handed_over = header.handed_over;
  plan->sources = count > 0 ? reinterpret_cast<const RowSource*>(sources) : nullptr;
  plan->flags = reinterpret_cast<const std::uint8_t*>(sources + count * sizeof(RowSource));
  const char* problem = CheckSources(*plan);
  return problem != nullptr ? problem : CheckFlags(*plan);
}

}  // namespace actcache
