#include "store/entry.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <new>

#include "base/memory.h"

namespace actcache {
namespace {

// An entry's share of its shard's key table (4 to 8 bytes) and heap (8).
constexpr std::size_t kIndexBytes = 16;

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kBigPayload = std::size_t{64} << 10;

// A copy from the caches is up to a tenth faster from a cache line's start; from memory it makes no
// difference. So only payloads beside which the padding is nothing begin there.
std::size_t AlignmentOf(std::size_t payload_bytes) noexcept {
  return payload_bytes >= kBigPayload ? kCacheLine : kAlignment;
}

// Adds a payload to an allocation that ends at `*end`, wherever the allocation lies; false on
// overflow, kept far enough away for later roundings.
bool AddPayload(std::size_t* end, std::size_t bytes) noexcept {
  if (bytes > std::numeric_limits<std::size_t>::max() - 4 * kCacheLine - *end) return false;
  // Up to here an allocation is a multiple of kAlignment away from a cache line.
  *end = AlignUp(*end, kAlignment) + (AlignmentOf(bytes) - kAlignment) + bytes;
  return true;
}

std::size_t ChargeOf(std::size_t allocation) noexcept {
  return AllocationFootprint(std::max(allocation, sizeof(Entry))) + kIndexBytes;
}

std::size_t RecordBytes(const TensorSpec& spec) noexcept {
  std::size_t bytes = VarintBytes(static_cast<std::uint64_t>(spec.dtype)) +
                      VarintBytes(spec.dims.size()) + VarintBytes(spec.bytes);
  for (const std::int64_t dim : spec.dims) bytes += VarintBytes(static_cast<std::uint64_t>(dim));
  return bytes;
}

}  // namespace

// Goes through the records from the first to the last.
class Entry::RecordReader {
 public:
  explicit RecordReader(const Entry& entry) noexcept : at_(entry.records()) {
    count_ = ReadVarint(&at_);
  }

  std::size_t count() const noexcept { return count_; }

  // The next tensor. REQUIRES: called at most count() times.
  void Next() noexcept {
    dtype = static_cast<std::int32_t>(ReadVarint(&at_));
    rank = ReadVarint(&at_);
    bytes = ReadVarint(&at_);
    dims = at_;
    for (std::size_t i = 0; i < rank; ++i) ReadVarint(&at_);
  }
  RecordReader& SkipTo(std::size_t i) noexcept {
    for (Next(); i > 0; --i) Next();
    return *this;
  }
  // Behind the records. REQUIRES: Next() was called count() times.
  const unsigned char* end() const noexcept { return at_; }

  std::int32_t dtype = 0;
  std::size_t rank = 0;
  std::size_t bytes = 0;
  const unsigned char* dims = nullptr;

