"""``benchmarks.natural``: what is played is what it says, and one workload from end to end."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks import results
from benchmarks.apps_table import apps_row
from benchmarks.decoders import Decoder
from benchmarks.natural import WORKLOADS, main
from benchmarks.natural_controls import frames, scanned
from benchmarks.natural_decoding import calls as decoding_calls
from benchmarks.natural_decoding import prompts
from benchmarks.natural_questions import calls as questions
from benchmarks.natural_questions import picture_share
from benchmarks.natural_repeats import ROWS, Part, Repeats, beginnings, rows_of_inputs
from benchmarks.natural_tables import controls_table, gaps, missed, natural_table, verdict
from benchmarks.natural_towers import Towers
from benchmarks.natural_towers import calls as ratings
from benchmarks.render import filled
from models import DATA
from models.fetch import is_cached
from models.workloads import WORKLOADS as STREAMS
from tests.apps.__main__ import Run, Tried, beside_neighbours, told


def needs(*names: str) -> None:
    for name in names:
        if not is_cached(DATA[name]):
            pytest.skip(f"{name} was not fetched: python -m models.fetch {name}")


def test_repeats_are_counted_within_and_across_calls() -> None:
    a, b = (np.array(values, np.int64)[:, None] for values in ([1, 2, 1], [2, 3, 3]))
    found = Repeats.of([{"x": a}, {"x": b}], [ROWS])
    assert found.by_part == {"rows": 0.5} and found.total == 0.5
    assert found.new == [[([0, 1], 1.0)], [([1], 1.0)]]
    both = [{"x": a, "y": b}, {"x": a, "y": b + 10}]
    parts = [Part("xs", 0.5, rows_of_inputs("x")), Part("ys", 0.25, rows_of_inputs("y"))]
    found = Repeats.of(both, parts)
    assert found.by_part == {"xs": 0.6667, "ys": 0.3333}
    assert found.new == [[([0, 1], 0.5), ([0, 1], 0.25)], [([], 0.5), ([0, 1], 0.25)]]
    assert found.total == pytest.approx(0.5 * 4 / 6 + 0.25 * 2 / 6)


def test_a_position_repeats_with_all_that_is_before_it() -> None:
    calls = [{"ids": np.array([ids], np.int64)} for ids in ([5, 6, 7], [5, 6, 8, 7], [6, 7])]
    found = Repeats.of(calls, [Part("positions", 1.0, beginnings("ids"), by_rows=False)])
    assert found.total == pytest.approx(2 / 9) and found.new is None


def test_words_come_as_often_as_they_are_used() -> None:
    needs(*STREAMS["word-queries"].data)
    from models.workloads.queries import words

    drawn = list(islice(words(), 5000))
    assert drawn == list(islice(words(), 5000))
    counts = {word: drawn.count(word) for word in ("the", "of", "cat")}
    assert 200 < counts["the"] < 400 and counts["the"] > counts["of"] > counts["cat"]


def test_utterances_leave_the_stock_phrases_out() -> None:
    needs("english_dialogs")
    pytest.importorskip("yaml")
    from models.workloads.queries import utterances

    said = list(utterances())
    assert len(said) == 2319 and said[:1] == ["What is AI?"]
    assert "My system is overheating." not in said


def test_ratings_are_in_the_order_of_time() -> None:
    needs("movielens_ratings")
    calls = ratings(40)
    assert len(calls) == 40 and all(len(call["user"]) == 32 for call in calls)
    users = np.concatenate([call["user"] for call in calls])
    assert 5 < len(np.unique(users)) < 100, "users come in sessions"
    assert all((call["facts"][:, :-1].sum(1) >= 1).all() for call in calls), "each film has a genre"
    model = Towers(calls[0]["facts"].shape[1]).model()
    onnx.checker.check_model(model, full_check=True)


def test_a_picture_is_asked_one_to_eight_times_in_a_row() -> None:
    asked = questions(3)
    pictures = [call["input_image"].tobytes() for call in asked]
    lengths = [pictures.count(each) for each in dict.fromkeys(pictures)]
    assert len(lengths) == 3 and all(1 <= length <= 8 for length in lengths)
    assert len({call["points"].tobytes() for call in asked}) == len(asked)
    assert 0.99 < picture_share() < 1


def test_prompts_share_the_instruction_or_nothing(tmp_path: Path) -> None:
    needs(*STREAMS["tweets"].data)
    shared, alone = prompts(3, shared=True), prompts(3, shared=False)
    common = shared[0].shape[1] - alone[0].shape[1]
    assert common > 60
    for one, other in zip(shared, alone, strict=True):
        assert (one[0, :common] == shared[0][0, :common]).all() and (one[0, common:] == other[0]).all()
    path = tmp_path / "decoder.onnx"
    onnx.save_model(Decoder(vocabulary=30522).model(), path)
    written = decoding_calls(path, alone[:2], 3)
    assert [call["input_ids"].shape[1] for call in written[:3]] == [alone[0].shape[1] + more for more in range(3)]
    assert len(written) == 6 and (written[2]["input_ids"][:, :-1] == written[1]["input_ids"]).all()


def test_nothing_repeats_in_the_controls() -> None:
    assert len({frame.tobytes() for frame in islice(frames(), 12)}) == 12
    pytest.importorskip("PIL")
    needs("nycflights13_flights")
    cells = list(scanned(60))
    assert len({cell["x"].tobytes() for cell in cells}) == 60
    assert all(cell["x"].min() >= -1 and cell["x"].max() <= 1 for cell in cells)


def a_result(name: str, reuse: float, ratio: float, control: bool = False) -> dict[str, Any]:
    spread = {"median": ratio, "low": ratio - 0.01, "high": ratio + 0.01}
    return {
        "name": name,
        "title": f"the {name}",
        "control": control,
        "reuse": reuse,
        "repeats": {"rows": reuse},
        "original_ms": {"median": 4.0},
        "ratio": spread,
        "new_alone": None,
        "again": 0.012,
        "largest_difference": 0.0,
    }


def test_losses_are_told_like_wins() -> None:
    good = [a_result("a", 0.5, 0.52), a_result("b", 0.2, 0.9), a_result("c", 0, 1.004, control=True)]
    assert missed(good) == []
    assert "in 1 of 1 workloads (cut by 48% to 48%)" in verdict(good) and "1 of 1 take 1.01" in verdict(good)
    bad = [*good, a_result("d", 0.41, 0.65), a_result("e", 0, 1.02, control=True)]
    assert missed(bad) == ["d", "e"]
    assert "in 1 of 2 workloads (cut by 35% to 48%)" in verdict(bad)
    assert "1 of 2 take 1.01" in verdict(bad) and "1.020 (the e)" in verdict(bad)
    far = {**a_result("f", 0.5, 0.6), "new_alone": {"median": 0.54}}
    assert gaps([*bad, far]).splitlines() == [
        "- the b: 0.900 instead of 0.800; hits +0.002, misses and noise +0.098.",
        "- the d: 0.650 instead of 0.590; hits +0.005, misses and noise +0.055.",
        "- the f: 0.600 instead of 0.500; smaller batches +0.040, hits +0.006, misses and noise +0.054.",
    ]
    lines = natural_table(bad).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| the a", "| the b", "| the d", "| the c", "| the e"]
    assert lines[2] == "| the a | 4 ms | 50% of rows | 0.500 |  | **0.520** (0.510–0.530) | 0.012 | 0 |"


def by_clocks(wall: float, cpu: float, wall_noise: float, cpu_noise: float) -> dict[str, Any]:
    """A control that was measured by both clocks, and how far the original is from itself by each."""

    def clock(ratio: float, noise: float) -> dict[str, Any]:
        spread = {"median": ratio, "low": ratio - 0.002, "high": ratio + 0.002}
        itself = {"median": 1.001, "low": 1 - noise, "high": 1.002}
        late = {"median": 1.0, "low": 0.99, "high": 1.01}
        return {"ms": 4.0, "compiled": spread, "last_quarter": late, "itself": itself}

    result = a_result("control", 0, wall, control=True)
    return {**result, "clocks": {"wall": clock(wall, wall_noise), "cpu": clock(cpu, cpu_noise)}}


@pytest.mark.parametrize(
    ("wall", "cpu", "wall_noise", "cpu_noise", "loses"),
    [
        (1.009, 1.008, 0.001, 0.001, False),
        (1.030, 1.008, 0.001, 0.001, True),
        (1.030, 1.008, 0.040, 0.001, False),  # the original differs more from itself
        (1.030, 1.020, 0.040, 0.001, True),  # the other clock sees it
        (0.990, 1.020, 0.040, 0.025, False),
    ],
)
def test_a_control_loses_what_is_not_noise(
    wall: float, cpu: float, wall_noise: float, cpu_noise: float, loses: bool
) -> None:
    found = [by_clocks(wall, cpu, wall_noise, cpu_noise)]
    assert missed(found) == ["control"] * loses
    assert f"{1 - loses} of 1 take 1.01" in verdict(found)
    (line,) = controls_table(found).splitlines()[2:]
    own = f"{wall:.3f} ({wall - 0.002:.3f}–{wall + 0.002:.3f})"
    assert line.startswith(f"| the control | {own} | 1.000 (0.990–1.010) | 1.001 (")
    assert controls_table([a_result("a", 0, 1.0, control=True)]) == ""


def test_programs_stand_beside_the_workloads() -> None:
    tried = [Tried("reads pages", 7.6, 1.1, 0.86, 35, 192, "compiled", None)]
    tried.append(Tried("looks at files", 2.7, 1.1, 0.99, 0, 0, "nothing is worth it", None))
    assert apps_row(asdict(tried[0]))[-3:] == ["35 of 192 rows", "compiled", "same"]
    several = {**asdict(tried[0]), "firsts": [1.1, 0.95, 1.2]}
    assert apps_row(several)[2] == "1.10 (0.95–1.20, 3 runs)"
    plains = [Run(None, seconds) for seconds in (2.0, 4.0, 2.0)]
    assert beside_neighbours(plains, [Run(None, 3.0), Run(None, 6.0)]) == [1.0, 2.0]
    assert apps_row({**asdict(tried[1]), "second": None})[1:5] == ["2.7 s", "1.10", "–", "–"]
    apps = {"command": "python -m tests.apps", "environment": results.environment()}
    natural = {"command": "x", "environment": results.environment(), "workloads": [a_result("a", 0.5, 0.52)]}
    page = "<!-- results: natural -->\n<!-- end of results -->\n"
    assert "None yet" in filled(page, {})
    text = filled(page, {"natural": natural, "apps": {**apps, "programs": [asdict(each) for each in tried]}})
    assert "| reads pages | 7.6 s | 18% of rows | 0.818 | 0.86 | same |" in text
    assert "looks at files" not in text and "plots/natural.svg" in text
    found = {"apps_idle_core": {**apps, "programs": [asdict(each) for each in tried]}}
    text = filled(page.replace("natural", "apps-idle-core"), found)
    assert text.count("\n| ") == 4 and "| reads pages | 7.6 s | 1.10 | 0.86 |" in text
    assert "None yet" in filled(page.replace("natural", "apps"), found)


def test_a_program_tells_when_its_sessions_went_over() -> None:
    model = {"name": "m.onnx", "state": "compiled", "reason": None, "compiled": 1010.0, "ratio": 0.4}
    assert told(model, 1000.0, 1012.0) == "m ready after 10 s, in use after 12 s (measured 0.40)"
    assert told(model, 1000.0, None) == "m ready after 10 s, not in use within the run (measured 0.40)"
    refused = {**model, "state": "refused", "reason": "nothing repeats", "compiled": None}
    assert told(refused, 1000.0, None) == "m refused: nothing repeats"


def test_a_workload_is_measured_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs("movielens_ratings")
    file = tmp_path / "natural.json"
    assert main(["--quick", "--json", str(file), "movielens"]) in (0, 1)  # 1: too few calls for a figure
    document = json.loads(file.read_text("utf-8"))
    assert document["command"] == "python -m benchmarks.natural --quick" and document["environment"]["processor"]
    (found,) = document["workloads"]
    assert {region["granularity"] for region in found["regions"]} == {"row"} and found["compiled_by"] == "a trace"
    # What the cache found is what repeats in the data.
    assert sorted(found["reused"].values()) == sorted(found["repeats"].values())
    assert found["new_alone"]["median"] > 0
    assert 0.5 < found["reuse"] < 1 and found["rounds"] == 2 and found["calls"] == 40
    assert found["ratio"]["low"] <= found["ratio"]["median"] <= found["ratio"]["high"]
    assert "| who rates which film" in capsys.readouterr().out
    document["workloads"][0]["mark"] = "kept"
    file.write_text(json.dumps(document), "utf-8")
    assert main(["--quick", "--json", str(file), "--resume", "movielens"]) in (0, 1)
    assert json.loads(file.read_text("utf-8"))["workloads"][0]["mark"] == "kept"


def test_a_control_is_measured_against_the_original_and_the_original_against_itself(tmp_path: Path) -> None:
    needs("tweets", *STREAMS["tweets"].data)
    file = tmp_path / "natural.json"
    assert main(["--quick", "--json", str(file), "prompts-once"]) in (0, 1)
    (found,) = json.loads(file.read_text("utf-8"))["workloads"]
    assert found["control"] and found["rounds"] == 2 and found["calls"] == 8
    assert set(found["clocks"]) == {"wall", "cpu"} and found["ratio"] == found["clocks"]["wall"]["compiled"]
    for clock in found["clocks"].values():
        assert clock["ms"] > 0
        for who in ("compiled", "last_quarter", "itself"):
            assert clock[who]["low"] <= clock[who]["median"] <= clock[who]["high"]


def test_what_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["no-such"])
    assert ended.value.code == 2
    assert "there is no workload 'no-such'; there are words-1" in capsys.readouterr().err
    assert sum(workload.control for workload in WORKLOADS.values()) == 4
