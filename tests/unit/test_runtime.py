"""Runtime control: finding the library, sessions, statistics."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import onnxruntime as ort
import pytest
from processes import run_python

import actcache


def test_library_path_is_a_file_that_onnxruntime_takes() -> None:
    path = actcache.library_path()
    assert Path(path).is_file()
    assert Path(path).is_absolute()
    ort.SessionOptions().register_custom_ops_library(path)


def test_package_and_library_have_one_version() -> None:
    from actcache.base.library import library

    assert library().handle.actcache_version().decode() == actcache.__version__


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("actcache_configure", (None, b"off")),
        ("actcache_replay", (None, b"f", 0, 0, 0, 0, 0, None)),
        ("actcache_replay_fetched", (b"r", None, 0, b"disk", 0, 0, 0, 0)),
        ("actcache_replay_fetched", (b"r", b"f", 0, None, 0, 0, 0, 0)),
    ],
)
def test_control_functions_refuse_names_that_are_missing(function: str, arguments: tuple[object, ...]) -> None:
    from actcache.base.library import call

    with pytest.raises(actcache.InvalidOption, match=f"{function}: .* null"):
        call(function, *arguments)


def test_the_library_exports_nothing_else() -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm (binutils) is not installed")
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", actcache.library_path()], capture_output=True, text=True, check=True
    )
    names = {line.split()[-1].split("@")[0] for line in listed.stdout.splitlines()}
    assert "RegisterCustomOps" in names
    assert all(name == "RegisterCustomOps" or name.lower().startswith("actcache") for name in names)


FIND = "import actcache\ntry: print(actcache.library_path())\nexcept actcache.LibraryError as e: print('refused', e)"


def test_another_build_is_named_by_the_environment(tmp_path: Path) -> None:
    other = tmp_path / "other.so"
    shutil.copy(actcache.library_path(), other)
    assert run_python(FIND, ACTCACHE_LIBRARY=str(other)) == str(other)


def test_missing_library_says_how_to_build_it(tmp_path: Path) -> None:
    said = run_python(FIND, ACTCACHE_LIBRARY=str(tmp_path / "none.so"))
    assert said.startswith(f"refused {tmp_path}/none.so: the native library is missing")
    assert "build it again" in said


def test_library_of_another_processor_is_named(tmp_path: Path) -> None:
    here = platform.machine()
    if here not in ("x86_64", "aarch64"):
        pytest.skip("neither x86_64 nor aarch64")
    other, number = ("aarch64", 183) if here == "x86_64" else ("x86_64", 62)
    file = tmp_path / "lib.so"
    content = bytearray(Path(actcache.library_path()).read_bytes())
    content[18:20] = number.to_bytes(2, sys.byteorder)
    file.write_bytes(content)
    said = run_python(FIND, ACTCACHE_LIBRARY=str(file))
    assert f"built for {other}, this is {here}" in said


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF"])
def test_a_file_that_is_no_library(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "lib.so"
    file.write_bytes(content)
    said = run_python(FIND, ACTCACHE_LIBRARY=str(file))
    assert said.startswith(f"refused {file}: the native library cannot be loaded here")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("int actcache_abi(void) { return 0; }", "older than the Python package"),
        ("int actcache_abi(void) { return 99; }", "newer than the Python package"),
        ("int something(void) { return 0; }", "not actcache's native library"),
    ],
)
def test_library_of_another_age(tmp_path: Path, code: str, says: str) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, file = tmp_path / "lib.c", tmp_path / "lib.so"
    source.write_text(code)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", file, source], check=True)
    said = run_python(FIND, ACTCACHE_LIBRARY=str(file))
    assert says in said
    assert "build it again" in said


# -- statistics and clearing --------------------------------------------------------------------------


def test_statistics_of_a_fresh_process() -> None:
    said = run_python("import actcache, json; print(json.dumps(actcache.stats())); print(actcache.invalidate())")
    stats, cleared = said.splitlines()
    assert '"regions": {}' in stats
    assert '"entries": 0' in stats
    assert cleared == "0"


def test_namespaces_that_hold_nothing_select_nothing_and_unknown_regions_are_refused() -> None:
    code = """
        import actcache
        for function in (actcache.invalidate, actcache.pin, actcache.unpin):
            print(function("tenant"), function(older_than=1))
            for wrong in ({"region": "r"}, {"fingerprint": "f"}):
                try: function(**wrong)
                except ValueError as error: print(error)
    """
    refused = 'no session of this process has had a region{} "{}"; it has had no compiled model yet'
    lines = ["0 0", refused.format("", "r"), refused.format(" of fingerprint", "f")]
    assert run_python(code).splitlines() == lines * 3


@pytest.mark.parametrize(
    ("selectors", "says"),
    [
        ({"namespace": 3}, "'namespace' is 3"),
        ({"region": b"r"}, "'region' is b'r'"),
        ({"fingerprint": "a\0"}, "NUL"),
        ({"older_than": "1"}, "'older_than' is '1'"),
        ({"older_than": -1}, "the age must be a number of seconds, 0 or more"),
        ({"older_than": float("nan")}, "the age must be a number of seconds, 0 or more"),
    ],
)
def test_selectors_that_mean_nothing_are_refused(selectors: dict[str, object], says: str) -> None:
    for function in (actcache.invalidate, actcache.pin, actcache.unpin):
        with pytest.raises(actcache.InvalidOption, match=says):
            function(**selectors)  # type: ignore[arg-type]


# -- registration ------------------------------------------------------------------------------------


def test_session_takes_options_providers_and_bytes() -> None:
    import onnx.parser

    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) { y = Neg(x) }'
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = actcache.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert isinstance(session, ort.InferenceSession)
    assert session.run(None, {"x": [1.0]})[0].tolist() == [-1.0]
    actcache.register(options)  # onnxruntime itself refuses options that hold a domain twice
    actcache.InferenceSession(model.SerializeToString(), options)


def test_a_config_entry_that_means_nothing_is_refused_with_the_reason() -> None:
    options = ort.SessionOptions()
    options.add_session_config_entry("actcache.budget_bytes", "much")
    with pytest.raises(actcache.LibraryError, match="budget_bytes"):
        actcache.register(options)


# -- the package -------------------------------------------------------------------------------------


def test_public_names() -> None:
    assert sorted(actcache.__all__) == actcache.__all__
    assert set(actcache.__all__) <= set(dir(actcache))
    for name in actcache.__all__:
        assert getattr(actcache, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        actcache.nonsense  # noqa: B018


def test_serving_does_not_import_the_compiler() -> None:
    code = """
        import sys, actcache
        actcache.stats(), actcache.InferenceSession
        print([name for name in ("onnx", "onnx_graphsurgeon", "scipy", "click") if name in sys.modules])
    """
    assert run_python(code) == "[]"
