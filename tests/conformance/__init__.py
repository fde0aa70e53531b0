"""Conformance: foreign and random models, compiled, and held to the original in every state of the cache.

``python -m tests.conformance`` runs everything and writes the table in ``docs/conformance.md``; see ``__main__``.
"""
