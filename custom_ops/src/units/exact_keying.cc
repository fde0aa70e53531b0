#include "units/exact_keying.h"

#include <algorithm>

#include "units/key_parts.h"

namespace actcache {

ExactKeying::ExactKeying(HashKind hash, const KeyIdentity& identity, const Cut& cut,
                         const ElementTypes& output_types)
    : Keying(identity.scope),
      divided_(StartKeys(hash, static_cast<std::uint64_t>(cut.kind()), identity)),
      whole_(StartKeys(hash, static_cast<std::uint64_t>(PlanKind::kWhole), identity)),
      // "seg": a digest is never mistaken for a key
      segment_(StartKeys(hash, 0x736567, identity)) {
  Axes axes;
  for (std::size_t i = 0; i < output_types.size(); ++i) {
    axes.push_back(cut.output(i).rows().number());
  }
  for (Hasher* hasher : {&divided_, &whole_}) {
    AddIdentity(*hasher, identity, output_types, {&axes});
  }
}

Keys ExactKeying::KeysOf(const Units& units, const std::optional<std::string>& call_namespace,
                         const std::vector<TensorView>& inputs, const Parallel& parallel,
                         KeyTails* tails) const {
  const Cut& cut = *units.cut;
  const KeyParts parts(inputs, cut, segment_, parallel);

  // What all units share is hashed once: the descriptions, and the inputs that are not divided.
  Hasher shared = cut.kind() == PlanKind::kWhole ? whole_ : divided_;
  if (call_namespace) shared.Frame(call_namespace->data(), call_namespace->size());
  if (cut.least_units().alike > 1) {
    // Shorter than any description, so that a region without classes has other keys.
    const std::uint64_t count_class = cut.CountClass(units.count);
    shared.Frame(&count_class, sizeof(count_class));
  }
  SmallVector<std::size_t, 4> divided;
  std::size_t unit_bytes = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    AddDescription(shared, inputs[i], {cut.input(i).rows().number()});
    if (!cut.input(i).divides()) {
      parts.AddContent(shared, i, 0);
      continue;
    }
    divided.push_back(i);
    unit_bytes += parts.HashedBytes(i);
  }
  Keys keys(units.count);
  if (tails != nullptr) tails->resize(units.count);
  if (divided.empty()) {
    KeyTail tail;
    std::fill(keys.begin(), keys.end(), shared.Finish(&tail));
    if (tails != nullptr) std::fill(tails->begin(), tails->end(), tail);
    return keys;
  }
  parallel.For(units.count, units.count * (unit_bytes + kKeyOverhead), [&](std::size_t unit) {
    Hasher hasher = shared;
    for (const std::size_t i : divided) parts.AddContent(hasher, i, unit);
    keys[unit] = tails != nullptr ? hasher.Finish(&(*tails)[unit]) : hasher.Finish();
  });
  return keys;
}

}  // namespace actcache
