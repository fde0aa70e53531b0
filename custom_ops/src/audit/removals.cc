#include "audit/removals.h"

#include "audit/audit_log.h"
#include "base/clock.h"

namespace actcache {
namespace {

const char* ReasonText(Ledger::Removal why) {
  switch (why) {
    case Ledger::Removal::kForRoom:
      return "room";
    case Ledger::Removal::kForQuota:
      return "quota";
    case Ledger::Removal::kForBudget:
      return "budget";
    case Ledger::Removal::kExpired:
      return "expired";
    case Ledger::Removal::kMismatched:
      return "mismatch";
    case Ledger::Removal::kOutdated:
      return "invalidated";
    case Ledger::Removal::kReplaced:
      return "replaced";
    case Ledger::Removal::kInvalidated:
      break;
  }
  return nullptr;
}

}  // namespace

void AuditRemoval(const Key& key, EntryTag tag, Ledger::Removal why) noexcept {
  const char* const reason = ReasonText(why);
  if (reason == nullptr) return;
  const AuditLog::Slot<EvictionRecord> slot(AuditLog::Process());
  if (!slot) return;
  slot->now_ns = SteadyNow();
  slot->key = key.words[0];
  slot->reason = reason;
  slot->region = tag.region;
}

}  // namespace actcache
