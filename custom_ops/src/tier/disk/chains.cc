#include "tier/disk/chains.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "store/eviction/chain_worth.h"

namespace actcache {
namespace {

constexpr double kMost = std::numeric_limits<double>::infinity();

}  // namespace

Chains::Chains(Database* index)
    : find_(index, "SELECT id, worth, follows FROM entries WHERE key = ? AND state <> 2"),
      raise_(index, "UPDATE entries SET worth = ?2 WHERE id = ?1") {}

std::optional<double> Chains::Behind(const TierKey& key, double worth, int* changes) {
  struct Low {
    std::int64_t id;
    double least;
  };
  std::vector<Low> low;
  std::optional<double> before;  // what the entry of `key` is worth
  double least = std::nextafter(worth, kMost);
  const auto most = static_cast<std::size_t>(std::max(*changes, 0));
  TierKey next = key;
  for (;;) {
    const StatementUse entry(&find_);
    entry->Bind(1, next.data(), next.size());
    if (!entry->Step()) break;
    const double now = entry->Real(1);
    if (!before) before = now;
    // Whatever lies before it is worth more than it already.
    if (now >= least) break;
    if (low.size() == most) return std::min(worth, MostBehind(*before));
    low.push_back({entry->Integer(0), least});
    least = std::nextafter(least, kMost);
    if (entry->Bytes(2) != next.size()) break;
    const auto* const bytes = static_cast<const unsigned char*>(entry->Blob(2));
    std::copy(bytes, bytes + next.size(), next.begin());
  }
  if (!before) return std::nullopt;
  for (const Low& entry : low) raise_.Bind(1, entry.id).Bind(2, entry.least).Run();
  *changes -= static_cast<int>(low.size());
  return worth;
}

}  // namespace actcache
