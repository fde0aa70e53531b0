#include "store/entry.h"

#include <limits>
#include <new>

#include "base/memory.h"
#include "store/store.h"

namespace actcache {
namespace {

// An entry's share of the key table: up to one bucket, and another while the table grows.
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

}  // namespace

struct Entry::Record {
  std::int32_t dtype;
  std::uint32_t rank;
  std::size_t bytes;

  const std::int64_t* dims() const noexcept {
    return reinterpret_cast<const std::int64_t*>(this + 1);
  }
  const Record* next() const noexcept { return reinterpret_cast<const Record*>(dims() + rank); }
};

const Entry::Record* Entry::record(std::size_t i) const noexcept {
  const auto* record = reinterpret_cast<const Record*>(this + 1);
  while (i-- > 0) record = record->next();
  return record;
}

std::int32_t Entry::dtype(std::size_t i) const noexcept { return record(i)->dtype; }
DimsView Entry::dims(std::size_t i) const noexcept { return {record(i)->dims(), record(i)->rank}; }
std::size_t Entry::bytes(std::size_t i) const noexcept { return record(i)->bytes; }

const void* Entry::data(std::size_t i) const noexcept {
  auto at = reinterpret_cast<std::uintptr_t>(record(tensor_count_));
  const Record* r = record(0);
  for (;; r = r->next()) {
    at = AlignUp(at, AlignmentOf(r->bytes));
    if (i-- == 0) return reinterpret_cast<const void*>(at);
    at += r->bytes;
  }
}

bool Entry::Measure(const TensorSpec* specs, std::size_t count, Layout* layout) noexcept {
  static_assert(sizeof(Entry) % alignof(Record) == 0, "records follow the header");
  if (count > std::numeric_limits<std::uint16_t>::max()) return false;
  std::size_t records = sizeof(Entry);
  std::size_t payloads = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (specs[i].dims.size() > std::numeric_limits<std::uint32_t>::max()) return false;
    records += sizeof(Record) + specs[i].dims.size() * sizeof(std::int64_t);
    // Every payload starts at a multiple of kAlignment at least, as the allocation does.
    const std::size_t padding = AlignmentOf(specs[i].bytes) - kAlignment;
    if (!Add(&payloads, specs[i].bytes) || !Add(&payloads, padding)) return false;
  }
  if (!Add(&payloads, records)) return false;
  layout->allocation = payloads;
  layout->charge = AllocationFootprint(payloads) + kIndexBytes;
  return true;
}

Entry* Entry::Make(Store* store, const Key& key, EntryTag tag, const TensorSpec* specs,
                   std::size_t count, const Layout& layout, std::uint64_t cost_ns) noexcept {
  void* memory = Allocate(layout.allocation);
  if (memory == nullptr) return nullptr;
  auto* entry = new (memory) Entry(store, key, tag, count, layout.charge, cost_ns);
  auto* at = reinterpret_cast<char*>(entry + 1);
  for (std::size_t i = 0; i < count; ++i) {
    const auto rank = static_cast<std::uint32_t>(specs[i].dims.size());
    new (at) Record{specs[i].dtype, rank, specs[i].bytes};
    at += sizeof(Record);
    for (const std::int64_t dim : specs[i].dims) {
      new (at) std::int64_t(dim);
      at += sizeof(dim);
    }
  }
  return entry;
}

void Entry::Free(Entry* entry) noexcept {
  entry->~Entry();
  actcache::Free(entry);
}

void Entry::Unref() noexcept {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) store_->Destroy(this);
}

}  // namespace actcache
