// Makes allocations by operator new fail on purpose. The program that links failing_new.cc has all
// its `new` there.
#ifndef ACTCACHE_TESTS_FAILING_NEW_H_
#define ACTCACHE_TESTS_FAILING_NEW_H_

#include <cstdint>

namespace actcache::testing_support {

// While it lives, the `nth` allocation of this thread from now (1 = the next one) throws
// std::bad_alloc, and so do all later ones if `onwards`. The fake runtime's own do not count.
class FailingNew {
 public:
  FailingNew(std::uint64_t nth, bool onwards);
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;

  // Whether an allocation has failed.
  bool failed() const;
};

}  // namespace actcache::testing_support

#endif  // ACTCACHE_TESTS_FAILING_NEW_H_
