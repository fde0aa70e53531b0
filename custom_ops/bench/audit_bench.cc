// The audit log: how many rows a second the writer makes lines of, and what adding an event costs.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "audit/audit_log.h"
#include "audit/json_lines.h"
#include "bench_store.h"

namespace actcache::bench {
namespace {

// A lookup whose rows were all found.
std::vector<std::byte> LookupOf(std::size_t rows) {
  std::vector<std::byte> bytes(LookupRecord::Bytes(rows, 0, false), std::byte{'h'});
  LookupRecord record{};
  record.rows = rows;
  std::memcpy(bytes.data(), &record, sizeof(record));
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint64_t key = Mix(row);
    const auto age = static_cast<std::uint32_t>(Mix(row) % 100'000'000);
    std::memcpy(bytes.data() + sizeof(record) + 8 * row, &key, sizeof(key));
    std::memcpy(bytes.data() + sizeof(record) + 8 * rows + 4 * row, &age, sizeof(age));
  }
  return bytes;
}

Registry& OneRegion() {
  static auto* const registry = new Registry;
  registry->InternRegion("region", "fingerprint");
  registry->InternNamespace("");
  return *registry;
}

void FormatRows(benchmark::State& state) {
  const auto rows = static_cast<std::size_t>(state.range(0));
  const std::vector<std::byte> lookup = LookupOf(rows);
  JsonLines lines(OneRegion());
  lines.AppendStart(1, {"blake3", "{}"});
  for (auto _ : state) {
    lines.clear();
    lines.AppendRecord(
        {static_cast<std::uint32_t>(RecordKind::kLookup), lookup.data(), lookup.size()});
    benchmark::DoNotOptimize(lines.view().data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(rows));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(lines.size()));
}

// What a producer does; the events are taken out again, as the writer would.
void PassBuffer(benchmark::State& state) {
  const std::vector<std::byte> lookup = LookupOf(static_cast<std::size_t>(state.range(0)));
  RecordBuffer buffer(std::size_t{1} << 20);
  for (auto _ : state) {
    std::byte* const room = buffer.Reserve(lookup.size());
    std::memcpy(room, lookup.data(), lookup.size());
    RecordBuffer::Commit(room, lookup.size(), 0);
    benchmark::DoNotOptimize(buffer.Front().data);
    buffer.Release();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK(FormatRows)->Arg(1)->Arg(8)->Arg(4096);
BENCHMARK(PassBuffer)->Arg(1)->Arg(8)->Arg(4096);

}  // namespace
}  // namespace actcache::bench
