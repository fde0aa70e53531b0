"""Whether two compiled models share entries, and where they do not, which part of a region changed (``actcache diff``).

Two regions share entries if everything agrees that a key covers besides a call's own bytes and its namespace: the
fingerprint, the granularity, row axes, types of the live-outs, and whether calls name a namespace of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from actcache.model.compiled_model import CompiledModel, Lookup, read_compiled
from actcache.passes.graph.tensor_data import chunks, external_data, is_external, tensor_hash
from actcache.passes.identity.region_diff import INGREDIENTS, Change, Side, region_changes
from actcache.passes.rewrite.weights import all_tensors

#: What keys cover besides the fingerprint, and how a region says it.
_IN_KEYS: dict[str, Callable[[Lookup], object]] = {
    "granularity": lambda lookup: lookup.cut.granularity,
    "row axes": lambda lookup: (lookup.cut.frontier_axes, lookup.cut.live_out_axes),
    "live-out types": lambda lookup: lookup.live_out_types,
    "namespace of a call": lambda lookup: lookup.namespace_input is not None,
}
#: How regions are told to be the same, in this order.
_MATCHES: dict[str, Callable[[Lookup], Hashable]] = {
    "fingerprint": lambda lookup: lookup.fingerprint,
    "id": lambda lookup: lookup.id,
    "frontier and live-outs": lambda lookup: (lookup.frontier, lookup.live_outs),
    "frontier": lambda lookup: lookup.frontier,
}


def diff_models(first: str | PathLike[str], second: str | PathLike[str]) -> dict[str, Any]:
    """Compare two compiled models.

    Weights are read only of regions whose fingerprints differ, and in chunks.

    Keys, of which none goes away:

    - ``first``, ``second``: the files. ``shared``: whether every region of either shares its entries with the other.
    - ``versions``: ``actcache`` and ``onnxruntime`` that compiled them, each a pair; no part of any key.
    - ``regions``: pairs: ``first`` and ``second`` (ids), ``matched_by``, ``shared``, ``same`` and ``different`` (the
      ingredients of fingerprint and keys), ``changes``: each with ``ingredient``, ``text``, and what belongs to it.
    - ``only_first``, ``only_second``: ids of regions that the other model has nothing like.

    Raises:
        InvalidModel: A file is no compiled model, or external data that has to be read cannot be.
    """
    models = (read_compiled(Path(first)), read_compiled(Path(second)))
    pairs = list(_matched(models[0].lookups, models[1].lookups))
    matched = ({one.id for one, _, _ in pairs}, {two.id for _, two, _ in pairs})
    regions = [_pair(models, one, two, by) for one, two, by in pairs]
    alone = [[x.id for x in model.lookups if x.id not in ids] for model, ids in zip(models, matched, strict=True)]
    manifests = [model.manifest or {} for model in models]
    return {
        "first": str(first),
        "second": str(second),
        "shared": all(pair["shared"] for pair in regions) and not any(alone),
        "versions": {key: [manifest.get(key) for manifest in manifests] for key in ("actcache", "onnxruntime")},
        "regions": regions,
        "only_first": alone[0],
        "only_second": alone[1],
    }


def _matched(first: tuple[Lookup, ...], second: tuple[Lookup, ...]) -> Iterator[tuple[Lookup, Lookup, str]]:
    left, right = list(first), list(second)
    for by, key in _MATCHES.items():
        for one in tuple(left):
            two = next((candidate for candidate in right if key(candidate) == key(one)), None)
            if two is not None:
                left.remove(one)
                right.remove(two)
                yield one, two, by


def _pair(models: tuple[CompiledModel, CompiledModel], one: Lookup, two: Lookup, by: str) -> dict[str, Any]:
    changes = []
    if one.fingerprint != two.fingerprint:
        sides = [_side(model, lookup) for model, lookup in zip(models, (one, two), strict=True)]
        changes += region_changes(*sides) or [_other_rules()]
    changes += [change for part, value in _IN_KEYS.items() if (change := _in_keys(part, value(one), value(two)))]
    different = list(dict.fromkeys(change.ingredient for change in changes))
    return {
        "first": one.id,
        "second": two.id,
        "matched_by": by,
        "shared": not changes,
        "same": [part for part in (*INGREDIENTS, *_IN_KEYS) if part not in different],
        "different": different,
        "changes": [change.to_json() for change in changes],
    }


def _in_keys(part: str, one: object, two: object) -> Change | None:
    if one == two:
        return None
    return Change(part, f"{part}: {_words(one)} in the first, {_words(two)} in the second", {"values": [one, two]})


def _words(value: object) -> str:
    return {True: "named in every call", False: "the session's alone"}[value] if isinstance(value, bool) else str(value)


def _other_rules() -> Change:
    text = "nothing differs that is compared: another version of actcache made one of the fingerprints"
    return Change("fingerprint", text)


def _side(model: CompiledModel, lookup: Lookup) -> Side:
    return Side(model.around(lookup), model.nodes(lookup), lookup.live_outs, model.home, Digests(model))


@dataclass(frozen=True)
class Digests(Mapping[int, str]):
    """Digests of the external tensors of a model by their offset, each made when it is asked for."""

    model: CompiledModel

    def __getitem__(self, offset: int) -> str:
        """Read the tensor there."""
        for tensor, _ in all_tensors(self.model.view.model):
            if is_external(tensor) and external_data(tensor).offset == offset:
                state = tensor_hash(tensor)
                for chunk in chunks(tensor, self.model.home):
                    state.update(chunk)
                return state.hexdigest()
        raise KeyError(offset)

    def __iter__(self) -> Iterator[int]:
        tensors = (tensor for tensor, _ in all_tensors(self.model.view.model) if is_external(tensor))
        return iter({external_data(tensor).offset for tensor in tensors})

    def __len__(self) -> int:
        return len(list(iter(self)))
