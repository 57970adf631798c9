"""Result files joined over seeds: what every table and figure of the report is made from."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from unseg.errors import UnsegError
from unseg.evaluate.results import Result, content_key, read_result
from unseg.noise import Budget
from unseg.report.names import distinguish

OURS = "unseg"
"""Conditions whose name begins so are this package's noise; the others are baselines."""

STRIPES = "stripes"
"""Hand-made waves under the same limit on what is seen as ours: no baseline of the whole bound."""
CLEAN = "clean"
NO_DEFENCE = "none"
FAILS = 0.5
"""Protection fails where more than this share of the clean figure is left."""


T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def unique(items: Iterable[T]) -> list[T]:
    """Each once, in order."""
    return list(dict.fromkeys(items))


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Items by a key, in order."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


@dataclass(frozen=True)
class Series:
    """Runs that differ in nothing but their seed.

    Args:
        task: name, with what tells it from another of the same name.
        part: the images tested on.
        victim: as ``task``.
        condition: as ``task``; ``unseg@80%`` is a mixed set.
        defence: short name.
        budget: the bound of the condition, in 8-bit steps.
        runs: one result a seed, in the order of seeds.
        paths: the runs' files, where they are known.
        clean: mean of clean training without a defence, of the same task and victim.
        floor: clean figure below which the victim measures nothing.
    """

    task: str
    part: str
    victim: str
    condition: str
    defence: str
    budget: Budget
    runs: tuple[Result, ...]
    paths: tuple[Path | None, ...]
    clean: float | None
    floor: float | None

    @property
    def metric(self) -> str:
        return self.runs[0].metric

    @property
    def values(self) -> list[float]:
        """The metric on clean test images, one a seed."""
        return [run.value for run in self.runs]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds; one seed has none."""
        return statistics.stdev(self.values) if len(self.runs) > 1 else None

    @property
    def seeds(self) -> list[int]:
        return [run.config["seed"] for run in self.runs]

    @property
    def retention(self) -> float | None:
        """Share of the clean figure that is left; None without a clean run."""
        return self.mean / self.clean if self.clean else None

    @property
    def retention_deviation(self) -> float | None:
        return None if not self.clean or self.deviation is None else self.deviation / self.clean

    @property
    def visibility(self) -> tuple[float, float] | None:
        """Mean and lowest SSIMULACRA2 of the noise, of the runs whose results say it."""
        known = [run.visibility for run in self.runs if run.visibility]
        if not known:
            return None
        return statistics.fmean(v["mean"] for v in known), min(v["lowest"] for v in known)

    @property
    def level(self) -> str:
        """The visibility that was asked for; noise without such a setting uses the whole bound."""
        return str(self._condition.get("visibility", "strong"))

    @property
    def without_level(self) -> str:
        """What tells the noise from others, whatever visibility was asked for."""
        mine = {k: v for k, v in self._condition.items() if k not in ("name", "visibility")}
        return content_key({"ours": self.ours, **mine})

    @property
    def attacker(self) -> str:
        """The victim with the resolution it trains at."""
        size = self.runs[0].resolution
        return self.victim if size is None else f"{self.victim}, {size} px"

    @property
    def measurable(self) -> bool:
        """Whether clean training reaches the task's floor; unknown counts as no."""
        return self.clean is not None and (self.floor is None or self.clean >= self.floor)

    @property
    def ours(self) -> bool:
        return self.condition.startswith(OURS)

    @property
    def frontier(self) -> bool:
        """Whether these are the hand-made waves that ours has to beat at the same visibility."""
        return self.condition.startswith(STRIPES)

    @property
    def heading(self) -> str:
        """The task, with the images tested on where they are not the test images."""
        return self.task if self.part == "test" else f"{self.task} ({self.part})"

    @property
    def standard(self) -> bool:
        """Whether the whole set is protected, and every class of it."""
        return self.share is None and self._condition.get("klass") is None

    @property
    def share(self) -> float | None:
        """Share of the images that a mixed set applies its condition to, 0..1."""
        return self._condition.get("share")

    @property
    def inner(self) -> str | None:
        """Name of the condition that a mixed set or one class is made with."""
        inside = self._condition.get("condition")
        return None if inside is None else str(inside["name"])

    @property
    def klass(self) -> str | None:
        """The one class that is protected."""
        return self._condition.get("klass")

    @property
    def protected_share(self) -> float:
        """Share of the whole training set that is protected, 0..1."""
        if self.share is None:
            return 0.0 if self.condition == CLEAN else 1.0
        return round(1 - self.share if self.inner == CLEAN else self.share, 6)

    @property
    def _condition(self) -> dict[str, Any]:
        found: dict[str, Any] = self.runs[0].config["condition"]
        return found

    @property
    def label(self) -> str:
        """The condition, with its budget where that is not the standard one."""
        usual = Budget()
        # A condition on one class leaves the rest alone: its background budget is nothing.
        if self.budget.foreground == usual.foreground and self.budget.background in (
            usual.background,
            0.0,
        ):
            return self.condition
        return f"{self.condition} {self.budget.foreground:g}/{self.budget.background:g}"

    def score(self, name: str) -> float | None:
        """Mean of one of the task's other figures."""
        found = [run.scores[name] for run in self.runs if name in run.scores]
        return statistics.fmean(found) if found else None


