#include "units/chained_keying.h"

namespace actcache {
namespace {

// Neither is mistaken for a key's start, whose purpose is a PlanKind.
constexpr std::uint64_t kSegmentPurpose = 0x676573;  // "seg"
constexpr std::uint64_t kLinkPurpose = 0x6b6e696c;   // "link"

}  // namespace

ChainedKeying::ChainedKeying(HashKind hash, const KeyIdentity& identity, const Cut& cut,
                             const ElementTypes& output_types)
    : Keying(identity.scope),
      start_(StartKeys(hash, static_cast<std::uint64_t>(cut.kind()), identity)),
      link_(StartKeys(hash, kLinkPurpose, identity)),
      segment_(StartKeys(hash, kSegmentPurpose, identity)) {
  Axes rows;
  Axes positions;
  Axes blocks;
  for (std::size_t i = 0; i < output_types.size(); ++i) {
    rows.push_back(cut.output(i).rows().number());
    positions.push_back(cut.output(i).positions().number());
    blocks.push_back(static_cast<std::int64_t>(cut.output(i).block()));
  }
  AddIdentity(start_, identity, output_types, {&rows, &positions, &blocks});
}

Keys ChainedKeying::KeysOf(const Units& units, const std::optional<std::string>& call_namespace,
                           const std::vector<TensorView>& inputs, const Parallel& parallel,
                           KeyTails* tails) const {
  const Cut& cut = *units.cut;
  const KeyParts parts(inputs, cut, segment_, parallel);
  Hasher shared = start_;
  if (call_namespace) shared.Frame(call_namespace->data(), call_namespace->size());
  SmallVector<std::size_t, 4> of_rows;
  SmallVector<std::size_t, 4> of_positions;
  std::size_t unit_bytes = kKeyOverhead;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const UnitPlace& place = cut.input(i);
    AddDescription(shared, inputs[i], {place.rows().number(), place.positions().number()});
    if (place.positions().divides()) {
      of_positions.push_back(i);
      unit_bytes += parts.HashedBytes(i);
    } else if (place.rows().divides()) {
      of_rows.push_back(i);
    } else {
      parts.AddContent(shared, i, 0);
    }
  }
  Keys keys(units.count);
  if (tails != nullptr) tails->resize(units.count);
  parallel.For(units.count / units.length, units.count * unit_bytes, [&](std::size_t row) {
    Hasher start = shared;
    for (const std::size_t i : of_rows) parts.AddContent(start, i, row);
    WholeKey before;
    before.key = start.Finish(&before.tail);
    for (std::size_t unit = row * units.length; unit < (row + 1) * units.length; ++unit) {
      Hasher link = link_;
      link.Frame(&before, sizeof(before));
      for (const std::size_t i : of_positions) {
        parts.AddContent(link, i, cut.input(i).Own(unit, units.length));
      }
      before.key = keys[unit] = link.Finish(&before.tail);
      if (tails != nullptr) (*tails)[unit] = before.tail;
    }
  });
  return keys;
}

}  // namespace actcache
