// Who computes: what tells the sessions that certainly compute the same from all others.
#ifndef ACTCACHE_OPS_SESSION_IDENTITY_H_
#define ACTCACHE_OPS_SESSION_IDENTITY_H_

#include <optional>
#include <string>

#include "hash/digest.h"
#include "ops/region_attributes.h"
#include "ops/session.h"

namespace actcache {

// The identity of a region in a session, DigestOf() these parts:
//   a text that names this list and its version; the version of this library; that of onnxruntime;
//   what the processor can do; the region's fingerprint; the session's config entries that may
//   change values (session_entries.h); the digests of the region's constants as the session has
//   them; what the host states of the session (SessionSettings::model: the model file's contents
//   and the options that no kernel sees).
// So it is equal in two processes, or on two machines, exactly if all of these are.
//
// Nobody else has it (it covers a number that is drawn for it) if something is missing that decides
// values: the host states nothing, as where plain onnxruntime creates the session, whose kernels
// see neither the graph around them nor the level of optimisation; or `constants` has no value; or
// the region computes with constants that its keys do not cover. May throw.
Digest IdentityOfSession(const RegionAttributes& attributes, const SessionSettings& session,
                         const std::optional<std::string>& constants);

}  // namespace actcache

#endif  // ACTCACHE_OPS_SESSION_IDENTITY_H_
