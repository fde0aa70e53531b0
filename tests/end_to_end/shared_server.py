"""A Valkey or Redis server of a test's own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: What the machines that share a server have in common.
SECRET = "what all machines have in common"


class SharedServer:
    """Listens on a socket in a folder of its own."""

    def __init__(self, program: str, folder: Path) -> None:
        self.socket = folder / "socket"
        self.process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(folder)],
            stdout=subprocess.DEVNULL,
        )
        end = time.monotonic() + 30
        while self.command("PING") != b"+PONG":
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.01)

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a process that uses the server."""
        return {"ACTCACHE_REMOTE_URL": f"unix://{self.socket}", "ACTCACHE_REMOTE_SECRET": SECRET, **more}

    def command(self, line: str) -> bytes:
        """The first line of the answer to a command without spaces in its words; empty if nobody answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.socket))
                connection.sendall(line.encode() + b"\r\n")
                return connection.recv(4096).split(b"\r\n")[0]
            except OSError:
                return b""

    def values(self) -> int:
        """How many values it has."""
        return int(self.command("DBSIZE")[1:])

    def stop(self) -> None:
        """Make it hang, as a machine does that is out of reach."""
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


@contextmanager
def shared_server() -> Iterator[SharedServer]:
    """A server for the length of a block; skips the test where none is installed."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        pytest.skip("neither valkey-server nor redis-server is installed: apt-get install redis-server")
    # Paths of sockets are short.
    with tempfile.TemporaryDirectory(prefix="actcache-") as folder:
        server = SharedServer(program, Path(folder))
        try:
            yield server
        finally:
            server.kill()
