#include "region/namespaces.h"

#include <functional>
#include <memory>

#include "store/ledger.h"

namespace actcache {

Namespaces::~Namespaces() {
  for (const Node* node : by_number_) delete node;
}

std::size_t Namespaces::BucketOf(std::string_view name) {
  return std::hash<std::string_view>()(name) % kBuckets;
}

std::optional<std::uint32_t> Namespaces::Find(std::string_view name) const {
  // Acquire: what the writer put into the node is seen with the pointer to it.
  const Node* node = buckets_[BucketOf(name)].load(std::memory_order_acquire);
  while (node != nullptr && node->name != name) node = node->next;
  if (node == nullptr) return std::nullopt;
  return node->number;
}

std::optional<std::uint32_t> Namespaces::Intern(std::string_view name) {
  if (const auto known = Find(name)) return known;
  const MutexLock lock(&mutex_);
  if (const auto known = Find(name)) return known;  // another thread was faster
  if (name.size() > kMaxNamespaceBytes || by_number_.size() == kMost) return std::nullopt;
  Bucket& bucket = buckets_[BucketOf(name)];
  const auto number = static_cast<std::uint32_t>(by_number_.size());
  auto node = std::make_unique<const Node>(
      Node{std::string(name), number, bucket.load(std::memory_order_relaxed)});
  by_number_.push_back(node.get());
  bucket.store(node.release(), std::memory_order_release);
  return number;
}

std::string Namespaces::Name(std::uint32_t number) const {
  const MutexLock lock(&mutex_);
  return number < by_number_.size() ? by_number_[number]->name : std::string();
}

std::vector<std::string> Namespaces::NamesFrom(std::size_t first) const {
  const MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (std::size_t i = first; i < by_number_.size(); ++i) names.push_back(by_number_[i]->name);
  return names;
}

void Namespaces::LockForFork() const ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { mutex_.Lock(); }
void Namespaces::UnlockAfterFork() const ACTCACHE_NO_THREAD_SAFETY_ANALYSIS { mutex_.Unlock(); }

}  // namespace actcache
