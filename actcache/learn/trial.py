"""The last look at a compiled model before a session goes over to it: on the program's own calls, in its process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actcache.learn import ending
from actcache.learn.chunks import Feed
from actcache.learn.opening import Opening, differing, is_of_this_program
from actcache.learn.place import Ready


def trial(opening: Opening, ready: Ready, original: Any, calls: Sequence[Feed]) -> tuple[Any, str | None]:
    """Load a compiled model and compare it with the session's, cold and warm.

    Args:
        opening: How the session was made.
        ready: The compiled model.
        original: The session, as C++ has it.
        calls: The program's last calls.

    Returns:
        The compiled model's session, as C++ has it, and what is wrong with it.

    Raises:
        BrokenOff: The program ends, or forks.
        Exception: This program lacks what a compiled model needs.
    """
    from onnxruntime import RunOptions

    from actcache.verification.verify import Verification, differences, varying_outputs

    try:
        compiled = opening.compiled(ready.file, ending.heeding_load)
        differs = differing(original, compiled)
        if differs is not None:
            return None, f"the compiled model has another signature: {differs}"
        names = [output.name for output in original.outputs_meta]
        options = ending.heeding_call(RunOptions())
        report = Verification()
        varying: frozenset[int] | None = None
        for number, feed in enumerate(calls):
            expected = original.run(names, feed, options)
            if varying is None:
                varying = varying_outputs(lambda inputs: original.run(names, inputs, options), feed)
            for state in ("first", "again"):
                got = compiled.run(names, feed, options)
                name = f"one of the program's calls ({number + 1}, {state})"
                problem = differences(name, got, expected, ready.tolerance, varying, report)
                if problem is not None:
                    return None, f"the compiled model differs: {problem}"
    except Exception as error:
        ending.check()
        if is_of_this_program(error):
            raise
        return None, f"the compiled model cannot be run here ({type(error).__name__}: {error})"
    return compiled, None
