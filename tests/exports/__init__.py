"""Models exported from PyTorch on the spot, from small random configurations: what the compiler proves about them.

Needs the environment of ``scripts/exports_environment.sh``; ``make conformance-exports`` makes it and runs this.
Nothing is downloaded. What a run teaches about an exporter's patterns is kept as small graphs in
``tests/unit/test_rows_exports.py``, which need no torch.
"""
