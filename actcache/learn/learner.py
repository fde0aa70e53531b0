"""What a session learns: its calls are recorded, a compiled model is waited for, and the session goes over to it.

The session's threads only copy inputs. Files are written, processes started and models loaded by the thread of
``process.py``, which calls :meth:`Learner.tick`.
"""

from __future__ import annotations

import os
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from actcache.learn import ending, process, settings, threads
from actcache.learn import options as session_options
from actcache.learn.opening import MANIFEST, Opening, copied, declare, is_of_this_program, rebind
from actcache.learn.place import Place, Ready
from actcache.learn.sampling import Sampling

if TYPE_CHECKING:
    from actcache.learn.worth import Worth

#: So many calls that cannot be recorded are no accident.
_FEW = 16


def begin(
    real: Any,
    model: Any,
    options: Any,
    providers: Sequence[Any] | None,
    provider_options: Sequence[Any] | None,
    keywords: Mapping[str, Any],
) -> Learner | None:
    """Return the learner of a session that is about to be made; None: it stays as it is, for a reason that is noted."""
    if settings.switched_off():
        return None
    try:
        settings.cores()  # a wrong list is told of now, not by a process that nobody sees
        runtime = sys.modules["onnxruntime"]
        taken = session_options.take(options, runtime.SessionOptions, keywords)
        if isinstance(model, (str, os.PathLike)):
            model = os.path.realpath(os.fsdecode(model))
        elif not isinstance(model, bytes):
            return None
        opening = Opening(real, model, taken, copied(providers), copied(provider_options), dict(keywords))
        here, known = runtime.get_available_providers(), runtime.get_all_providers()
        reason = session_options.refusal(options, providers, keywords, here, known)
        return Learner(opening, Place.find(opening, runtime.__version__), reason)
    except Exception as error:  # whatever is wrong, it must not keep the program from its session
        process.note(f"a session does not learn ({type(error).__name__}: {error})")
        return None


