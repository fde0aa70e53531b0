"""What saved computing time is worth in energy.

Saved time counts as that of one busy processor core: a computation that runs on several saves more than is said here.
What a busy core draws is measured where the machine offers a counter, RAPL: the energy of all packages, idle parts
included, per second that a core was busy. (Intel and AMD; ``/sys/class/powercap/intel-rapl:N/energy_uj``, for root
alone on most systems; https://docs.kernel.org/power/powercap/powercap.html.) Elsewhere somebody has to say it; that is
an estimate, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
_PROC_STAT = Path("/proc/stat")


@dataclass(frozen=True)
class Power:
    """What a busy core draws.

    Attributes:
        watts: Joules per second that it is busy.
        source: ``"RAPL"`` or ``"estimate"``.
    """

    watts: float
    source: str

    def describe(self, seconds: float) -> str:
        """Say what `seconds` of computing on one core are worth: ``1.2 kJ (estimate: 10 W per busy core)``."""
        return f"{format_joules(self.watts * seconds)} ({self.source}: {self.watts:.3g} W per busy core)"


class Meter:
    """Measures what a busy core draws, over the time between two looks.

    Args:
        powercap: The folder with RAPL's counters.
        proc_stat: The file with the times that processors were busy.
    """

    #: Below so many busy core-seconds between two looks nothing can be said.
    LEAST_BUSY = 0.05

    def __init__(self, powercap: Path = POWERCAP, proc_stat: Path = _PROC_STAT) -> None:
        self._powercap = powercap
        self._proc_stat = proc_stat
        self._energy: Mapping[str, int] = {}
        self._busy = 0.0
        self._joules = 0.0
        self._busy_seconds = 0.0
        self.look()

    def look(self) -> Power | None:
        """Count what has happened since the last look.

        Returns:
            The average since the meter was made; None where there is no counter, it cannot be read, or the processors
            did nothing yet.
        """
        energy, busy = _energy(self._powercap), _busy_seconds(self._proc_stat)
        for domain in energy.keys() & self._energy.keys():
            self._joules += self._used(domain, energy[domain]) / 1e6
        if energy and self._energy:
            self._busy_seconds += max(0.0, busy - self._busy)
        self._energy, self._busy = energy, busy
        if not energy or self._busy_seconds < self.LEAST_BUSY:
            return None
        return Power(self._joules / self._busy_seconds, "RAPL")

    def _used(self, domain: str, now: int) -> int:
        """Microjoules since the last look; the counter begins again at 0 after its range."""
        before = self._energy[domain]
        return (
            now - before
            if now >= before
            else now - before + _read_number(self._powercap / domain, "max_energy_range_uj")
        )


def _energy(powercap: Path) -> dict[str, int]:
    """The energy counters of the packages; those within them (``intel-rapl:0:1``) and of the whole platform overlap."""
    found = {}
    for folder in sorted(powercap.glob("intel-rapl:*")):
        try:
            if folder.name.count(":") == 1 and (folder / "name").read_text().startswith("package"):
                found[folder.name] = _read_number(folder, "energy_uj")
        except (OSError, ValueError):
            continue  # not for this user
    return found


def _read_number(folder: Path, name: str) -> int:
    return int((folder / name).read_text())


def _busy_seconds(proc_stat: Path) -> float:
    """Core-seconds that were spent neither idle nor waiting for disks (proc(5); guests are in user already)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, proc_stat.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def power(meter: Meter, watts: float | None) -> Power | None:
    """Return what is known: the estimate if one is given, else what `meter` has measured."""
    measured = meter.look()
    return Power(watts, "estimate") if watts is not None else measured


def format_joules(joules: float) -> str:
    """Write an energy for people: ``412 J``, ``19.2 kJ``, ``1.3 kWh``."""
    if abs(joules) < 1000:
        return f"{joules:.0f} J"
    if abs(joules) < 3.6e6:
        return f"{joules / 1e3:.1f} kJ"
    return f"{joules / 3.6e6:.1f} kWh"
