// Entries that are filled together, by all threads of the session.
#ifndef ACTCACHE_OPS_DRAFT_BATCH_H_
#define ACTCACHE_OPS_DRAFT_BATCH_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "store/draft.h"
#include "store/store.h"
#include "units/computed_units.h"
#include "units/parallel.h"

namespace actcache {

// Of one call. Most of the time that storing takes goes into the copy, and into memory that is used
// for the first time, which the system has to find. Units alone are too small to divide.
class DraftBatch {
 public:
  // Refers to all it is given.
  DraftBatch(Store& store, const ComputedUnits& units, const Parallel& parallel);

  // Takes the room for a unit. REQUIRES: the draft is true, and has the shapes of `units`. May
  // throw std::bad_alloc.
  void Add(std::size_t unit, Draft draft);
  // Whether Publish() should be called before more is added: nobody finds a draft, and it cannot
  // make room for others.
  bool full() const { return bytes_ >= most_bytes_; }

  // Fills all drafts and publishes them in the order in which they came; done(unit, published) is
  // called for each. May throw std::bad_alloc; what is not published then gives its bytes back.
  template <typename Done>
  void Publish(const Done& done) {
    Fill();
    for (Item& item : items_) done(item.unit, store_.Publish(std::move(item.draft)));
    items_.clear();
    bytes_ = 0;
  }

 private:
  struct Item {
    std::size_t unit;
    Draft draft;
  };

  void Fill();

  Store& store_;
  const ComputedUnits& units_;
  const Parallel& parallel_;
  const std::size_t most_bytes_;
  std::size_t bytes_ = 0;
  std::vector<Item> items_;
};

}  // namespace actcache

#endif  // ACTCACHE_OPS_DRAFT_BATCH_H_
