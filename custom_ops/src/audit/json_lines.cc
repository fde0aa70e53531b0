#include "audit/json_lines.h"

#include <unistd.h>

#include <chrono>
#include <cstring>

#include "audit/outcomes.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "tier/tiers.h"

#ifndef ACTCACHE_VERSION
#error "the build defines ACTCACHE_VERSION"
#endif

namespace actcache {
namespace {

// More than the names and punctuation of any line take, with all of its numbers.
constexpr std::size_t kFixedPart = 640;
constexpr std::size_t kFetchedPart = 192;  // likewise, of a FetchedRow

std::uint64_t EpochOfSteadyClock() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  return static_cast<std::uint64_t>(ns) - SteadyNow();
}

// The i-th of values that lie at any address.
template <typename Value>
Value ValueAt(const std::byte* values, std::size_t i) {
  Value value;
  std::memcpy(&value, values + i * sizeof(Value), sizeof(Value));
  return value;
}

}  // namespace

void JsonLines::AppendHead(std::string_view event, std::uint64_t now_ns) {
  text_.Append("{\"event\":\"");
  text_.Append(event);
  text_.Append("\",\"t\":");
  text_.AppendDecimal(epoch_ns_ + now_ns, 9);
}

void JsonLines::AppendMember(std::string_view name, std::uint64_t value) {
  text_.Append(",\"");
  text_.Append(name);
  text_.Append("\":");
  text_.AppendNumber(value);
}

void JsonLines::AppendStart(std::uint32_t part, const AuditHeader& header) {
  epoch_ns_ = EpochOfSteadyClock();
  described_.clear();
  text_.Reserve(kFixedPart + header.config.size());
  AppendHead("start", SteadyNow());
  AppendMember("schema", kAuditSchema);
  AppendMember("part", part);
  AppendMember("pid", static_cast<std::uint64_t>(getpid()));
  text_.Append(",\"version\":\"" ACTCACHE_VERSION "\",\"hash\":\"");
  text_.Append(header.hash);
  text_.Append("\",\"config\":");
  text_.Append(header.config);
  text_.Append("}\n");
}

void JsonLines::AppendRecord(const RecordBuffer::Record& record) {
  const std::size_t before = text_.size();
  try {
    switch (static_cast<RecordKind>(record.kind)) {
      case RecordKind::kLookup:
        return AppendAs<LookupRecord>(record);
      case RecordKind::kStore:
        return AppendAs<StoreRecord>(record);
      case RecordKind::kEviction:
        return AppendAs<EvictionRecord>(record);
      case RecordKind::kControl:
        return AppendAs<ControlRecord>(record);
      case RecordKind::kPolicy:
        return AppendAs<PolicyRecord>(record);
      case RecordKind::kCopy:
        return AppendAs<CopyRecord>(record);
    }
  } catch (...) {
    text_.Shorten(before);
    throw;
  }
}

template <typename Record>
void JsonLines::AppendAs(const RecordBuffer::Record& record) {
  Append(ValueAt<Record>(record.data, 0), record.data + sizeof(Record));
}

void JsonLines::AppendDropped(std::uint64_t now_ns, std::uint64_t events) {
  text_.Reserve(kFixedPart);
  AppendHead("dropped", now_ns);
  AppendMember("events", events);
  text_.Append("}\n");
}

void JsonLines::DescribeRegion(std::uint32_t number, std::uint64_t now_ns) {
  if (number < described_.size() && described_[number]) return;
  if (number >= regions_.size()) regions_ = registry_.Regions();
  const Region& region = *regions_[number];
  const std::string id = JsonString(region.id);
  const std::string fingerprint = JsonString(region.fingerprint);
  if (number >= described_.size()) described_.resize(number + 1);
  text_.Reserve(kFixedPart + id.size() + fingerprint.size());
  AppendHead("region", now_ns);
  AppendMember("region", number);
  text_.Append(",\"id\":");
  text_.Append(id);
  text_.Append(",\"fingerprint\":");
  text_.Append(fingerprint);
  text_.Append(",\"granularity\":\"");
  text_.Append(region.granularity.load(std::memory_order_relaxed));
  text_.Append("\"}\n");
  described_[number] = true;
}

const std::string& JsonLines::NamespaceText(std::uint32_t number) {
  static const std::string kNone = "null";
  if (number == kNoNamespace) return kNone;
  if (number >= namespaces_.size()) {
    for (const std::string& name : registry_.namespaces().NamesFrom(namespaces_.size())) {
      namespaces_.push_back(JsonString(name));
    }
  }
  return namespaces_[number];
}

void JsonLines::AppendFetched(const std::byte* rows, std::size_t count) {
  if (count == 0) return;
  text_.Append(",\"fetched\":[");
  for (std::size_t i = 0; i < count; ++i) {
    const auto row = ValueAt<FetchedRow>(rows, i);
    text_.Append(i > 0 ? ",{\"row\":" : "{\"row\":");
    text_.AppendNumber(row.row);
    text_.Append(",\"tier\":\"");
    text_.Append(Tiers::NameOf(row.tier));
    text_.Append('"');
    AppendMember("cost_ns", row.cost_ns);
    text_.Append(",\"age\":");
    text_.AppendDecimal(row.age_ms, 3);
    text_.Append(",\"ttl\":");
    if (row.ttl_ms == kNoAge) {
      text_.Append("-1");
    } else {
      text_.AppendDecimal(row.ttl_ms, 3);
    }
    text_.Append(row.trusted != 0 ? ",\"trusted\":true}" : ",\"trusted\":false}");
  }
  text_.Append(']');
}

