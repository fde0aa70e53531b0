"""Knobs from Python. Each test that sets some does it in a process of its own."""

from __future__ import annotations

import json
import math
from pathlib import Path

import onnxruntime as ort
import pytest
from processes import run_python

import actcache
from actcache.serve.byte_size import default_budget, parse_bytes


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"budget": 1}, 'no knob "budget"; the knobs are budget_bytes, hash, namespace, ttl_seconds'),
        ({"hash": "xxh3", "budget": 1}, 'no knob "budget"'),
        ({"budget_bytes": -1}, "a number of bytes"),
        ({"budget_bytes": 1.5}, "a whole number of bytes"),
        ({"budget_bytes": "1G"}, 'is "1G", but has to be a number of bytes'),
        ({"budget_bytes": True}, "a whole number of bytes"),
        ({"hash": "md5"}, '"blake3" or "xxh3"'),
        ({"namespace": 7}, "'namespace' is 7"),
        ({"namespace": "a\0b"}, "NUL"),
        ({"namespace": "n" * 257}, "at most 256 bytes"),
        ({"ttl_seconds": 0}, "above 0"),
        ({"ttl_seconds": "1"}, "give a number"),
        ({"max_entry_age": math.nan}, "above 0"),
        ({"verify_fraction": 1.5}, "from 0 to 1"),
        ({"verify_tolerance": -1}, "0 or more"),
        ({"on_mismatch": "log"}, '"evict" or "disable"'),
        ({"namespace_quota_bytes": "x"}, "0 for no quota"),
        ({"bypass": "on"}, '"auto" or "off"'),
        ({"single_flight": "auto"}, '"on" or "off"'),
        ({"metrics_path": 7}, "'metrics_path' is 7"),
        ({"metrics_path": "/nowhere/m.json"}, "no file can be written beside it: No such file"),
        ({"metrics_path": "/dev/null"}, "not a regular file"),
        ({"portable": "yes"}, '"on" or "off"'),
        ({"disk_path": 7}, "'disk_path' is 7"),
        ({"disk_path": "/no/such/folder/store"}, "/no/such/folder/store cannot be made: No such file"),
        ({"disk_path": "/dev/null"}, "/dev/null is not a folder"),
        ({"disk_budget_bytes": "15MiB"}, "at least 16MiB"),
        ({"disk_budget_bytes": "10%"}, "at least 16MiB"),
        ({"audit_path": 7}, "'audit_path' is 7"),
        ({"audit_path": "/no/such/folder/audit.jsonl"}, "/no/such/folder/audit.jsonl cannot be opened: No such file"),
        ({"audit_max_bytes": 1000}, "at least 64KiB"),
        ({"audit_files": 1.5}, "give a whole number"),
        ({"audit_buffer_bytes": "10%"}, "at least 64KiB"),
    ],
)
def test_configure_refuses_what_means_nothing(knobs: dict[str, object], says: str) -> None:
    before = actcache.configuration()
    with pytest.raises(actcache.InvalidOption, match=says):
        actcache.configure(**knobs)  # type: ignore[arg-type]
    assert actcache.configuration() == before


