"""A disk that is full, read-only or gone: one clear line, no half-written file, and earlier files stay whole."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import audit_logs as logs
import numpy as np
import onnx
import pytest
from command_line import refused, run
from graphs import encoder

import actcache
from actcache.base.files import file_error, scratch_folder, write_whole, writing

MIB = 1 << 20


def mount(place: Path, *options: str) -> bool:
    return subprocess.run(["mount", *options, str(place)], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or not mount(place, "-t", "tmpfs", "-o", "size=8M", "tmpfs"):
        pytest.skip("only root may mount a file system; the tests with a limit on the size of files run for everybody")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Leave so many bytes free."""
    space = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(bytes(space.f_bavail * space.f_frsize - leave))
    return filler


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "encoder.onnx"
    onnx.save_model(encoder(), path)
    return path


@pytest.fixture(scope="module")
def compiled(model: Path) -> Path:
    sample = {"x": np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)}
    return actcache.compile_model(model, samples=[sample], min_saving=0).output


@pytest.fixture
def calls(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "first.npz", tmp_path / "second.npz"]
    for path in paths:
        np.savez(path, x=np.ones((2, 256), np.float32))
    return paths


# -- compile -----------------------------------------------------------------------------------------


#: From no file at all on: the model, its weights, samples, profiles that onnxruntime writes, the optimised model.
@pytest.mark.slow
@pytest.mark.parametrize("free", [0, 64 << 10, 820 << 10, 1 * MIB])
def test_compiling_onto_a_full_disk(model: Path, disk: Path, free: int) -> None:
    target = disk / "out.onnx"
    target.write_bytes(b"the earlier file")
    filler = fill(disk, free)
    done = run("compile", model, "-o", target, "--min-saving", 0)
    refused(done, str(target), "cannot be written (", "choose another place with -o")
    assert "No space left on device" in done.stderr or "onnxruntime could not write" in done.stderr
    assert sorted(disk.iterdir()) == [filler, target]
    assert target.read_bytes() == b"the earlier file"
    filler.unlink()
    assert run("compile", model, "-o", target, "--min-saving", 0).returncode == 0


