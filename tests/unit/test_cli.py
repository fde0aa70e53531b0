"""The command line as a process: what it prints, where, and how it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import onnx
import onnx.parser
import pytest
from command_line import refused, run
from graphs import encoder, parse

import actcache
from actcache.commands.main import umbrella


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A file with a good model, in a folder where nothing else is."""
    path = tmp_path / "encoder.onnx"
    onnx.save_model(encoder(), path)
    return path


# -- usage -------------------------------------------------------------------------------------------


def test_version_and_help() -> None:
    assert run("--version").stdout == f"actcache {actcache.__version__}\n"
    assert run("compile", "--version").stdout == f"actcache {actcache.__version__}\n"
    shown = run("compile", "--help").stdout
    for name in (
        "--output --granularity --sample --region --min-saving --tolerance --exact --dynamic-batch --no-verify "
        "--pure-op --single-file --explain --json --quiet --debug Examples: Exit"
    ).split():
        assert name in shown


@pytest.mark.parametrize("program", ["actcache", "actcache-compile"])
def test_installed_programs(program: str) -> None:
    path = Path(sysconfig.get_path("scripts")) / program
    if not path.exists():
        pytest.skip("the package is not installed")
    done = subprocess.run([path, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"Usage: {program} ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compile"], "Missing argument 'MODEL'; see 'python -m actcache compile --help'"),
        (["compile", "m.onnx", "--granularity", "tile"], "'tile' is not one of"),
        (["compile", "m.onnx", "--min-saving", "-1"], "-1"),
        (["compile", "m.onnx", "--min-saving", "soon"], "'soon' is not a valid float"),
        (["compile", "m.onnx", "--colour"], "No such option"),
        (["compile", "m.onnx", "--region", "a=b"], "no ':' before the live-outs"),
        (["compile", "m.onnx", "--pure-op", "Foo"], "write DOMAIN:OP"),
        (["explode"], "No such command"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], says: str) -> None:
    refused(run(*arguments), says)