def test_every_knob_is_set_and_shown(tmp_path: Path) -> None:
    code = """
        import actcache, json, numpy, os, pathlib, tempfile
        os.chdir(tempfile.mkdtemp())
        actcache.configure(
            budget_bytes=numpy.int64(1 << 20), hash="xxh3", namespace="tenant-ä", ttl_seconds=60, max_entry_age=1.5,
            verify_fraction=numpy.float32(0.25), verify_tolerance=1e-6, on_mismatch="disable",
            namespace_quota_bytes="50%", bypass="off", single_flight="off",
            disk_path=pathlib.Path(os.environ["STORE"]), disk_budget_bytes="20MiB",
            remote_url="redis://ann:pw@127.0.0.1:1", remote_secret="0123456789abcdef", remote_ttl_seconds=60,
            remote_max_value_bytes="1MiB", remote_ca_file=pathlib.Path("/none"),
            portable="on", metrics_path=pathlib.Path(os.environ["FILE"]),
            audit_path=pathlib.Path("audit.jsonl"), audit_max_bytes="1MiB", audit_files=2, audit_buffer_bytes=1 << 16)
        print(json.dumps(actcache.configuration()), actcache.stats()["store"]["budget_bytes"])
    """
    shown, budget = run_python(code, FILE=str(tmp_path / "m.json"), STORE=str(tmp_path / "store")).rsplit(" ", 1)
    found = json.loads(shown)
    assert found.pop("memory_bytes") > 1 << 20
    assert found == {
        "budget_bytes": 1 << 20,
        "hash": "xxh3",
        "namespace": "tenant-ä",
        "ttl_seconds": 60,
        "max_entry_age": 1.5,
        "verify_fraction": 0.25,
        "verify_tolerance": 1e-6,
        "on_mismatch": "disable",
        "namespace_quota_bytes": 1 << 19,
        "bypass": "off",
        "single_flight": "off",
        "metrics_path": str(tmp_path / "m.json"),
        "disk_path": str(tmp_path / "store"),
        "disk_budget_bytes": 20 << 20,
        "remote_url": "redis://ann:***@127.0.0.1:1",
        "remote_secret": "***",
        "remote_secret_file": "",
        "remote_password_file": "",
        "remote_ttl_seconds": 60,
        "remote_max_value_bytes": 1 << 20,
        "remote_ca_file": "/none",
        "remote_cert_file": "",
        "remote_key_file": "",
        "portable": "on",
        "audit_path": "audit.jsonl",
        "audit_max_bytes": 1 << 20,
        "audit_files": 2,
        "audit_buffer_bytes": 1 << 16,
    }
    assert budget == str(1 << 20)


def test_configure_wins_over_the_environment() -> None:
    code = """
        import actcache, math
        show = lambda: print(*(actcache.configuration()[name] for name in ("budget_bytes", "hash", "ttl_seconds")))
        show()
        actcache.configure(budget_bytes="5MiB", ttl_seconds=math.inf)
        show()
    """
    said = run_python(code, ACTCACHE_BUDGET_BYTES="1000000", ACTCACHE_HASH="xxh3", ACTCACHE_TTL_SECONDS="2")
    assert said.splitlines() == ["1000000 xxh3 2.0", "5242880 xxh3 None"]


def test_an_environment_variable_that_means_nothing_is_named() -> None:
    code = """
        import actcache
        for function in (actcache.stats, actcache.configuration):
            try: function()
            except actcache.InvalidOption as error: print(error)
    """
    said = run_python(code, ACTCACHE_VERIFY_FRACTION="2").splitlines()
    assert said == ['environment variable ACTCACHE_VERIFY_FRACTION is "2", but has to be a number from 0 to 1'] * 2


def test_a_session_entry_that_means_nothing_is_refused_with_the_reason() -> None:
    options = ort.SessionOptions()
    options.add_session_config_entry("actcache.ttl_seconds", "soon")
    with pytest.raises(actcache.LibraryError, match=r"ttl_seconds is .soon., but has to be a number of seconds"):
        actcache.register(options)


# -- memory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["4096", "512MiB", " 1.5 gib ", "0.375KiB", "0.1kib", "12.5%", "100 %", "33.3%"])
def test_python_and_the_library_read_byte_sizes_alike(text: str) -> None:
    shown = run_python(f"import actcache; actcache.configure(budget_bytes={text!r}); print(actcache.configuration())")
    assert f"'budget_bytes': {parse_bytes(text)}," in shown


def test_the_default_budget() -> None:
    shown = json.loads(run_python("import actcache, json; print(json.dumps(actcache.configuration()))"))
    assert shown["budget_bytes"] == min(default_budget(), shown["memory_bytes"] // 8)


def test_resource_limits_are_memory_limits() -> None:
    code = """
        import resource, actcache
        import actcache.serve.knobs  # before the limit: only the library's first use counts
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
        found = actcache.configuration()
        print(found["memory_bytes"], found["budget_bytes"])
    """
    assert run_python(code) == f"{1 << 30} {1 << 27}"
