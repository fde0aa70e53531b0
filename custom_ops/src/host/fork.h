// fork() while the library is in use.
//
// In the child only the thread that forked lives on; what the others held stays locked or half
// written for ever. So:
//   - The store, the pool of its memory and the table of flights change all the time and are not
//     taken along: the child gets empty ones and never touches the parent's again. The entries stay
//     in its memory as all else that it inherits, shared with the parent until one of them writes;
//     nothing is charged.
//   - The registry, the configuration, the operator sets and the keyings of kernels, which change
//     rarely, are taken along, as inherited kernels refer to them: fork() waits for whoever changes
//     them. Counts start at 0.
//   - The thread that writes the metrics file is the parent's. The child has no metrics file until
//     its own metrics_path is set.
//   - The audit log stays the parent's. A child whose settings name one begins its own when it is
//     configured or creates its first session.
//   - The hash secret stays, and so does every other setting.
// Locks are taken in the order operators_mutex -> keyings -> configuration -> audit file ->
// registry -> namespaces -> tiers -> origins, in which all other code takes them too; none of it
// calls out while it holds any but the first, other than to the store. So fork() waits for a
// bounded time, and the child finds all of them free. A session that another thread was creating is
// nobody's in the child, so the lock of its constants may stay taken.
//
// The thread that forks holds no lock, entry or draft: none is held while a program's code runs.
// Function-local statics are initialised when the library is loaded, since a child would wait for
// ever for the initialisation that another thread had begun. So who adds one touches it in
// InstallForkHandlers(), and who adds a mutex that a process has once takes it in BeforeFork().
#ifndef ACTCACHE_HOST_FORK_H_
#define ACTCACHE_HOST_FORK_H_

namespace actcache {

// Called once, while the library is loaded.
void InstallForkHandlers() noexcept;

}  // namespace actcache

#endif  // ACTCACHE_HOST_FORK_H_
