"""Energy: RAPL's counters (here files of the kernel's form: few machines let everybody read the real ones)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actcache.report.energy import POWERCAP, Meter, Power, format_joules, power

TICKS = os.sysconf("SC_CLK_TCK")


class Machine:
    """A folder as /sys/class/powercap is, and a file as /proc/stat is."""

    def __init__(self, folder: Path, packages: int = 2) -> None:
        self.powercap = folder / "powercap"
        self.stat = folder / "stat"
        for name, title in [(f"intel-rapl:{n}", f"package-{n}") for n in range(packages)] + [
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:9", "psys"),
            ("intel-rapl-mmio:0", "package-0"),
        ]:
            (self.powercap / name).mkdir(parents=True)
            (self.powercap / name / "name").write_text(f"{title}\n")
            (self.powercap / name / "max_energy_range_uj").write_text("10000000\n")
            self.set(name, 1_000_000)
        self.busy(0)

    def set(self, domain: str, microjoules: int) -> None:
        (self.powercap / domain / "energy_uj").write_text(f"{microjoules}\n")

    def busy(self, seconds: float) -> None:
        ticks = round(seconds * TICKS / 5)
        self.stat.write_text(f"cpu  {ticks} {ticks} {ticks} 999 888 {ticks} {ticks} 0 77 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")

    def meter(self) -> Meter:
        return Meter(self.powercap, self.stat)


def test_packages_add_up_and_their_parts_do_not_count_twice(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    meter = machine.meter()
    assert meter.look() is None  # nothing was done yet
    machine.set("intel-rapl:0", 5_000_000)
    machine.set("intel-rapl:1", 2_000_000)
    for other in ("intel-rapl:0:0", "intel-rapl:9", "intel-rapl-mmio:0"):
        machine.set(other, 9_000_000)
    machine.busy(0.5)
    found = meter.look()
    assert found is not None and found.source == "RAPL"
    assert found.watts == pytest.approx(5 / 0.5)


def test_counters_begin_again_after_their_range(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=1)
    machine.set("intel-rapl:0", 9_000_000)
    meter = machine.meter()
    machine.set("intel-rapl:0", 1_000_000)
    machine.busy(1)
    found = meter.look()
    assert found is not None and found.watts == pytest.approx(2)


def test_no_counter_or_none_for_this_user_is_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=1)
    (machine.powercap / "intel-rapl:0" / "energy_uj").unlink()
    meter = machine.meter()
    machine.busy(10)
    assert meter.look() is None
    assert Meter(tmp_path / "none").look() is None


def test_an_estimate_needs_no_counter_and_goes_before_it(tmp_path: Path) -> None:
    meter = Machine(tmp_path).meter()
    assert power(meter, None) is None
    assert power(meter, 12.0) == Power(12.0, "estimate")
    assert Power(12.0, "estimate").describe(100) == "1.2 kJ (estimate: 12 W per busy core)"


def test_energies_are_written_for_people() -> None:
    assert [format_joules(j) for j in (0, -3.2, 999, 1234, 7.2e6)] == ["0 J", "-3 J", "999 J", "1.2 kJ", "2.0 kWh"]


def test_this_machine() -> None:
    if not list(POWERCAP.glob("intel-rapl:*/energy_uj")) or os.geteuid() != 0:
        pytest.skip("this machine has no RAPL, or not for this user")
    meter = Meter()
    found = None
    while found is None:
        sum(range(1_000_000))
        found = meter.look()
    assert 0 < found.watts < 10_000
