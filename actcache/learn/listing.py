"""What the cache folder knows, for ``actcache auto``: models, what came of them, and what they saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from actcache.errors import InvalidOption, OutputError
from actcache.learn import cache, set_aside
from actcache.learn.prune import remove_model


def open_folder(folder: str) -> Path:
    """Return the cache folder.

    Raises:
        OutputError: It is another user's, or cannot be used.
    """
    try:
        return cache.open_cache(Path(folder))
    except cache.Untrusted as error:
        raise OutputError(str(error), hint="name another folder with --cache-dir") from None


def models(root: Path) -> list[dict[str, Any]]:
    """Return what is known of every model, by the time of its last attempt.

    Keys, of which none goes away: ``key``, ``name``, ``sources``; ``state``: ``learning``, ``compiled`` or
    ``refused``; ``reason``, ``refusals``, ``regions``; ``ratio``: measured time relative to the original's;
    ``reuse`` there; ``calls``: in the sample; ``attempts``; ``attempted``, ``compiled``: the time of
    the last; ``processor_seconds``: that compiling took, or null; ``bytes``: on disk; ``saved``: over all programs,
    or null; ``around``: options, versions and processor; ``back``: why sessions went back to the original
    (``reason``, ``times``, ``time``), or null.
    """
    found = [_model(folder) for folder in _folders(root / "models")]
    return sorted((model for model in found if model is not None), key=lambda model: -model["attempted"])


def sessions_left_alone(root: Path) -> list[dict[str, Any]]:
    """Return the places whose sessions stay with the original: ``source`` and ``reason``."""
    requests = (cache.read_json(folder / "request.json") for folder in _folders(root / "places"))
    return [
        {"source": request["source"], "reason": request["refused"]}
        for request in requests
        if request is not None and request.get("refused")
    ]


def still_learning(root: Path) -> list[dict[str, Any]]:
    """Return the places that have asked and have no answer yet.

    Returns:
        For each ``source``, and ``calls``: recorded, and not yet taken over by the compiling process.
    """
    from actcache.learn.chunks import waiting

    found = []
    for folder in _folders(root / "places"):
        request = cache.read_json(folder / "request.json")
        left = waiting(folder / "calls")
        asked = request is not None or bool(left.chunks)
        if asked and not (request or {}).get("refused") and cache.read_json(folder / "answer.json") is None:
            found.append({"source": (request or {}).get("source"), "calls": left.calls})
    return found


def find(root: Path, name: str) -> dict[str, Any]:
    """Return the one model that a name means: the beginning of its key, a file, or a file's name.

    Raises:
        InvalidOption: There is none, or there are several.
    """
    known = models(root)
    wanted = str(Path(name).resolve())
    found = [m for m in known if m["key"].startswith(name)] or [
        m for m in known if wanted in m["sources"] or any(Path(source).name == name for source in m["sources"])
    ]
    if len(found) == 1:
        return found[0]
    problem = f"'{name}' means {len(found)} of the {len(known)} models"
    raise InvalidOption(problem, hint="'actcache auto ls' lists their keys; the beginning of one is enough")


def forget(root: Path, name: str) -> dict[str, Any]:
    """Remove a model and what was recorded for it, and return what was known of it.

    Raises:
        InvalidOption: As :func:`find`.
    """
    with cache.locked(root / "lock"):
        model = find(root, name)
        remove_model(root, model["key"])
    return model


def _model(folder: Path) -> dict[str, Any] | None:
    record = cache.read_json(folder / "record.json")
    if record is None:
        return None
    rejected: Mapping[str, Any] = cache.read_json(folder / "rejected.json") or {}
    refused = rejected.get("folder") is not None and rejected.get("folder") == record.get("folder")
    sources = record.get("sources", [])
    return {
        "key": folder.name,
        "name": Path(sources[0]).name if sources else "",
        "sources": sources,
        "state": "refused" if refused else record.get("state", "learning"),
        "reason": rejected.get("reason") if refused else record.get("reason"),
        "refusals": record.get("refusals", []),
        "regions": record.get("regions", []),
        "ratio": record.get("ratio"),
        "reuse": record.get("reuse", {}),
        "calls": len(list((folder / "calls").glob("*.npz"))),
        "attempts": record.get("attempts", 0),
        "attempted": record.get("attempted", 0.0),
        "compiled": record.get("compiled"),
        "processor_seconds": record.get("processor_seconds"),
        "bytes": cache.folder_size(folder),
        "saved": cache.read_json(folder / "saved.json"),
        "around": record.get("around", {}),
        "back": set_aside.noted(folder, record.get("folder")),
    }


def _folders(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (child for child in sorted(path.iterdir()) if child.is_dir() and not child.is_symlink())
