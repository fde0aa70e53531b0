#include "tier/record.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/memory.h"

namespace actcache {
namespace {

constexpr char kMagic[8] = {'a', 'c', 't', 'c', 'a', 'c', 'h', 'e'};
constexpr std::size_t kHeaderBytes = 128;
constexpr std::size_t kChecksumBytes = sizeof(Digest);
// Far above what any model has; a header that says more is no header.
constexpr std::size_t kMaxTensors = 4096;
constexpr std::size_t kMaxRank = 256;
constexpr std::size_t kMaxText = 4096;

// Places in the header.
constexpr std::size_t kFormatAt = 8;
constexpr std::size_t kDescriptionBytesAt = 12;
constexpr std::size_t kTotalBytesAt = 16;
constexpr std::size_t kKeyAt = 24;
constexpr std::size_t kIdentityAt = 56;
constexpr std::size_t kMadeAt = 88;
constexpr std::size_t kExpiresAt = 96;
constexpr std::size_t kCostAt = 104;
constexpr std::size_t kTensorsAt = 112;
constexpr std::size_t kTextBytesAt = 116;

// Writes and reads the numbers of a record in order; the machine's byte order does not matter.
template <typename Number>
void Write(std::byte* at, Number number) noexcept {
  for (std::size_t i = 0; i < sizeof(number); ++i) {
    at[i] = static_cast<std::byte>(static_cast<std::uint64_t>(number) >> (8 * i));
  }
}
template <typename Number>
Number Read(const std::byte* at) noexcept {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    number |= std::to_integer<std::uint64_t>(at[i]) << (8 * i);
  }
  return static_cast<Number>(number);
}

std::size_t Padded(std::size_t bytes) noexcept { return AlignUp(bytes, kPayloadAlignment); }

std::size_t DescriptionBytes(const RecordFields& fields, const TensorSpec* specs,
                             std::size_t count) noexcept {
  std::size_t bytes =
      kHeaderBytes + fields.fingerprint.size() + fields.region.size() + fields.name_space.size();
  for (std::size_t i = 0; i < count; ++i) bytes += 16 + 8 * specs[i].dims.size();
  return Padded(bytes);
}

bool Describable(const RecordFields& fields, const TensorSpec* specs, std::size_t count) noexcept {
  const std::size_t longest =
      std::max({fields.fingerprint.size(), fields.region.size(), fields.name_space.size()});
  return count <= kMaxTensors && longest <= kMaxText &&
         std::all_of(specs, specs + count, [](const TensorSpec& spec) {
           return spec.dims.size() <= kMaxRank && spec.bytes <= kMaxRecordBytes;
         });
}

}  // namespace

