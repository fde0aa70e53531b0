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
constexpr std::size_t kBigPayload = 4096;

std::size_t AlignmentOf(std::size_t payload_bytes) noexcept {
  return payload_bytes >= kBigPayload ? kCacheLine : kAlignment;
}

// Adds and rounds up to kAlignment; false on overflow, kept far enough away for later roundings.
bool Add(std::size_t* sum, std::size_t more) noexcept {
  if (more > std::numeric_limits<std::size_t>::max() - 4 * kCacheLine - *sum) return false;
  *sum = AlignUp(*sum + more, kAlignment);
  return true;
}

// Every payload starts at a multiple of kAlignment at least, as the allocation does.
bool AddPayload(std::size_t* sum, std::size_t bytes) noexcept {
  return Add(sum, bytes) && Add(sum, AlignmentOf(bytes) - kAlignment);
}

std::size_t ChargeOf(std::size_t allocation) noexcept {
  return AllocationFootprint(allocation) + kIndexBytes;
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
  RecordReader all(*this);
  for (std::size_t k = 0; k < all.count(); ++k) all.Next();
  auto at = reinterpret_cast<std::uintptr_t>(all.end());
  at = AlignUp(at, kAlignment);
  for (RecordReader record(*this);;) {
    record.Next();
    at = AlignUp(at, AlignmentOf(record.bytes));
    if (i-- == 0) return reinterpret_cast<const void*>(at);
    at = AlignUp(at + record.bytes, kAlignment);
  }
}

std::size_t Entry::charge() const noexcept {
  RecordReader record(*this);
  std::size_t payloads = 0;
  for (std::size_t i = 0; i < record.count(); ++i) {
    record.Next();
    AddPayload(&payloads, record.bytes);
  }
  const auto header =
      static_cast<std::size_t>(record.end() - reinterpret_cast<const unsigned char*>(this));
  return ChargeOf(payloads + AlignUp(header, kAlignment));
}

bool Entry::Measure(const TensorSpec* specs, std::size_t count, Layout* layout) noexcept {
  static_assert(offsetof(Entry, first_record_byte_) == kHeaderBytes, "records follow the fields");
  std::size_t header = kHeaderBytes + VarintBytes(count);
  std::size_t payloads = 0;
  for (std::size_t i = 0; i < count; ++i) {
    header += RecordBytes(specs[i]);
    if (!AddPayload(&payloads, specs[i].bytes)) return false;
  }
  if (!Add(&payloads, header)) return false;
  layout->allocation = payloads;
  layout->charge = ChargeOf(payloads);
  return true;
}

Entry::Entry(const Candidate& candidate, std::size_t charge) noexcept
    : key_(candidate.key),
      created_(TickOf(candidate.now_ns)),
      gain_(static_cast<float>(static_cast<double>(candidate.saving_ns()) /
                               static_cast<double>(charge))),
      region_(static_cast<std::uint16_t>(candidate.tag.region)),
      name_space_(candidate.tag.name_space),
      cost_ns_(static_cast<float>(candidate.cost_ns)) {
  // A longer life than ticks can tell ends when the store forgets old entries.
  if (candidate.ttl_ns == 0 || candidate.ttl_ns >> kTickBits >= kMostTicks) return;
  expires_ = TickOf(candidate.now_ns + candidate.ttl_ns);
  Set(kExpires, true);
}

Entry* Entry::Make(const Candidate& candidate, const Layout& layout) noexcept {
  void* const memory = Allocate(std::max(layout.allocation, sizeof(Entry)));
  if (memory == nullptr) return nullptr;
  auto* const entry = new (memory) Entry(candidate, layout.charge);
  unsigned char* at = WriteVarint(entry->records(), candidate.count);
  for (std::size_t i = 0; i < candidate.count; ++i) {
    const TensorSpec& spec = candidate.specs[i];
    at = WriteVarint(at, static_cast<std::uint64_t>(spec.dtype));
    at = WriteVarint(at, spec.dims.size());
    at = WriteVarint(at, spec.bytes);
    for (const std::int64_t dim : spec.dims) at = WriteVarint(at, static_cast<std::uint64_t>(dim));
  }
  return entry;
}

void Entry::Free(Entry* entry) noexcept {
  entry->~Entry();
  actcache::Free(entry);
}

}  // namespace actcache
