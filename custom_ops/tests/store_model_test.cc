// A random check of many threads against a model. Every value says which key and which version it
// is, and all its bytes follow from that; the model knows which versions may still be found.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "store_testing.h"

namespace actcache {
namespace {

using namespace testing_support;  // NOLINT: a test's own support code

constexpr std::uint64_t kKeys = 300;
constexpr std::uint32_t kRegions = 5;
constexpr std::uint32_t kNamespaces = 7;
constexpr std::uint64_t kMs = 1000000;

// What a payload begins with; the rest is Fill() of a key made from it.
struct Header {
  std::uint64_t number;
  std::uint64_t version;
  std::uint64_t created_ns;
  std::uint64_t ttl_ns;
};

EntryTag TagOf(std::uint64_t n) {
  return {static_cast<std::uint32_t>(n % kNamespaces), static_cast<std::uint32_t>(n % kRegions)};
}

Key BodyKey(const Header& header) { return KeyNumber(header.number * 1000003 + header.version); }

void WriteValue(const Header& header, void* data, std::size_t bytes) {
  std::memcpy(data, &header, sizeof(header));
  Fill(BodyKey(header), static_cast<char*>(data) + sizeof(header), bytes - sizeof(header));
}

// The least version of each key that may be found: what was reserved before an invalidation began
// is gone when it ends.
class Model {
 public:
  std::uint64_t NextVersion() { return versions_.fetch_add(1) + 1; }
  std::uint64_t Versions() const { return versions_.load(); }
  std::uint64_t Least(std::uint64_t n) const { return least_[n].load(); }
  void Forget(std::uint64_t n, std::uint64_t up_to) {
    std::uint64_t least = least_[n].load();
    while (least <= up_to && !least_[n].compare_exchange_weak(least, up_to + 1)) {
    }
  }

 private:
  std::atomic<std::uint64_t> versions_{0};
  std::array<std::atomic<std::uint64_t>, kKeys> least_{};
};

class ModelCheck {
 public:
  ModelCheck(std::size_t budget, std::size_t quota, bool limits_change)
      : store_(budget), budget_(budget), quota_(quota), limits_change_(limits_change) {
    store_.SetNamespaceQuota(quota);
  }

  void Run(int threads, int steps) {
    std::vector<std::thread> users;
    for (int i = 0; i < threads; ++i) {
      users.emplace_back([this, i, steps] { Use(static_cast<std::uint64_t>(i), steps); });
    }
    std::thread watcher([this] { Watch(); });
    for (std::thread& user : users) user.join();
    done_ = true;
    watcher.join();
    EXPECT_EQ(faults_, 0u);
    EXPECT_GT(hits_, 500u);
    ExpectAccountsAddUp();
  }

 private:
  using Random = std::mt19937_64;

  void Check(bool right) {
    if (!right) ++faults_;
  }

  void Use(std::uint64_t seed, int steps) {
    Random random(seed);
    std::vector<EntryRef> held;
    for (int step = 0; step < steps; ++step) {
      clock_ns_ += random() % (kMs / 4);
      const std::uint64_t dice = random() % 1000;
      const std::uint64_t n = random() % (1 + random() % kKeys);
      if (dice < 960) {
        FindOrCompute(n, &random, &held);
      } else if (dice < 975) {
        Remove(n);
      } else if (dice < 980) {
        Invalidate(&random);
      } else if (dice < 990) {
        Pin(&random);
      } else if (limits_change_) {
        ChangeLimits(&random);
      }
      if (held.size() > 5) held.clear();
    }
  }

  void FindOrCompute(std::uint64_t n, Random* random, std::vector<EntryRef>* held) {
    const std::uint64_t least = model_.Least(n);
    FindLimits limits{clock_ns_};
    if ((*random)() % 4 == 0) limits.max_age_ns = (*random)() % (2000 * kMs);
    Absence why;
    EntryRef found = store_.Find(KeyNumber(n), limits, &why);
    if (found) {
      ++hits_;
      CheckValue(n, least, limits, *found);
      if ((*random)() % 3 == 0) held->push_back(std::move(found));
      if ((*random)() % 16 != 0) return;
    }
    Compute(n, why != Absence::kAbsent, random);
  }

  void CheckValue(std::uint64_t n, std::uint64_t least, const FindLimits& limits,
                  const Entry& entry) {
    Header header;
    std::memcpy(&header, entry.data(0), sizeof(header));
    Check(entry.key() == KeyNumber(n) && header.number == n);
    Check(Holds(BodyKey(header), static_cast<const char*>(entry.data(0)) + sizeof(header),
                entry.bytes(0) - sizeof(header)));
    Check(header.version >= least);
    Check(header.ttl_ns == 0 || limits.now_ns < header.created_ns + header.ttl_ns);
    Check(limits.now_ns < header.created_ns ||
          limits.now_ns - header.created_ns <= limits.max_age_ns);
  }

  void Compute(std::uint64_t n, bool replace, Random* random) {
    Header header{n, 0, clock_ns_, (*random)() % 3 == 0 ? (*random)() % (3000 * kMs) : 0};
    const std::size_t bytes =
        sizeof(Header) + (n % 16 == 0 ? 6000 + (*random)() % 3000 : (*random)() % 500);
    const auto specs = Bytes(bytes);
    Offer offer = OfferOf(n, specs, 1 + (*random)() % 100000, TagOf(n));
    offer.fetch_ns = (*random)() % 10000;
    offer.now_ns = header.created_ns;
    offer.ttl_ns = header.ttl_ns;
    offer.replace = replace;
    Draft draft = store_.Reserve(offer);
    if (!draft) return;
    header.version = model_.NextVersion();
    WriteValue(header, draft.data(0), draft.bytes(0));
    if ((*random)() % 16 != 0) store_.Publish(std::move(draft));  // else it is given up
  }

