#include "store/worth_heap.h"

namespace actcache {

// The two roots become one tree; the greater one its new root's first child.
Entry* WorthHeap::Meld(Entry* a, Entry* b) noexcept {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (b->heap_worth_ < a->heap_worth_) std::swap(a, b);
  b->sibling_ = a->child_;
  a->child_ = b;
  return a;
}

// Pairs up the siblings from left to right, then melds the pairs from right to left; that order
// is what bounds the amortised cost.
Entry* WorthHeap::MeldSiblings(Entry* first) noexcept {
  Entry* pairs = nullptr;
  while (first != nullptr) {
    Entry* const a = first;
    Entry* const b = a->sibling_;
    first = b == nullptr ? nullptr : b->sibling_;
    a->sibling_ = nullptr;
    if (b != nullptr) b->sibling_ = nullptr;
    Entry* const pair = Meld(a, b);
    pair->sibling_ = pairs;
    pairs = pair;
  }
  Entry* root = nullptr;
  while (pairs != nullptr) {
    Entry* const next = pairs->sibling_;
    pairs->sibling_ = nullptr;
    root = Meld(root, pairs);
    pairs = next;
  }
  return root;
}

void WorthHeap::Push(Entry* entry) noexcept {
  entry->child_ = nullptr;
  entry->sibling_ = nullptr;
  entry->heap_worth_ = entry->worth_;
  root_ = Meld(root_, entry);
}

Entry* WorthHeap::Smallest() noexcept {
  while (root_ != nullptr && root_->heap_worth_ < root_->worth_) {
    Entry* const hit = root_;
    PopSmallest();
    Push(hit);
  }
  return root_;
}

void WorthHeap::PopSmallest() noexcept { root_ = MeldSiblings(root_->child_); }

}  // namespace actcache
