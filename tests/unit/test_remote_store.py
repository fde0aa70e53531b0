"""The knobs of a store that machines share, and that none of them tells a secret."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from processes import run_python

import actcache

SECRET = "0123456789abcdef"


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"remote_url": "http://host"}, "has to be an address like redis://host:6379/0"),
        ({"remote_url": "redis://u:sesame@host:0"}, "has to be an address"),
        ({"remote_secret": "sesame"}, "a text of 16 bytes or more"),
        ({"remote_url": "redis://u:sesame@host"}, "set remote_secret_file first"),
        ({"remote_url": "redis://u:sesame@host", "remote_secret_file": "/none"}, "secret_file is /none, whose first"),
        ({"remote_url": "redis://h", "remote_secret": SECRET, "remote_password_file": "/none"}, "cannot be read"),
        ({"remote_url": "rediss://h", "remote_secret": SECRET, "remote_ca_file": "/none"}, "remote_ca_file is /none"),
        ({"remote_url": "redis://h", "remote_secret": SECRET, "remote_key_file": "/none"}, "go together"),
        ({"remote_ttl_seconds": 0}, "above 0"),
        ({"remote_max_value_bytes": "1GiB"}, "at most 512MiB"),
        ({"remote_max_value_bytes": "10%"}, "at most 512MiB"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_without_telling_a_secret(knobs: dict[str, object], says: str) -> None:
    code = """
        import actcache, json, os
        try:
            actcache.configure(**json.loads(os.environ["KNOBS"]))
        except actcache.InvalidOption as error:
            print(error)
        assert actcache.stats()["tiers"] == {}
    """
    said = run_python(code, KNOBS=json.dumps(knobs))
    assert says in said
    assert "sesame" not in said
    assert SECRET not in said


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    log = tmp_path / "audit.jsonl"
    code = """
        import actcache, json, os
        actcache.configure(audit_path=os.environ["LOG"])
        for _ in range(10000):
            tier = actcache.stats()["tiers"]["remote"]
            if tier["problem"]:
                break
        actcache.configure(audit_path="")
        print(json.dumps([actcache.configuration(), actcache.stats()]))
    """
    shown = run_python(
        code,
        LOG=str(log),
        ACTCACHE_REMOTE_URL=f"redis://ann:sesame@127.0.0.1:{port}/2",
        ACTCACHE_REMOTE_SECRET=SECRET,
        ACTCACHE_REMOTE_TTL_SECONDS="60",
        ACTCACHE_REMOTE_MAX_VALUE_BYTES="1MiB",
    )
    configuration, statistics = json.loads(shown)
    assert configuration["remote_url"] == f"redis://ann:***@127.0.0.1:{port}/2"
    assert configuration["remote_secret"] == "***"
    assert configuration["remote_ttl_seconds"] == 60
    assert configuration["remote_max_value_bytes"] == 1 << 20
    assert statistics["tiers"]["remote"]["problem"] == f"cannot connect to 127.0.0.1, port {port}: Connection refused"
    for text in (shown, log.read_text()):
        assert "remote_url" in text
        assert "sesame" not in text
        assert SECRET not in text


def test_files_hold_secrets_and_may_change_their_folder_no_more(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    code = """
        import actcache, os
        os.chdir(os.environ["FOLDER"])
        actcache.configure(remote_url="unix:///nowhere/socket", remote_secret_file="secret")
        print(actcache.configuration()["remote_secret_file"])
        actcache.configure(remote_url="")
        assert actcache.stats()["tiers"] == {}
    """
    assert run_python(code, FOLDER=str(tmp_path)) == str(tmp_path / "secret")


def test_an_address_in_the_environment_that_means_nothing_is_told_where_the_knobs_are_read() -> None:
    code = """
        import actcache
        try:
            actcache.configuration()
        except actcache.InvalidOption as error:
            print(error)
    """
    said = run_python(code, ACTCACHE_REMOTE_URL="redis//:sesame@host")
    assert "environment variable ACTCACHE_REMOTE_URL" in said
    assert "sesame" not in said


def test_the_knobs_are_named_with_the_others() -> None:
    with pytest.raises(actcache.InvalidOption, match="remote_url"):
        actcache.configure(remote="redis://host")
