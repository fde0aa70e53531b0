"""A query and its candidates: two encoders whose inputs do not repeat together."""

from __future__ import annotations

from models import Feed, feed


def prefixed(prefix: str, values: Feed) -> Feed:
    return {prefix + name: value for name, value in values.items()}


QUERY = frozenset({"q_input_ids", "q_attention_mask"})


CANDIDATE = frozenset({"c_input_ids", "c_attention_mask", "c_token_type_ids"})


def texts(query: int, candidate: int, queries: int = 3, candidates: int = 4) -> Feed:
    one = feed("paraphrase_minilm_l3", queries, seed=100 + query, size=24)
    two = feed("minilm_l6_int8", candidates, seed=200 + candidate, size=24)
    return {**prefixed("q_", one), **prefixed("c_", two)}
