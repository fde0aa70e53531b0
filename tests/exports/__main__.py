"""``python -m tests.exports``: export, prove, compile and compare; ends with 1 when anything is wrong.

--filter TEXT   models whose name has this in it (several words: all of them); the document is left alone
--keep FOLDER   where the exports are kept, and taken from if they are there
--proofs        proofs alone: nothing is compiled, and the document is left alone
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from tests.exports import report
from tests.exports.architectures import ARCHITECTURES
from tests.exports.exporting import EXPORTERS, NotExportable, export
from tests.exports.forms import FORMS, make_form
from tests.exports.subject import Architecture, Subject
from tests.exports.verdict import Verdict, judge

PLAIN = "as exported"
Name = tuple[str, str, str, str, str]


def names() -> Iterator[Name]:
    """Yield what is tried: architecture, exporter, opset, attention, form."""
    for name, architecture in ARCHITECTURES.items():
        for exporter in EXPORTERS:
            first, *others = architecture.opsets[exporter]
            for attention in architecture.attention:
                yield name, exporter, str(first), attention, PLAIN
            for opset in others:
                yield name, exporter, str(opset), architecture.attention[0], PLAIN
            for form in FORMS:
                if _is_tried(architecture, form):
                    yield name, exporter, str(first), architecture.attention[0], form


def _is_tried(architecture: Architecture, form: str) -> bool:
    return bool(architecture.optimiser) if form == "fused" else architecture.forms


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.exports", description=__doc__.splitlines()[0])
    parser.add_argument("--filter", default="", metavar="TEXT", help="models whose name has all these words in it")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the exports are kept")
    parser.add_argument("--proofs", action="store_true", help="proofs alone")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names():
            if all(word in " ".join(name) for word in asked.filter.split()):
                verdicts.append(_tried(name, folder, compiled=not asked.proofs))
                print(*name, verdicts[-1].proven, verdicts[-1].regions, *verdicts[-1].problems, sep="  ", flush=True)
    print(report.summary(verdicts))
    if not asked.filter and not asked.proofs:
        report.DOCUMENT.parent.mkdir(exist_ok=True)
        report.DOCUMENT.write_text(report.document(verdicts))
    return 1 if any(verdict.problems for verdict in verdicts) else 0


def _tried(name: Name, folder: Path, *, compiled: bool) -> Verdict:
    verdict = Verdict(name)
    torch.manual_seed(0)
    subject = ARCHITECTURES[name[0]].build(name[3])
    try:
        path = _made(name, subject, folder)
        with tempfile.TemporaryDirectory() as scratch:
            judge(verdict, subject, path, Path(scratch), compiled=compiled)
    except NotExportable as error:
        verdict.proven, verdict.reason = "not exported", str(error)
    return verdict


def _made(name: Name, subject: Subject, folder: Path) -> Path:
    """Return the file of a model, made unless it is there."""
    architecture, exporter, opset, _, form = name
    path = folder / f"{'.'.join(name).replace(' ', '_')}.onnx"
    if path.exists():
        return path
    try:
        if form == PLAIN:
            export(subject, path, exporter, int(opset))
        else:
            source = _made((*name[:4], PLAIN), subject, folder)
            make_form(form, subject, source, path, ARCHITECTURES[architecture].optimiser)
    except NotExportable:
        path.unlink(missing_ok=True)
        raise
    return path


if __name__ == "__main__":
    sys.exit(main())
