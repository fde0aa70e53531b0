"""rapidocr-api on two uvicorn workers, and a client that sends pages."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

from answering import answer
from drawing import page

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
# uvicorn ends workers that do not answer in five seconds, and on a busy machine they take longer than that to load.
options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "2", "--timeout-worker-healthcheck", "120"]
server = subprocess.Popen(
    [str(Path(sys.executable).with_name("uvicorn")), "rapidocr_api.main:app", *options],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)


def send(number: int) -> list[list[object]]:
    """Return what the server reads on a page."""
    file = io.BytesIO()
    page(number).save(file, "PNG")
    data = urllib.parse.urlencode({"image_data": base64.b64encode(file.getvalue()).decode()}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ocr", data, timeout=300) as reply:
        found = json.load(reply)
    return [[line["rec_txt"], float(line["score"])] for line in found.values()]


def until_it_answers() -> None:
    """Wait for the server."""
    end = time.monotonic() + 300
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
            return
        except OSError:
            if time.monotonic() > end or server.poll() is not None:
                raise
            time.sleep(0.2)


try:
    until_it_answers()
    answer([number for number in range(16) for _ in range(2)], send)
finally:
    server.send_signal(signal.SIGINT)
    server.wait(60)
    assert os.environ.get("ACTCACHE_AUTO", "") in ("", "1")