def limited(size: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command that can write no file larger than `size`."""
    return subprocess.run(
        [sys.executable, "-m", "actcache", *map(str, arguments)],
        env={**os.environ, "NO_COLOR": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("size", [10, 1000, 30_000, 500_000])
def test_compiling_where_files_may_not_be_large(model: Path, tmp_path: Path, size: int) -> None:
    target = tmp_path / "out.onnx"
    refused(limited(size, "compile", model, "-o", target, "--min-saving", 0), str(target), "cannot be written")
    assert not list(tmp_path.iterdir())


def test_a_folder_where_nothing_may_be_written(model: Path, disk: Path) -> None:
    assert mount(disk, "-o", "remount,ro")
    target = disk / "out.onnx"
    done = run("compile", model, "-o", target, "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "OutputError"
    assert "Read-only file system" in error["message"] and str(target) in error["message"]


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (lambda folder: folder / ("n" * 300), "File name too long"),
        (lambda folder: folder / "gone" / "out.onnx", "No such file or directory"),
        (lambda folder: folder / "file" / "out.onnx", "Not a directory"),
    ],
)
def test_a_place_that_cannot_be(model: Path, tmp_path: Path, place: Callable[[Path], Path], says: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    refused(run("compile", model, "-o", place(tmp_path), "--min-saving", 0), says, str(place(tmp_path))[:100])


@pytest.mark.parametrize("command", ["compile", "inspect"])
def test_a_model_whose_name_is_too_long(tmp_path: Path, command: str) -> None:
    refused(run(command, tmp_path / ("n" * 300)), "File name too long")


# -- the other commands ------------------------------------------------------------------------------


def test_a_report_that_does_not_fit_leaves_the_earlier_one(disk: Path, tmp_path: Path) -> None:
    log = logs.write(tmp_path / "audit.jsonl", [logs.start(), logs.region(), *logs.played(logs.zipf_keys(200, 50))])
    page = disk / "report.html"
    page.write_text("the earlier page")
    filler = fill(disk, 8 << 10)
    refused(run("report", log, "-o", page), str(page), "No space left on device", "-o")
    assert page.read_text() == "the earlier page"
    assert sorted(disk.iterdir()) == [filler, page]


#: A full folder in TMPDIR is passed over for /tmp by Python; here there is no other.
ONLY_PLACE = "import sys, tempfile; tempfile.tempdir = sys.argv.pop(1); "


def in_full_folder(code: str, disk: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    fill(disk, 0)
    command = [sys.executable, "-c", ONLY_PLACE + code, str(disk), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_temporary_folder_that_is_full(model: Path, calls: list[Path], disk: Path, tmp_path: Path) -> None:
    region = [actcache.RegionSpec("late", ("b",), ("y",))]  # what it reads has to be computed
    late = actcache.compile_model(model, tmp_path / "late.onnx", regions=region).output
    code = "from actcache.commands.main import main; main()"
    refused(in_full_folder(code, disk, "explain-miss", late, *calls), str(disk), "No space left", "TMPDIR")
    assert run("explain-miss", late, *calls).returncode == 0


def test_a_bug_is_reported_where_its_details_cannot_be_written(disk: Path) -> None:
    done = in_full_folder("from actcache.commands.terminal import fail; fail(KeyError('x'), debug=False)", disk)
    assert done.returncode == 1
    assert done.stderr == (
        "error: KeyError: 'x'; this is a bug in actcache, please report it; --debug shows details"
        " (they cannot be written to a file: No space left on device)\n"
    )


@pytest.mark.parametrize("arguments", [["inspect", "MODEL", "--json"], ["inspect", "MODEL"], ["--help"]])
def test_an_answer_that_cannot_be_written(compiled: Path, arguments: list[str]) -> None:
    given = [str(compiled) if argument == "MODEL" else argument for argument in arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "actcache", *given], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    says = "error: standard output: cannot be written (No space left on device); free some space there\n"
    assert done.stderr == says


@pytest.mark.parametrize("arguments", [["inspect", "MODEL", "--json"], ["inspect", "MODEL"]])
def test_a_reader_who_goes_away_is_no_news(compiled: Path, arguments: list[str]) -> None:
    given = [str(compiled) if argument == "MODEL" else argument for argument in arguments]
    reading, writes = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "actcache", *given], stdout=writes, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, "")


# -- recording ---------------------------------------------------------------------------------------


def test_a_session_that_is_recorded_goes_on_when_the_disk_is_full(compiled: Path, disk: Path) -> None:
    folder = disk / "calls"
    session = actcache.record(actcache.InferenceSession(compiled), folder)
    feed = {"x": np.ones((64, 256), np.float32)}
    session.run(None, feed)
    fill(disk, 16 << 10)
    with pytest.warns(RuntimeWarning, match="stopped recording after 1 calls.*No space left on device") as caught:
        outputs = [session.run(None, feed)[0] for _ in range(3)]
    assert len(caught) == 1
    assert all(np.array_equal(output, outputs[0]) for output in outputs)
    assert [path.name for path in folder.iterdir()] == ["call-000000.npz"]
    assert (session.recorded, session.full) == (1, True)


def test_a_session_that_is_recorded_goes_on_when_the_folder_is_gone(compiled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    session = actcache.record(actcache.InferenceSession(compiled), folder)
    folder.rmdir()
    with pytest.warns(RuntimeWarning, match="stopped recording after 0 calls"):
        session.run(None, {"x": np.ones((1, 256), np.float32)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.run(None, {"x": np.ones((1, 256), np.float32)})


def test_recording_into_a_full_disk_is_refused_at_the_start(compiled: Path, disk: Path) -> None:
    fill(disk, 0)
    with pytest.raises(actcache.OutputError, match="No space left on device"):
        actcache.record(actcache.InferenceSession(compiled), disk / "calls")


# -- the parts ---------------------------------------------------------------------------------------


def test_an_error_without_a_number_is_no_word_of_the_system() -> None:
    with pytest.raises(OSError, match="a library's own"), writing("f"):
        raise OSError("a library's own")
    with pytest.raises(BrokenPipeError), writing("f"):
        raise BrokenPipeError(32, "Broken pipe")
    with pytest.raises(OSError, match="Cannot allocate memory") as caught, writing("f"):
        raise OSError(12, "Cannot allocate memory")  # for a process
    assert str(file_error(caught.value)) == "the system refuses (Cannot allocate memory); free some memory"


def test_errors_elsewhere_are_not_blamed_on_the_temporary_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), scratch_folder():
        (tmp_path / "missing").read_bytes()


def test_every_refusal_names_the_file_and_says_what_was_refused() -> None:
    for number in (1, 2, 5, 13, 20, 27, 28, 30, 36, 40, 122):
        text = str(
            file_error(OSError(number, os.strerror(number), "a.onnx"), other_place="choose another place with -o")
        )
        assert text.startswith("a.onnx: cannot be written (") and os.strerror(number) in text and "-o" in text


def test_whole_files_keep_links_modes_and_devices(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_whole(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and real.stat().st_mode & 0o777 == 0o640
    write_whole("/dev/null", "nothing")
    assert Path("/dev/null").is_char_device()
    assert sorted(tmp_path.iterdir()) == [link, real]