 private:
  const unsigned char* at_;
  std::size_t count_;
};

// Computed from the start of the allocation, to which they belong, rather than from the one byte.
const unsigned char* Entry::records() const noexcept {
  return reinterpret_cast<const unsigned char*>(this) + kHeaderBytes;
}
unsigned char* Entry::records() noexcept {
  return reinterpret_cast<unsigned char*>(this) + kHeaderBytes;
}

std::size_t Entry::tensor_count() const noexcept { return RecordReader(*this).count(); }
std::int32_t Entry::dtype(std::size_t i) const noexcept {
  return RecordReader(*this).SkipTo(i).dtype;
}
DimsView Entry::dims(std::size_t i) const noexcept {
  const RecordReader record = RecordReader(*this).SkipTo(i);
  return {record.dims, record.rank};
}
std::size_t Entry::bytes(std::size_t i) const noexcept {
  return RecordReader(*this).SkipTo(i).bytes;
}

const void* Entry::data(std::size_t i) const noexcept {
  std::uintptr_t at = PayloadsBegin();
  for (RecordReader record(*this);;) {
    record.Next();
    at = AlignUp(at, AlignmentOf(record.bytes));
    if (i-- == 0) return reinterpret_cast<const void*>(at);
    at = AlignUp(at + record.bytes, kAlignment);
  }
}

void Entry::AllData(const void** out) const noexcept {
  std::uintptr_t at = PayloadsBegin();
  RecordReader record(*this);
  for (std::size_t i = 0; i < record.count(); ++i) {
    record.Next();
    at = AlignUp(at, AlignmentOf(record.bytes));
    out[i] = reinterpret_cast<const void*>(at);
    at = AlignUp(at + record.bytes, kAlignment);
  }
}

std::uintptr_t Entry::PayloadsBegin() const noexcept {
  return AlignUp(reinterpret_cast<std::uintptr_t>(RecordsEnd()), kAlignment);
}

const unsigned char* Entry::RecordsEnd() const noexcept {
  RecordReader all(*this);
  for (std::size_t i = 0; i < all.count(); ++i) all.Next();
  return all.end();
}

bool Entry::SameTensors(const Entry& other) const noexcept {
  const auto size = RecordsEnd() - records();
  return size == other.RecordsEnd() - other.records() &&
         std::equal(records(), RecordsEnd(), other.records());
}

std::size_t Entry::charge() const noexcept {
  auto end = static_cast<std::size_t>(RecordsEnd() - reinterpret_cast<const unsigned char*>(this));
  RecordReader record(*this);
  for (std::size_t i = 0; i < record.count(); ++i) {
    record.Next();
    AddPayload(&end, record.bytes);
  }
  return ChargeOf(end);
}

bool Entry::Measure(const TensorSpec* specs, std::size_t count, Layout* layout) noexcept {
  static_assert(offsetof(Entry, first_record_byte_) == kHeaderBytes, "records follow the fields");
  std::size_t end = kHeaderBytes + VarintBytes(count);
  for (std::size_t i = 0; i < count; ++i) end += RecordBytes(specs[i]);
  layout->bare = std::max(end, sizeof(Entry));
  for (std::size_t i = 0; i < count; ++i) {
    if (!AddPayload(&end, specs[i].bytes)) return false;
  }
  layout->allocation = std::max(end, sizeof(Entry));
  layout->charge = ChargeOf(end);
  return true;
}

Entry::Entry(const Offer& offer, std::size_t charge) noexcept
    : key_(offer.key),
      created_(TickOf(offer.now_ns - std::min(offer.age_ns, kOldNs))),
      gain_(offer.gain(charge)),
      region_(static_cast<std::uint16_t>(offer.tag.region)),
      name_space_(static_cast<std::uint16_t>(offer.tag.name_space)),
      origin_(offer.origin),
      cost_ns_(static_cast<float>(offer.cost_ns)) {
  Set(kShared, offer.scope == KeyScope::kShared);
  // A longer life than ticks can tell ends when the store forgets old entries.
  if (offer.ttl_ns == 0 || offer.ttl_ns >> kTickBits >= kMostTicks) return;
  expires_ = TickOf(offer.now_ns + offer.ttl_ns);
  Set(kExpires, true);
}

Entry* Entry::Make(const Offer& offer, const Layout& layout) noexcept {
  const Block block = AllocateBlock(offer.payloads ? layout.allocation : layout.bare);
  if (block.memory == nullptr) return nullptr;
  auto* const entry = new (block.memory) Entry(offer, layout.charge);
  entry->Set(kPooled, block.pooled);
  unsigned char* at = WriteVarint(entry->records(), offer.count);
  for (std::size_t i = 0; i < offer.count; ++i) {
    const TensorSpec& spec = offer.specs[i];
    at = WriteVarint(at, static_cast<std::uint64_t>(spec.dtype));
    at = WriteVarint(at, spec.dims.size());
    at = WriteVarint(at, spec.bytes);
    for (const std::int64_t dim : spec.dims) at = WriteVarint(at, static_cast<std::uint64_t>(dim));
  }
  return entry;
}

void Entry::Free(Entry* entry) noexcept {
  const bool pooled = entry->Is(kPooled);
  entry->~Entry();
  FreeBlock({entry, pooled});
}

}  // namespace actcache