class Learner:
    """Belongs to one session, and decides which model that runs.

    Attributes:
        lock: Held while the session goes over to another model.
        idle: Whether calls need not be told of: the session runs the original, and nothing is recorded.
        reason: Why the session stays with the original; None: it need not.
        ready: The compiled model that it runs; None: it runs the original.
    """

    def __init__(self, opening: Opening, place: Place, reason: str | None) -> None:
        self.lock = threads.new_rlock()
        self.opening, self.place, self.reason = opening, place, reason
        self.ready: Ready | None = None
        self._worth: Worth | None = None
        self._left: Ready | None = None  # the compiled model that the session went back from
        self.sampling = Sampling(place)
        self.idle = reason is not None
        self._created = False
        self._session: weakref.ref[Any] | None = None
        self._original: Any = None  # a plain session, once a call of the compiled model has failed
        self._below: weakref.WeakSet[Any] = weakref.WeakSet()  # all that the session has run, as C++ has them
        if reason is not None:
            place.note_refusal(reason)

    def __reduce__(self) -> tuple[Any, ...]:
        """Sessions of packages that pickle what they hold do not learn where they are read."""
        return type(None), ()

    # -- making the session ---------------------------------------------------------------------

    def create(self, session: Any) -> bool:
        """Make the session with the compiled model, if there is one that can be trusted.

        Returns:
            Whether that was done; if not, the caller makes it with the original.
        """
        if self._created:
            self.stay("its execution providers were changed")
            return False
        self._created = True
        if self.reason is not None:
            return False
        ready = self.place.ready()
        if ready is None:
            return False
        self.opening.say_what_onnxruntime_would(session)
        try:
            compiled = self.opening.compiled(ready.file)
            self._go_over(session, ready, compiled)
            declare(session, session_options.shown(session._sess_options, self.opening.taken.options_class))
        except Exception as error:
            its = None if is_of_this_program(error) else ready
            self._refuse(its, f"the compiled model cannot be loaded ({type(error).__name__}: {error})")
            return False
        return True

    def attach(self, session: Any) -> None:
        """Learn from the session, which is made now; whatever goes wrong, it is the program's."""
        try:
            self._attach(session)
        except Exception as error:  # no room for one more thread, say
            self.stay(f"its calls cannot be looked after ({type(error).__name__}: {error})")

    def _attach(self, session: Any) -> None:
        self._session = weakref.ref(session)
        self._below.add(session._sess)
        self.sampling.types = {value.name: value.type for value in session._inputs_meta}
        if self.ready is None and MANIFEST in session._model_meta.custom_metadata_map:
            self.stay("actcache has compiled this model already")
        if self.place.refused:
            self._count_anew()  # an earlier program has recorded enough
        process.add(self)

    # -- its calls ------------------------------------------------------------------------------

    def call(self, run: Callable[..., Any], again: str | None, given: tuple[Any, ...], feed: Mapping[str, Any]) -> Any:
        """Make a call.

        Args:
            run: Makes it.
            again: The method that makes it on a plain session; None: it cannot be made there.
            given: The arguments.
            feed: Its inputs.
        """
        ready, worth = self.ready, self._worth
        start = time.monotonic_ns()
        try:
            result = run(*given)
        except (ValueError, TypeError, AttributeError):  # the call makes no sense, whatever the model
            raise
        except Exception as error:
            if ready is None and self.ready is None:  # the session may have gone over since
                raise
            _abandon(start)
            if again is None or _was_broken_off(given):
                raise
            failure = error
        else:
            seconds = (time.monotonic_ns() - start) * 1e-9
            if worth is not None:
                worth.saw(seconds)
            if self.sampling.recording:
                self.sampling.seconds += seconds
                self._record(feed)
            return result
        return self._once_more(again, given, failure)

    def answering(
        self, callback: Callable[..., Any], given: tuple[Any, ...], feed: Mapping[str, Any]
    ) -> Callable[..., Any]:
        """Return the callback for a call that is made now, and answered later."""
        below, ready, start = self._below_now(), self.ready, time.monotonic_ns()
        worth = self._worth
        self._record(feed)  # the arrays may be changed once the call has returned

        def answered(results: Any, user_data: Any, failure: str) -> Any:
            nonlocal below
            below = None  # until now it had to live
            if failure and ready is not None:
                _abandon(start)
            if failure and ready is not None and not _was_broken_off(given):
                with suppress(Exception):
                    results, failure = self._once_more("run", given, RuntimeError(failure)), ""
            seconds = (time.monotonic_ns() - start) * 1e-9
            self.sampling.seconds += seconds
            if worth is not None:
                worth.saw(seconds)
            return callback(results, user_data, failure)

        return answered

    def _record(self, feed: Mapping[str, Any]) -> None:
        try:
            self.sampling.saw(feed)
        except Exception:  # the call itself has been made, or is about to be
            self.sampling.stop()
        if not self.sampling.recording:
            self.idle = self.ready is None

    def other_owner(self, binding: Any) -> Any:
        """Return the session, as C++ has it, that a binding was made for, if the learner's one has since gone over."""
        owner = getattr(binding, "_actcache_owner", None)
        below = self._below_now()
        return owner if below is not None and owner is not below and owner in self._below else None

    def _below_now(self) -> Any:
        """Return what the session is in C++ just now; None if the session is gone."""
        session = self._session() if self._session is not None else None
        return getattr(session, "_sess", None)

    def _once_more(self, again: str, given: tuple[Any, ...], failure: Exception) -> Any:
        """Make a call that the compiled model failed in with the original; what that says counts."""
        with self.lock:
            if self._original is None:
                with suppress(Exception):
                    self._original = self._load_original()
        if self._original is None:
            raise failure
        result = getattr(self._original, again)(*given)
        self.stay(f"a call failed that the original can make ({type(failure).__name__}: {failure})")
        return result

    def _load_original(self, prepare: Callable[[Any], Any] = lambda options: options) -> Any:
        """Return a plain session of the model that the program has loaded.

        Raises:
            ModelChanged: Its file is another one now.
        """
        self.place.check_unchanged()
        original = self.opening.original(prepare)
        self.place.check_unchanged()
        return original

    # -- going over -----------------------------------------------------------------------------

    def stay(self, reason: str) -> None:
        """Have the session run the original from now on, for a reason."""
        with self.lock:
            if self.reason is not None:
                return
            self.reason = reason
            session = self._session() if self._session is not None else None
            if self.ready is not None and session is not None:
                if self._original is None:
                    with suppress(Exception):
                        self._original = self._load_original()
                if self._original is not None:
                    rebind(session, self._original._sess)
                    self.ready = self._worth = None
            self.idle = self.ready is None
            self.sampling.stop()
        self.place.note_refusal(reason)

    def forget(self) -> None:
        """After a fork: record nothing more. A new lock takes the place of the one whose holder may be gone."""
        self.lock = threads.new_rlock()
        self.sampling.stop()
        self.idle = self.ready is None
        self.reason = self.reason or "its process was forked"

    def _go_over(self, session: Any, ready: Ready, below: Any) -> None:
        with self.lock:
            if self.reason is not None:  # decided while the compiled model was being tried
                return
            self.idle = False  # from the first call of the compiled model on: it may fail
            rebind(session, below)
            self._below.add(below)
            self.ready = ready
            self._count_anew()
        from actcache.learn import totals, worth

        totals.watch(self.place.root, ready)
        self._worth = worth.of(ready)

    def _go_back_unless_it_pays(self, ready: Ready, worth: Worth) -> None:
        """Go back to the original if the compiled model has stopped paying; it may come back once it pays again."""
        from actcache.learn import set_aside, totals

        if worth.is_due():
            worth.look(totals.gained(ready))
        if worth.paid:
            worth.paid = False
            set_aside.clear(self.place.root, ready)
        if worth.problem is None:
            return
        original = self._load_original(ending.heeding_load)  # the calls go on meanwhile
        session = self._session() if self._session is not None else None
        with self.lock:
            if session is None or self.reason is not None:
                return
            rebind(session, original._sess)
            self._below.add(original._sess)
            self.ready, self._worth, self._left = None, None, ready
            if worth.times is None:  # other sessions of this process go back for the same reason
                worth.times = set_aside.note(self.place.root, ready, worth.problem)
            self._count_anew(worth.times)

    def _count_anew(self, times: int = 0) -> None:
        self.sampling.seldom()
        self.place.count_anew(times)

    # -- the thread's part ----------------------------------------------------------------------

    def tick(self) -> bool:
        """Write down what was recorded, have the model compiled, go over to it.

        The session is the program's, and ends in its thread: it is not held here for longer than it takes to change it.

        Returns:
            False once the session is gone.
        """
        below, gone = self._below_now(), self._session is None or self._session() is None
        try:
            if self.reason is None:
                self.place.find_out_name()
                due = self.place.compile_when_due(self.sampling)
                self.sampling.write_in_time()
                if self.sampling.unreadable > _FEW and not self.sampling.recorded:
                    self.stay("its inputs are of a kind that is not recorded: sequences, maps, or in a device's memory")
                if (self.sampling.full and not self.sampling.choose_by_key()) or (due and self.ready is not None):
                    self._count_anew()
                if below is not None and self.place.has_news():
                    self._try(below)
                if self.ready is not None and self._worth is not None:
                    self._go_back_unless_it_pays(self.ready, self._worth)
            else:
                self.place.write_refusal()
        except Exception as error:
            if ending.is_broken_off():
                self.place.look_again()
                return True
            self.stay(f"learning failed ({type(error).__name__}: {error})")
        self.sampling.resume()
        self.idle = self.ready is None and not self.sampling.recording
        return not gone

    def _try(self, below: Any) -> None:
        ready = self.place.ready()
        if ready is None or ready in (self.ready, self._left):
            return
        from actcache.learn.trial import trial

        compiled, problem = trial(self.opening, ready, below, self.sampling.latest())
        session = self._session() if self._session is not None else None
        if problem is not None:
            self._refuse(ready, problem)
        elif session is not None:
            self._go_over(session, ready, compiled)

    def _refuse(self, ready: Ready | None, problem: str) -> None:
        self.stay(problem)
        if ready is not None:
            self.place.reject(ready, problem)

    def end(self) -> None:
        """The session or the program ends: write what is left, and have it looked at if there is something in it."""
        with suppress(Exception):
            if self.reason is None and self.sampling.recorded:
                self.place.find_out_name()
                self.sampling.write_all()
                self.place.compile_at_end(self.sampling)
            else:
                self.place.write_refusal()


def _abandon(start: int) -> None:
    """Free the calls that wait for what a failed one was to compute, and let go of what it found.

    Args:
        start: When it began (``time.monotonic_ns()``), on this thread or, if it was answered later, before that.
    """
    with suppress(Exception):
        from actcache.base.library import library

        library().handle.actcache_abandon_run(start)


def _was_broken_off(given: tuple[Any, ...]) -> bool:
    """Whether the program itself has ended a call, by the options that it was given last."""
    return bool(getattr(given[-1], "terminate", False))
