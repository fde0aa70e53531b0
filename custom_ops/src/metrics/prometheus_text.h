// The statistics in Prometheus' text format (version 0.0.4).
//
// Names, labels and meanings are those of actcache/metrics/table.py; a test compares the two. What
// is held for each namespace is left out: a process can have thousands.
#ifndef ACTCACHE_METRICS_PROMETHEUS_TEXT_H_
#define ACTCACHE_METRICS_PROMETHEUS_TEXT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "region/region_snapshot.h"
#include "region/registry.h"
#include "store/store.h"

namespace actcache {

// One text after the other. Not thread-safe.
class PrometheusText {
 public:
  // Both outlive it.
  PrometheusText(const Registry& registry, const Store& store)
      : registry_(registry), store_(store) {}

  // May throw std::bad_alloc.
  std::string Render();

 private:
  static constexpr std::size_t kOutcomes = 7;
  using Outcomes = std::array<std::uint64_t, kOutcomes>;

  const Outcomes& CountOutcomes(const RegionSnapshot& region);
  void WriteRows(const std::vector<RegionSnapshot>& regions, std::string* out);

  const Registry& registry_;
  const Store& store_;
  // The largest so far, by region name. What became of a row is the difference of two counts, and
  // those may be read in the middle of a call; but a counter that goes back looks like a restart.
  std::map<std::string, Outcomes> outcomes_;
};

// `text` as the value of a label, quotes included; each byte that is not UTF-8 becomes U+FFFD.
std::string PrometheusLabel(std::string_view text);

}  // namespace actcache

#endif  // ACTCACHE_METRICS_PROMETHEUS_TEXT_H_
