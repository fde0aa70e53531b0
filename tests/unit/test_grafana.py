"""The Grafana dashboard: it asks for metrics that exist, and a real Prometheus answers all of its queries."""

# mypy: disable-error-code="misc"
from __future__ import annotations

import importlib.util
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from serving import SERVE_HTTP, eventually, host

from actcache.metrics.table import METRICS, OUTCOMES, STATES

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "grafana"


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "actcache.json").read_text()))


def queries(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_the_file_is_what_its_program_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_dashboard", FOLDER / "make_dashboard.py")
    assert spec is not None and spec.loader is not None
    program: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    assert (FOLDER / "actcache.json").read_text() == program.text()


def test_queries_name_metrics_and_labels_that_exist(dashboard: dict[str, Any]) -> None:
    labels = {metric.name: {*metric.labels, "instance"} for metric in METRICS}
    found = [use for query in queries(dashboard) for use in re.findall(r"(actcache_\w+)\{([^}]*)\}", query)]
    assert len(found) >= len(dashboard["panels"])
    for metric, matchers in found:
        assert set(re.findall(r"(\w+)=", matchers)) <= labels[metric], (metric, matchers)
    for query in queries(dashboard):
        for value in re.findall(r'outcome=~?"([^"]*)"', query):
            assert set(value.split("|")) <= set(OUTCOMES)
        for value in re.findall(r'state="([^"]*)"', query):
            assert value in STATES


def test_panels_lie_beside_each_other(dashboard: dict[str, Any]) -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


# -- a real Prometheus -------------------------------------------------------------------------------

SERVE = SERVE_HTTP.replace("input()", "while True: serve(); time.sleep(0.01)")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that watches a process which serves a model."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    folder = tmp_path_factory.mktemp("prometheus")
    body = "import actcache.metrics\n" + SERVE.format(path="", calls=10)
    with host(body) as process:
        assert process.stdout is not None
        target = f"127.0.0.1:{int(process.stdout.readline())}"
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: actcache, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        server = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            yield address
        finally:
            server.kill()
            server.wait()


def answer(address: str, query: str) -> list[dict[str, Any]]:
    text = urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(f"http://{address}/api/v1/query?{text}") as reply:
            return list(json.load(reply)["data"]["result"])
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return []  # not ready yet
        raise AssertionError(f"{query}: {error.read().decode()}") from None
    except urllib.error.URLError:
        return []  # not up yet


@pytest.mark.slow
def test_prometheus_answers_every_query(prometheus: str, dashboard: dict[str, Any]) -> None:
    variables = {"$__rate_interval": "10s", "$__range": "1m", "$instance": ".*", "$region": ".*"}
    for query in queries(dashboard):
        for variable, value in variables.items():
            query = query.replace(variable, value)
        result = eventually(lambda query=query: answer(prometheus, query))
        assert all(sample["value"][1] not in ("NaN", "+Inf") for sample in result), query
    rows = answer(prometheus, "sum by (outcome) (rate(actcache_rows_total[10s]))")
    assert {sample["metric"]["outcome"]: float(sample["value"][1]) > 0 for sample in rows}["hit"]
