"""The exception tree: its messages, what is public, and its exit codes."""

import re

import pytest

import actcache
from actcache import errors
from actcache.passes.refusal import Refusal


def test_message_names_file_node_problem_and_way_out() -> None:
    error = actcache.InvalidModel("is\n  damaged", file="m.onnx", node="Conv 'c'", hint="export it\nagain")
    assert str(error) == "m.onnx: Conv 'c': is damaged; export it again"


def test_nothing_to_cache_carries_its_refusals() -> None:
    refusal = Refusal("impure-random", "draws random numbers", "r")
    error = actcache.NothingToCache([refusal], file="m.onnx")
    assert error.refusals == (refusal,)
    assert error.exit_code == 3


def test_the_documented_tree_is_the_tree() -> None:
    documented = set(re.findall(r"^\s*[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE))
    assert documented == {kind.__name__ for kind in errors.ActcacheError.__subclasses__()}


@pytest.mark.parametrize("kind", errors.ActcacheError.__subclasses__())
def test_every_error_is_public_and_has_an_exit_code(kind: type[errors.ActcacheError]) -> None:
    assert kind.__name__ in actcache.__all__
    expected = {"InternalError": 1, "NothingToCache": 3}.get(kind.__name__, 2)
    assert kind.exit_code == expected
