// Tells the audit log of entries that leave the store.
#ifndef ACTCACHE_AUDIT_REMOVALS_H_
#define ACTCACHE_AUDIT_REMOVALS_H_

#include "hash/key.h"
#include "store/ledger.h"
#include "store/offer.h"

namespace actcache {

// The store's removal listener while the log is on. An invalidation of many is told by the control
// function that asks for it, not entry by entry.
void AuditRemoval(const Key& key, EntryTag tag, Ledger::Removal why) noexcept;

}  // namespace actcache

#endif  // ACTCACHE_AUDIT_REMOVALS_H_