def test_wrong_usage_with_json_is_an_object() -> None:
    done = run("compile", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["kind"] == "InvalidOption"


# -- models that cannot be read or run ---------------------------------------------------------------


def write_external(path: Path) -> None:
    onnx.save_model(encoder(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (path.parent / "weights.bin").unlink()


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def save(graph: str, opsets: str = '"": 17') -> Callable[[Path], object]:
    return lambda path: onnx.save_model(parse(graph, opsets), path)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        pytest.param(lambda path: None, "no such file", id="missing"),
        pytest.param(lambda path: path.mkdir(), "not a file", id="folder"),
        pytest.param(write(b""), "the file is empty", id="empty"),
        pytest.param(write(b"\x89PNG\r\n\x1a\n" + bytes(64)), "not a complete ONNX model", id="picture"),
        pytest.param(write(b"hello world, this is text\n" * 9), "ONNX", id="text"),
        pytest.param(write(encoder().SerializeToString()[:-1000]), "not a complete ONNX model", id="truncated"),
        pytest.param(write(encoder().SerializeToString().replace(b"w0", b"\xd6\xd0")), "UTF-8", id="encoding"),
        pytest.param(write_external, "weights.bin", id="external data missing"),
        pytest.param(save("g (float[N] x) => (float[N] y) { y = Neg(z) }"), "reads 'z'", id="undefined tensor"),
        pytest.param(
            save("g (float[N] x) => (float[N] y) { y = Neg(x)  y = Abs(x) }"), "'y' a second time", id="defined twice"
        ),
        pytest.param(save("g (float[N] x) => (float[N] y) { z = Neg(x) }"), "output 'y'", id="undefined output"),
        pytest.param(
            save("g (float[N, 2] x) => (float[N, 2] y) <float[2] b = {1, 2, 3}> { y = Add(x, b) }"),
            "constant 'b': its data does not fit",
            id="a constant of another size",
        ),
        pytest.param(save("g (float[N] x) => (float[N] y) { y = Neg(x) }", '"": 99'), "opset", id="opset"),
        pytest.param(save("g (float[N] x) => (float[N] y) { y = Foo(x) }"), "Foo", id="operator"),
        pytest.param(
            save("g (double[99999999, 9999999] x) => (double[99999999, 9999999] y) { y = Neg(x) }"),
            "do not fit into memory",
            id="a size that is too large",
        ),
        pytest.param(save("g (float[N] x) => (float[N] y) { y = a.b.Foo(x) }", '"": 17, "a.b": 1'), "Foo", id="domain"),
        pytest.param(
            write(encoder().SerializeToString().replace(b"MatMul", b"MatM\xfel")), "UTF-8", id="operator's name"
        ),
        pytest.param(
            save(
                "g (string[N] x) => (int64[N] y) "
                '{ z = com.microsoft.Gelu(x) y = ai.onnx.ml.LabelEncoder<classes_strings=["a"]>(z) }',
                '"": 17, "com.microsoft": 1, "ai.onnx.ml": 1',
            ),
            "onnxruntime",
            id="a type that does not fit",
        ),
    ],
)
def test_a_model_that_cannot_be_used(tmp_path: Path, write: Callable[[Path], object], says: str) -> None:
    path = tmp_path / "model.onnx"
    write(path)
    before = sorted(tmp_path.iterdir())
    refused(run("compile", path), str(tmp_path), says)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", ["bfloat16", "float8e5m2"])
def test_an_output_that_numpy_has_no_type_for(tmp_path: Path, kind: str) -> None:
    number = onnx.TensorProto.DataType.Value(kind.upper())
    save(f"g (float[N] x) => ({kind}[N] y, float[N] z) {{ y = Cast<to = {number}>(x) z = Exp(x) }}", '"": 19')(
        tmp_path / "model.onnx"
    )
    refused(run("compile", tmp_path / "model.onnx"), "'y'", f"cannot hand out this output ({kind})", "--outputs")
    assert run("compile", tmp_path / "model.onnx", "--outputs", "z", "--min-saving", "0").returncode == 0


@pytest.mark.parametrize("path", ["", ".", "..", "/"])
def test_a_folder_without_a_name_of_its_own(path: str) -> None:
    refused(run("compile", path), "this is not a file")


# -- options that do not fit the model ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"z": np.zeros((2, 256), np.float32)}, "'z': the model has no such input"),
        ({"x": np.zeros((2, 256), np.float64)}, "'x': the sample holds float64"),
        ({"x": np.zeros((2, 7), np.float32)}, "'x': the sample has shape [2, 7]"),
        ({}, "'x': this input is missing"),
    ],
)
def test_a_sample_that_does_not_fit(saved: Path, tmp_path: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    sample = tmp_path / "sample.npz"
    np.savez(sample, **arrays)  # type: ignore[arg-type]
    refused(run("compile", saved, "--sample", sample), str(sample), says)


def test_a_sample_that_is_missing(saved: Path, tmp_path: Path) -> None:
    refused(run("compile", saved, "--sample", tmp_path / "none.npz"), "none.npz", "cannot be read")


@pytest.mark.parametrize(
    ("region", "says"),
    [("r=x:nothing", "'nothing'"), ("r=nothing:y", "'nothing'"), ("r=y:x", "'x'"), ("r=a:d,x", "'x'")],
)
def test_a_region_that_does_not_exist(saved: Path, region: str, says: str) -> None:
    refused(run("compile", saved, "--region", region), "r: ", says)
    assert list(saved.parent.iterdir()) == [saved]


def test_an_impure_region(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save("g (float[N, 4] x) => (float[N, 4] y) { r = RandomNormalLike(x)  y = Add(x, r) }")(path)
    refused(run("compile", path, "--region", "r=x:y"), "RandomNormalLike")


@pytest.mark.parametrize("output", ["no/such/folder/out.onnx", "folder", "file/out.onnx", "encoder.onnx"])
def test_an_output_that_cannot_be_written(saved: Path, output: str) -> None:
    (saved.parent / "folder").mkdir()
    (saved.parent / "file").write_text("")
    before = {path: path.stat().st_mtime_ns for path in saved.parent.iterdir()}
    refused(run("compile", saved, "-o", saved.parent / output), Path(output).name)
    assert {path: path.stat().st_mtime_ns for path in saved.parent.iterdir()} == before


@pytest.mark.parametrize("content", [None, b"not a library"])
def test_a_library_that_cannot_be_used(saved: Path, tmp_path: Path, content: bytes | None) -> None:
    library = tmp_path / "lib" / "libactcache.so"
    library.parent.mkdir()
    if content is not None:
        library.write_bytes(content)
    refused(run("compile", saved, "--min-saving", 0, ACTCACHE_LIBRARY=str(library)), str(library), "build it again")
    assert not saved.with_suffix(".cached.onnx").exists()


# -- results -----------------------------------------------------------------------------------------


def test_json_is_one_object_with_the_promised_keys(saved: Path, tmp_path: Path) -> None:
    sample = tmp_path / "sample.npz"
    np.savez(sample, x=np.random.default_rng(1).standard_normal((8, 256)).astype(np.float32))
    output = tmp_path / "out.onnx"
    done = run("compile", saved, "-o", output, "--sample", sample, "--min-saving", 0, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    result = json.loads(done.stdout)
    assert result["model"] == str(saved)
    assert result["output"] == str(output)
    assert output.is_file()
    (region,) = result["regions"]
    for key in "id granularity inputs frontier live_outs nodes time_share fingerprint".split():
        assert key in region
    assert region["inputs"] == ["x"]
    assert 0 < region["time_share"] <= 1
    assert isinstance(result["refusals"], list)
    assert {"max_abs_error", "bit_exact", "cases"} <= result["verify"].keys()


def test_the_default_output_stands_beside_the_model_and_compiles_again(saved: Path) -> None:
    done = run("compile", saved, "--min-saving", 0)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    compiled = saved.with_suffix(".cached.onnx")
    assert compiled.is_file()
    for text in ("Cached regions", "verified against the original", "actcache.InferenceSession", compiled.name):
        assert text in done.stdout
    again = run("compile", compiled, "-o", saved.parent / "again.onnx", "--min-saving", 0, "--json", "--no-verify")
    assert again.returncode == 0, again.stderr
    operators = [node.op_type for node in onnx.load_model(saved.parent / "again.onnx").graph.node]
    assert operators.count("CacheLookup") == 1


def test_quiet_prints_nothing(saved: Path) -> None:
    done = run("compile", saved, "--quiet", "--no-verify", "--min-saving", 0)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


RANDOM = "g (float[N, 4] x) => (float[N, 4] y) { r = RandomNormalLike(x)  y = Add(x, r) }"


def test_nothing_to_cache_exits_3_with_reasons_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save(RANDOM)(path)
    done = run("compile", path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {path}: nothing in this model is worth caching")
    assert "RandomNormalLike" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_a_fixed_batch_is_named_and_made_variable_on_request(tmp_path: Path) -> None:
    model = encoder()
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save_model(model, tmp_path / "m.onnx")
    shown = run("compile", tmp_path / "m.onnx", "--min-saving", 0, "--explain").stdout
    assert "the batch is a constant 4" in shown and "--dynamic-batch" in shown
    done = run("compile", tmp_path / "m.onnx", "--min-saving", 0, "--dynamic-batch", "--json")
    answer = json.loads(done.stdout)
    assert [region["granularity"] for region in answer["regions"]] == ["row"]
    assert any("made variable" in note for note in answer["notes"])


def test_nothing_to_cache_as_json(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save(RANDOM)(path)
    done = run("compile", path, "--json")
    assert done.returncode == 3
    answer = json.loads(done.stdout)
    assert answer["output"] is None
    assert answer["error"]["kind"] == "NothingToCache"
    assert any("random" in refusal["reason"] for refusal in answer["refusals"])


# -- our own failures, and being stopped -------------------------------------------------------------

BROKEN = """
import sys
import actcache.compile.driver, actcache.commands.main
def fail(*_, **__):
    raise KeyError("lost")
actcache.compile.driver.compile_model = fail
actcache.commands.main.main(sys.argv[1:])
"""


def broken(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BROKEN, "compile", "m.onnx", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_our_own_failure_is_one_line_that_says_where_the_details_are() -> None:
    done = broken()
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "KeyError: 'lost'; this is a bug in actcache" in done.stderr
    details = Path(done.stderr.split("details are in ")[1].strip())
    assert "Traceback" in details.read_text()
    details.unlink()


def test_our_own_failure_with_debug_and_json() -> None:
    done = broken("--debug", "--json")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert json.loads(done.stdout)["error"]["kind"] == "InternalError"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_being_stopped_leaves_nothing_behind(saved: Path, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "actcache", "compile", saved],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell's background job starts with interrupts ignored, and hands that on to its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 100
    while len(list(saved.parent.iterdir())) == 1 and time.monotonic() < deadline:
        time.sleep(0.05)  # until the working folder appears
    os.killpg(process.pid, number)  # a terminal signals the whole group
    out, err = process.communicate(timeout=100)
    assert process.returncode == code
    assert out == b""
    assert err.strip() == b""
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("name", [None, *umbrella.commands])
def test_every_command_has_examples_and_describes_every_option(name: str | None) -> None:
    command = umbrella if name is None else umbrella.commands[name]
    assert command.help and "Examples:" in (command.epilog or "")
    options = options_of(command)
    assert options and all(option.help for option in options)


@pytest.mark.parametrize("group", [umbrella, *(c for c in umbrella.commands.values() if isinstance(c, click.Group))])
def test_the_lines_that_list_commands_are_whole(group: click.Group) -> None:
    shown = group.get_help(click.Context(group, info_name="actcache", terminal_width=80))
    listed = shown.partition("Commands:")[2].partition("Examples:")[0]
    assert all(f"  {name} " in listed for name in group.commands) and group.commands
    assert "..." not in listed


def options_of(command: click.Command) -> list[click.Option]:
    """Its own, or those of its subcommands."""
    own = [option for option in command.params if isinstance(option, click.Option)]
    below = command.commands.values() if isinstance(command, click.Group) and command is not umbrella else ()
    return own + [option for subcommand in below for option in options_of(subcommand)]
