"""The exporters, read by the real libraries: prometheus_client's server and parser, OpenTelemetry's SDK."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from serving import NAME, SERVE_HTTP, eventually, host

from actcache.metrics.table import METRICS, OUTCOMES, Kind

parser = pytest.importorskip("prometheus_client.parser")
pytest.importorskip("opentelemetry.sdk.metrics")

#: Labels and value of each sample, by name.
Samples = dict[str, dict[frozenset[tuple[str, str]], float]]


def parsed(text: str) -> Samples:
    found: Samples = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def types(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def helps(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What one process with a tier says: in its .prom file, and when it is scraped."""
    folder = tmp_path_factory.mktemp("metrics")
    path = folder / "m.prom"
    body = "import actcache.metrics\n" + SERVE_HTTP.format(path=str(path), calls=10)
    with host(body, ACTCACHE_DISK_PATH=str(folder / "store")) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        eventually(lambda: path.exists() and 'outcome="hit"} 36\n' in path.read_text())
        for _ in range(100):  # until the file tells of the last write to the tier
            written, scraped = path.read_text(), scrape(port)
            if parsed(written) == parsed(scraped):
                break
            time.sleep(0.05)
        return written, scraped


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
        return str(reply.read().decode())


def test_the_file_and_the_collector_expose_the_same(exported: tuple[str, str]) -> None:
    written, scraped = exported
    assert types(written) == types(scraped)
    assert helps(written) == helps(scraped)
    assert parsed(written) == parsed(scraped)  # nothing happens any more, so the values too


def test_they_expose_the_table_and_nothing_else(exported: tuple[str, str]) -> None:
    found = parsed(exported[0])
    assert found.keys() == {metric.name for metric in METRICS}
    for metric in METRICS:
        for labels in found[metric.name]:
            assert {name for name, _ in labels} == set(metric.labels)
        assert types(exported[0])[metric.name] == ("counter" if metric.kind is Kind.COUNTER else "gauge")


def test_the_outcomes_add_up_to_the_rows(exported: tuple[str, str]) -> None:
    rows = {dict(labels)["outcome"]: value for labels, value in parsed(exported[1])["actcache_rows_total"].items()}
    assert rows == {outcome: {"hit": 36, "miss": 44}.get(outcome, 0) for outcome in OUTCOMES}
    assert {dict(labels)["region"] for labels in parsed(exported[1])["actcache_rows_total"]} == {NAME}


def test_a_tier_that_is_set_up_is_told_of(exported: tuple[str, str]) -> None:
    found = parsed(exported[0])
    tiers = [metric for metric in METRICS if metric.labels == ("tier",)]
    assert len(tiers) >= 9
    for metric in tiers:
        assert found[metric.name].keys() == {frozenset({("tier", "disk")})}
    of_disk = {metric.name: found[metric.name][frozenset({("tier", "disk")})] for metric in tiers}
    assert of_disk["actcache_tier_available"] == 1
    assert of_disk["actcache_tier_budget_bytes"] >= 16 << 20
    assert of_disk["actcache_tier_damaged_total"] == of_disk["actcache_tier_errors_total"] == 0


def test_names_follow_the_conventions() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"actcache_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert re.fullmatch(r"actcache\.[a-z_]+(\.[a-z_]+)*", metric.otel_name)
        assert re.fullmatch(r"s|By|1|\{[a-z]+\}", metric.otel_unit)
        assert ("_seconds" in metric.name) == (metric.otel_unit == "s")
        assert ("_bytes" in metric.name) == (metric.otel_unit == "By")
    assert len({metric.name for metric in METRICS}) == len({metric.otel_name for metric in METRICS}) == len(METRICS)


OBSERVE = """
import json
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
import actcache.metrics

reader = InMemoryMetricReader()
actcache.metrics.instrument(MeterProvider(metric_readers=[reader]).get_meter("actcache"))
serve(10)
print(reader.get_metrics_data().to_json(indent=None), flush=True)
"""


def test_opentelemetry_observes_the_same(tmp_path: Path) -> None:
    with host(OBSERVE, ACTCACHE_DISK_PATH=str(tmp_path / "store")) as process:
        said, _ = process.communicate()
    (resource,) = json.loads(said)["resource_metrics"]
    (scope,) = resource["scope_metrics"]
    found: dict[str, Any] = {metric["name"]: metric for metric in scope["metrics"]}
    assert found.keys() == {metric.otel_name for metric in METRICS}
    for metric in METRICS:
        observed = found[metric.otel_name]
        assert observed["unit"] == metric.otel_unit and observed["description"] == metric.help
        assert observed["data"].get("is_monotonic") == {Kind.COUNTER: True, Kind.AMOUNT: False}.get(metric.kind)
        for point in observed["data"]["data_points"]:
            assert point["attributes"].keys() == {f"actcache.{label}" for label in metric.labels}
    points = found["actcache.rows"]["data"]["data_points"]
    rows = {point["attributes"]["actcache.outcome"]: point["value"] for point in points}
    assert (rows["hit"], rows["miss"]) == (36, 44)
    assert found["actcache.store.limit"]["data"]["data_points"][0]["value"] > 0


FORK = """
import os
from actcache.metrics.table import METRICS, Readings
(rows,) = [metric for metric in METRICS if metric.name == "actcache_rows_total"]
readings = Readings()
serve(10)
print(sum(value for _, value in readings.read(rows)), flush=True)
readings._lock.acquire()  # as another thread that reads while this one forks
if os.fork() == 0:
    print(sum(value for _, value in readings.read(rows)), flush=True)
    os._exit(0)
os.wait()
"""


def test_a_forked_child_counts_from_0() -> None:
    with host(FORK) as process:
        said, _ = process.communicate()
    assert said.split() == ["80", "0"]


def test_a_registry_refuses_a_second_collector_before_it_is_read() -> None:
    import prometheus_client

    from actcache.metrics import Collector

    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector())
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(Collector())