void JsonLines::Append(const LookupRecord& record, const std::byte* rest) {
  DescribeRegion(record.region, record.now_ns);
  const std::string& name_space = NamespaceText(record.name_space);
  const std::size_t per_row = 1 + LineText::kHex + 3 + LineText::kDecimal;
  text_.Reserve(kFixedPart + name_space.size() + record.rows * (record.passed ? 1 : per_row) +
                record.fetched * kFetchedPart);
  AppendHead("lookup", record.now_ns);
  AppendMember("now_ns", record.now_ns);
  AppendMember("call", record.call);
  AppendMember("region", record.region);
  text_.Append(",\"namespace\":");
  text_.Append(name_space);
  AppendMember("rows", record.rows);
  if (record.length > 0) AppendMember("length", record.length);
  if (record.ends) text_.Append(",\"ends\":true");
  text_.Append(",\"outcomes\":\"");
  if (record.passed) {
    text_.AppendRepeated(Letter(LookupOutcome::kBypassed), record.rows);
    text_.Append("\",\"keys\":null,\"ages\":null");
  } else {
    const std::byte* const ages = rest + 8 * record.rows;
    const std::byte* const outcomes = ages + 4 * record.rows;
    text_.Append({reinterpret_cast<const char*>(outcomes), record.rows});
    text_.Append("\",\"keys\":[");
    for (std::size_t i = 0; i < record.rows; ++i) {
      text_.Append(i > 0 ? ",\"" : "\"");
      text_.AppendHex(ValueAt<std::uint64_t>(rest, i));
      text_.Append('"');
    }
    text_.Append("],\"ages\":[");
    for (std::size_t i = 0; i < record.rows; ++i) {
      if (i > 0) text_.Append(',');
      const auto age = ValueAt<std::uint32_t>(ages, i);
      if (age == kNoAge) {
        text_.Append("-1");
      } else {
        text_.AppendDecimal(age, 3);
      }
    }
    text_.Append(']');
    AppendFetched(outcomes + record.rows, record.fetched);
  }
  AppendMember("bytes", record.bytes);
  AppendMember("hash_ns", record.hash_ns);
  AppendMember("lookup_ns", record.lookup_ns);
  AppendMember("wait_ns", record.wait_ns);
  AppendMember("copy_ns", record.copy_ns);
  AppendMember("saved_ns", record.saved_ns);
  text_.Append("}\n");
}

void JsonLines::Append(const StoreRecord& record, const std::byte* rest) {
  DescribeRegion(record.region, record.now_ns);
  const std::string_view outcomes(reinterpret_cast<const char*>(rest), record.rows);
  std::uint64_t stored = 0;
  std::uint64_t refused = 0;
  for (const char outcome : outcomes) {
    stored += outcome == Letter(StoreOutcome::kStored) ? 1 : 0;
    refused += outcome == Letter(StoreOutcome::kRefused) ? 1 : 0;
  }
  text_.Reserve(kFixedPart + outcomes.size());
  AppendHead("store", record.now_ns);
  AppendMember("now_ns", record.now_ns);
  AppendMember("call", record.call);
  AppendMember("region", record.region);
  AppendMember("stored", stored);
  AppendMember("refused", refused);
  AppendMember("bytes", record.stored_bytes);
  AppendMember("compute_ns", record.compute_ns);
  AppendMember("copy_ns", record.copy_ns);
  AppendMember("saved_ns", record.saved_ns);
  AppendMember("cost_ns", record.cost_ns);
  AppendMember("fetch_ns", record.fetch_ns);
  text_.Append(",\"outcomes\":\"");
  text_.Append(outcomes);
  text_.Append("\"}\n");
}

void JsonLines::Append(const CopyRecord& record, const std::byte*) {
  DescribeRegion(record.region, record.now_ns);
  text_.Reserve(kFixedPart);
  AppendHead("copy", record.now_ns);
  AppendMember("call", record.call);
  AppendMember("region", record.region);
  AppendMember("copy_ns", record.copy_ns);
  text_.Append("}\n");
}

void JsonLines::Append(const EvictionRecord& record, const std::byte*) {
  DescribeRegion(record.region, record.now_ns);
  text_.Reserve(kFixedPart);
  AppendHead("evict", record.now_ns);
  AppendMember("region", record.region);
  text_.Append(",\"keys\":[\"");
  text_.AppendHex(record.key);
  text_.Append("\"],\"reason\":\"");
  text_.Append(record.reason);
  text_.Append("\"}\n");
}

void JsonLines::Append(const ControlRecord& record, const std::byte* rest) {
  text_.Reserve(kFixedPart + record.text_bytes);
  AppendHead("control", record.now_ns);
  text_.Append(",\"what\":\"");
  text_.Append(record.what);
  text_.Append("\",\"arguments\":");
  text_.Append({reinterpret_cast<const char*>(rest), record.text_bytes});
  if (record.count >= 0) AppendMember("count", static_cast<std::uint64_t>(record.count));
  text_.Append("}\n");
}

void JsonLines::Append(const PolicyRecord& record, const std::byte*) {
  DescribeRegion(record.region, record.now_ns);
  text_.Reserve(kFixedPart);
  AppendHead("policy", record.now_ns);
  AppendMember("region", record.region);
  text_.Append(",\"state\":\"");
  text_.Append(record.state);
  text_.Append("\",\"reason\":");
  if (record.reason == nullptr) {
    text_.Append("null");
  } else {
    text_.Append('"');
    text_.Append(record.reason);
    text_.Append('"');
  }
  text_.Append("}\n");
}

}  // namespace actcache
