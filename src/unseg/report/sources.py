"""Where figures came from: the commands, versions and data of results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from unseg.evaluate.results import Result
from unseg.report.summary import Series

MOST = 6
"""Commands listed; the rest is counted."""


def commands(entries: Sequence[Series]) -> list[tuple[str, int]]:
    """Commands that made the runs and how many each, the most productive first.

    How long a piece of a suite may take does not matter for its figures and is left out.
    """
    runs = [run for entry in entries for run in entry.runs]
    counts = Counter(_command(run) for run in runs)
    return [(command, count) for command, count in counts.most_common() if command]


def versions(results: Iterable[Result]) -> list[str]:
    """Libraries and their versions, all that occur."""
    found: dict[str, set[str]] = {}
    for result in results:
        for name, version in result.provenance.get("versions", {}).items():
            found.setdefault(name, set()).add(version)
    return [f"{name} {', '.join(sorted(some))}" for name, some in found.items()]


def hours(results: Iterable[Result]) -> float:
    """Time of all runs."""
    return sum(sum(result.seconds.values()) for result in results) / 3600


def _command(result: Result) -> str:
    command = str(result.provenance.get("command", ""))
    return re.sub(r" --limit-minutes[ =]\S+", "", command)