def find_results(paths: Sequence[Path]) -> dict[Path, Result]:
    """Read result files and folders of them, folders below included.

    Raises:
        UnsegError: when there is none, or one is damaged.
    """
    files: dict[Path, None] = {}
    for given in paths:
        if not given.exists():
            raise UnsegError(f"{given} does not exist: give result files or folders of them")
        found = sorted(given.rglob("*.json")) if given.is_dir() else [given]
        files.update(dict.fromkeys(found))
    if not files:
        raise UnsegError(
            f"{', '.join(map(str, paths))}: no result files here; make some with unseg evaluate"
        )
    unique: dict[str, tuple[Path, Result]] = {}
    for path in files:
        result = read_result(path)
        unique.setdefault(result.key, (path, result))
    return dict(unique.values())


def summarise(results: Sequence[Result], files: Mapping[str, Path] | None = None) -> list[Series]:
    """Join results over seeds, in the order of registries, then of names.

    Args:
        results: no run twice.
        files: where results lie, by key.
    """
    groups: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        config = {name: value for name, value in result.config.items() if name != "seed"}
        groups[content_key(config)].append(result)
    firsts = [group[0] for group in groups.values()]
    tasks = distinguish([r.config["task"] for r in firsts], ("part",))
    victims = distinguish(
        [_attacker(r) for r in firsts], within=[content_key(r.config["task"]) for r in firsts]
    )
    conditions = distinguish([_without_budget(r.config["condition"]) for r in firsts])
    references = _references(results)
    entries = []
    for group, first, task, victim, condition in zip(
        groups.values(), firsts, tasks, victims, conditions, strict=True
    ):
        ordered = sorted(group, key=lambda run: run.config["seed"])
        entries.append(
            Series(
                task=task,
                part=first.config["task"]["part"],
                victim=victim,
                condition=condition,
                defence=first.config["defence"]["label"],
                budget=budget_of(first.config["condition"]),
                runs=tuple(ordered),
                paths=tuple((files or {}).get(run.key) for run in ordered),
                clean=references.get(_bench_key(first)),
                floor=floor_of(first.named("task")),
            )
        )
    return sorted(entries, key=_order)


def budget_of(condition: Mapping[str, Any]) -> Budget:
    """The bound in a condition's configuration; the standard one where it has none."""
    if "budget" in condition:
        return Budget(**condition["budget"])
    inner = condition.get("condition")
    return budget_of(inner) if isinstance(inner, Mapping) else Budget()


def floor_of(task: str) -> float | None:
    """A task's floor by its name, or None for a task that is not ours."""
    from unseg.evaluate.tasks import TASKS

    return float(TASKS.load(task).floor) if task in TASKS else None


def _without_budget(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_budget(value) if key == "condition" else value
        for key, value in condition.items()
        if key != "budget"
    }


def _attacker(result: Result) -> dict[str, Any]:
    """The victim with what else decides how it learns: precision and processes."""
    return {**result.config["victim"], **result.config.get("launch", {})}


def _bench_key(result: Result) -> str:
    return content_key({"task": result.config["task"], "victim": _attacker(result)})


def _references(results: Iterable[Result]) -> dict[str, float]:
    """Mean of clean training without a defence, by task and victim."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    for result in results:
        if result.named("condition") == CLEAN and result.config["defence"]["label"] == NO_DEFENCE:
            values[_bench_key(result)].append(result.value)
    return {key: statistics.fmean(found) for key, found in values.items()}


def in_condition_order(entries: Iterable[Series]) -> list[Series]:
    """Clean, then baselines, then ours, then what is made of them; whatever the task."""
    return sorted(entries, key=_condition_order)


def _order(entry: Series) -> tuple[Any, ...]:
    from unseg.evaluate.defences import DEFENCES
    from unseg.evaluate.tasks import TASKS
    from unseg.evaluate.victims import VICTIMS

    first = entry.runs[0]
    return (
        _rank(first.named("task"), TASKS), entry.task, entry.part,
        _rank(first.named("victim"), VICTIMS), entry.victim,
        *_condition_order(entry), _rank(entry.defence, DEFENCES), entry.defence,
    )  # fmt: skip


def _condition_order(entry: Series) -> tuple[Any, ...]:
    from unseg.evaluate.conditions import CONDITIONS

    base = entry.runs[0].config["condition"]
    while isinstance(base.get("condition"), Mapping):
        base = base["condition"]
    return (
        not entry.standard, _rank(base["name"], CONDITIONS), entry.share or 0.0,
        entry.condition, entry.budget.foreground,
    )  # fmt: skip


def _rank(name: str, known: Iterable[str]) -> int:
    """Number of a name in a registry; what is not there comes last."""
    names = list(known)
    return names.index(name) if name in names else len(names)