  void Remove(std::uint64_t n) {
    // Drafts of this key may follow, so nothing is known about versions.
    store_.Remove(KeyNumber(n), Ledger::Removal::kMismatched);
  }

  void Invalidate(Random* random) {
    Selection selection;
    if ((*random)() % 2 == 0) selection.name_space = (*random)() % kNamespaces;
    if ((*random)() % 2 == 0) selection.regions = {0, static_cast<std::uint32_t>((*random)() % 5)};
    const std::uint64_t before = model_.Versions();
    store_.Invalidate(selection, clock_ns_);
    for (std::uint64_t n = 0; n < kKeys; ++n) {
      const EntryTag tag = TagOf(n);
      const bool selected = (!selection.name_space || *selection.name_space == tag.name_space) &&
                            (selection.regions.empty() || selection.regions[0] == tag.region ||
                             selection.regions[1] == tag.region);
      if (selected) model_.Forget(n, before);
    }
  }

  void Pin(Random* random) {
    Selection selection;
    selection.name_space = (*random)() % kNamespaces;
    selection.regions = {static_cast<std::uint32_t>((*random)() % kRegions)};
    if ((*random)() % 4 == 0) selection.min_age_ns = (*random)() % (1000 * kMs);
    if ((*random)() % 2 == 0) {
      store_.Pin(selection, clock_ns_);
    } else {
      store_.Unpin({}, clock_ns_);
    }
  }

  void ChangeLimits(Random* random) {
    if ((*random)() % 2 == 0) {
      store_.SetBudget((*random)() % 8 == 0 ? 0 : (*random)() % budget_);
    } else {
      store_.SetNamespaceQuota((*random)() % 4 == 0 ? 0 : budget_ / 8 + (*random)() % budget_);
    }
  }

  // The limits hold at every instant: while they stay, exactly; while they change, the largest.
  void Watch() {
    Random random(99);
    while (!done_) {
      const StoreStats stats = store_.stats();
      Check(stats.bytes <= budget_);
      Check(stats.pinned_bytes <= stats.bytes && stats.pinned_entries <= stats.entries);
      Check(stats.entries <= budget_ / sizeof(Entry));  // no counter below zero
      if (!limits_change_ && quota_ != 0) {
        const auto name_space = static_cast<std::uint32_t>(random() % kNamespaces);
        Check(store_.namespace_usage(name_space).bytes <= quota_);
      }
      std::this_thread::yield();
    }
  }

  // Nobody holds anything any more.
  void ExpectAccountsAddUp() {
    StoreStats stats = store_.stats();
    EXPECT_LE(stats.bytes, stats.budget_bytes);
    EXPECT_EQ(stats.entries, stats.insertions - stats.evictions - stats.expired -
                                 stats.invalidated - stats.replaced);
    RegionUsage sum;
    for (std::uint32_t region = 0; region < kRegions; ++region) {
      const RegionUsage usage = store_.usage(region);
      sum.bytes += usage.bytes;
      sum.entries += usage.entries;
      sum.pinned_bytes += usage.pinned_bytes;
      sum.evictions += usage.evictions;
      sum.expired += usage.expired;
      sum.replaced += usage.replaced;
    }
    EXPECT_EQ(sum.bytes, stats.bytes);
    EXPECT_EQ(sum.entries, stats.entries);
    EXPECT_EQ(sum.pinned_bytes, stats.pinned_bytes);
    EXPECT_EQ(sum.evictions, stats.evictions);
    EXPECT_EQ(sum.expired, stats.expired);
    EXPECT_EQ(sum.replaced, stats.replaced);
    EXPECT_GT(stats.evictions, 0u);
    EXPECT_GT(stats.expired, 0u);
    EXPECT_GT(stats.replaced, 0u);
    EXPECT_EQ(Clear(&store_), stats.entries);
    stats = store_.stats();
    EXPECT_EQ(stats.bytes, 0u);
    EXPECT_EQ(stats.entries, 0u);
    EXPECT_EQ(stats.pinned_bytes, 0u);
    EXPECT_EQ(stats.pinned_entries, 0u);
    for (std::uint32_t i = 0; i < kNamespaces; ++i) {
      EXPECT_EQ(store_.namespace_usage(i).bytes, 0u);
      EXPECT_EQ(store_.namespace_usage(i).entries, 0u);
    }
  }

  Store store_;
  const std::size_t budget_;
  const std::size_t quota_;
  const bool limits_change_;
  Model model_;
  std::atomic<std::uint64_t> clock_ns_{1000 * kMs};
  std::atomic<std::uint64_t> faults_{0};
  std::atomic<std::uint64_t> hits_{0};
  std::atomic<bool> done_{false};
};

TEST(StoreModel, AgreesUnderABudget) { ModelCheck(60000, 0, false).Run(3, 6000); }
TEST(StoreModel, AgreesUnderAQuota) { ModelCheck(60000, 14000, false).Run(3, 6000); }
TEST(StoreModel, AgreesWhileLimitsChange) { ModelCheck(60000, 0, true).Run(3, 6000); }

}  // namespace
}  // namespace actcache