std::uint64_t UnixNow() noexcept {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

Record Record::Make(const RecordFields& fields, const TensorSpec* specs,
                    std::size_t count) noexcept {
  Record record;
  if (!Describable(fields, specs, count)) return record;
  const std::size_t description = DescriptionBytes(fields, specs, count);
  std::size_t total = description + kChecksumBytes;
  for (std::size_t i = 0; i < count; ++i) total += Padded(specs[i].bytes);
  if (total > kMaxRecordBytes) return record;
  Buffer buffer(total);
  if (buffer.size() == 0) return record;
  std::byte* const at = buffer.data();
  std::memset(at, 0, description);
  std::memcpy(at, kMagic, sizeof(kMagic));
  Write(at + kFormatAt, kRecordFormat);
  Write(at + kDescriptionBytesAt, static_cast<std::uint32_t>(description));
  Write(at + kTotalBytesAt, std::uint64_t{total});
  std::memcpy(at + kKeyAt, fields.key.data(), fields.key.size());
  std::memcpy(at + kIdentityAt, fields.identity.data(), fields.identity.size());
  Write(at + kMadeAt, fields.made_ns);
  Write(at + kExpiresAt, fields.expires_ns);
  Write(at + kCostAt, fields.cost_ns);
  Write(at + kTensorsAt, static_cast<std::uint32_t>(count));
  std::byte* next = at + kHeaderBytes;
  std::size_t text = 0;
  for (const std::string_view part : {fields.fingerprint, fields.region, fields.name_space}) {
    Write(at + kTextBytesAt + 4 * text++, static_cast<std::uint32_t>(part.size()));
    if (!part.empty()) std::memcpy(next, part.data(), part.size());
    next += part.size();
  }
  std::byte* payload = at + description;
  for (std::size_t i = 0; i < count; ++i) {
    Write(next, specs[i].dtype);
    Write(next + 4, static_cast<std::uint32_t>(specs[i].dims.size()));
    Write(next + 8, std::uint64_t{specs[i].bytes});
    next += 16;
    for (const std::int64_t dim : specs[i].dims) {
      Write(next, dim);
      next += 8;
    }
    payload += Padded(specs[i].bytes);
    // What follows the payload is covered by the checksum, too.
    std::memset(payload - (Padded(specs[i].bytes) - specs[i].bytes), 0,
                Padded(specs[i].bytes) - specs[i].bytes);
  }
  record.bytes_ = std::move(buffer);
  try {
    if (record.Parse() == nullptr) {
      record.Follow(fields.before);
      return record;
    }
  } catch (...) {
    // No memory for what it says of itself.
  }
  return {};
}

Record Record::Open(Buffer bytes, const TierKey& key, const DigestKey& secret,
                    const char** problem) noexcept {
  Record record;
  record.bytes_ = std::move(bytes);
  try {
    *problem = record.Parse();
  } catch (...) {
    *problem = "there is no memory to read it";
  }
  if (*problem != nullptr) return {};
  const std::size_t checked = record.size() - kChecksumBytes;
  const Digest checksum = KeyedDigest(secret, record.data(), checked);
  if (std::memcmp(checksum.data(), record.data() + checked, kChecksumBytes) != 0) {
    *problem = "its checksum is wrong";
  } else if (record.fields_.key != key) {
    *problem = "it is the record of another key";
  }
  if (*problem != nullptr) return {};
  return record;
}

void Record::Seal(const DigestKey& secret) noexcept {
  const std::size_t checked = size() - kChecksumBytes;
  const Digest checksum = KeyedDigest(secret, data(), checked);
  std::memcpy(bytes_.data() + checked, checksum.data(), kChecksumBytes);
}

const char* Record::Parse() {
  const std::byte* const at = bytes_.data();
  const std::size_t total = bytes_.size();
  if (total < kHeaderBytes + kChecksumBytes) return "it is too short";
  if (std::memcmp(at, kMagic, sizeof(kMagic)) != 0) return "it is no record";
  if (Read<std::uint32_t>(at + kFormatAt) != kRecordFormat) return "it has another format";
  if (Read<std::uint64_t>(at + kTotalBytesAt) != total) return "it has another length";
  const std::size_t description = Read<std::uint32_t>(at + kDescriptionBytesAt);
  const std::size_t count = Read<std::uint32_t>(at + kTensorsAt);
  if (description > total - kChecksumBytes || description < kHeaderBytes ||
      description % kPayloadAlignment != 0 || count > kMaxTensors) {
    return "its description is damaged";
  }
  std::memcpy(fields_.key.data(), at + kKeyAt, fields_.key.size());
  std::memcpy(fields_.identity.data(), at + kIdentityAt, fields_.identity.size());
  fields_.made_ns = Read<std::uint64_t>(at + kMadeAt);
  fields_.expires_ns = Read<std::uint64_t>(at + kExpiresAt);
  fields_.cost_ns = Read<std::uint64_t>(at + kCostAt);

  std::size_t next = kHeaderBytes;
  std::size_t text = 0;
  for (std::string_view* part : {&fields_.fingerprint, &fields_.region, &fields_.name_space}) {
    const std::size_t size = Read<std::uint32_t>(at + kTextBytesAt + 4 * text++);
    if (size > kMaxText || size > description - next) return "its description is damaged";
    *part = {reinterpret_cast<const char*>(at) + next, size};
    next += size;
  }
  specs_.reserve(count);
  offsets_.reserve(count);
  std::size_t payload = description;
  for (std::size_t i = 0; i < count; ++i) {
    if (description - next < 16) return "its description is damaged";
    TensorSpec spec{Read<std::int32_t>(at + next), {}, 0};
    const std::size_t rank = Read<std::uint32_t>(at + next + 4);
    const std::uint64_t bytes = Read<std::uint64_t>(at + next + 8);
    next += 16;
    if (rank > kMaxRank || 8 * rank > description - next ||
        bytes > total - kChecksumBytes - payload) {
      return "its description is damaged";
    }
    spec.bytes = static_cast<std::size_t>(bytes);
    spec.dims.reserve(rank);
    for (std::size_t d = 0; d < rank; ++d, next += 8) {
      spec.dims.push_back(Read<std::int64_t>(at + next));
      if (spec.dims.back() < 0) return "its description is damaged";
    }
    offsets_.push_back(payload);
    if (Padded(spec.bytes) > total - kChecksumBytes - payload) return "its payload is cut off";
    payload += Padded(spec.bytes);
    specs_.push_back(std::move(spec));
  }
  if (payload != total - kChecksumBytes || Padded(next) != description) {
    return "its lengths do not add up";
  }
  return nullptr;
}

}  // namespace actcache
