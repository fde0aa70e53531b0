"""Has sessions learn in every Python that a program of ``actcache run`` starts, then hands on to the user's own file.

This folder is the first of PYTHONPATH there. Python imports ``sitecustomize`` once, so the one that would have been
imported without this is looked for behind it.
"""

import os
import sys


def _learn() -> None:
    if os.environ.get("ACTCACHE_AUTO") != "1":
        return
    try:
        from actcache.learn.hook import install
    except ImportError as error:
        if os.environ.get("ACTCACHE_AUTO_TOLD") != "1" and sys.stderr is not None:
            os.environ["ACTCACHE_AUTO_TOLD"] = "1"
            print(
                f"actcache: {sys.executable} has no usable actcache ({error}), so this program runs without it;"
                f" '{sys.executable} -m pip install actcache' puts it there",
                file=sys.stderr,
            )
        return
    install()


def _hand_on() -> None:
    here = os.path.dirname(__file__)  # as it stands there, for the current folder may be gone
    sys.path[:] = [path for path in sys.path if path != here]
    mine = sys.modules.pop(__name__, None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
    if __name__ not in sys.modules and mine is not None:
        sys.modules[__name__] = mine


try:  # noqa: SIM105  (contextlib is loaded by few programs)
    _learn()
except Exception:  # the program comes first
    pass
_hand_on()
