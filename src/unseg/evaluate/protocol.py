"""The protocol, in one place: a condition changes the training set, a victim learns from it.

    read -> condition (original resolution, 8 bit) -> defence (stored image) -> victim -> score

The victim starts from the same seed, budget and schedule for every condition and is tested on
clean images.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unseg.datasets.samples import Sample, mapped
from unseg.evaluate.bench import Bench
from unseg.evaluate.change import PixelChange, Visible, change_of, visible
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.defences.base import Defence
from unseg.evaluate.processes import Processes
from unseg.evaluate.results import Result, ResultStore, content_key
from unseg.evaluate.victims.base import Progress, Training, Victim, silent
from unseg.provenance import provenance


@dataclass(frozen=True)
class Run:
    """One cell of the table, built: made once (:meth:`of`) and handed on.

    Args:
        bench: the task with its data.
        victim: trained from scratch.
        condition: what the training images become.
        defence: what the trainer does to the stored images.
        seed: of the victim's start and batches, and of conditions that draw at random.
        processes: the devices to train on.
        config: everything that decides the result, JSON-ready.
        key: of the result: the hash of ``config``.
    """

    bench: Bench
    victim: Victim
    condition: Condition
    defence: Defence
    seed: int
    processes: Processes
    config: dict[str, Any]
    key: str

    @classmethod
    def of(
        cls,
        bench: Bench,
        victim: Victim,
        condition: Condition,
        defence: Defence,
        seed: int = 0,
        *,
        label: str = "",
        processes: Processes | None = None,
    ) -> Run:
        """A run from its parts.

        Args:
            bench: see :class:`Run`, as the others.
            victim: may not have been trained before.
            condition: as above.
            defence: as above.
            seed: as above.
            label: the defence's short name in tables; by default its ``name``.
            processes: by default this one alone, on the device that accelerate chooses.
        """
        processes = processes or Processes()
        launch = processes.identity()
        config = {
            "task": {
                **bench.task.identity(),
                "part": bench.part,
                "data_sha256": bench.sha256,
                "split_sha256": bench.members,
            },
            "victim": victim.identity(),
            "condition": {**condition.identity(), "name": condition.label},
            "defence": {"label": label or defence.name, **defence.identity()},
            "seed": seed,
            **({"launch": launch} if launch else {}),
        }
        key = content_key(config)
        return cls(bench, victim, condition, defence, seed, processes, config, key)


def published_as(run: Run) -> tuple[int, dict[str, Any]]:
    """The seed of a run's training set, and what tells the set from others of the same data."""
    used = run.seed if run.condition.seeded else 0
    return used, {**run.config["condition"], "seed": used}


def publish(run: Run) -> tuple[Sequence[Sample], PixelChange, Visible | None]:
    """A run's training set under its condition, how far its pixels moved, and how far that is seen.

    A bench's last one is kept: victims, defences and seeds that share it take it from there.

    Raises:
        RuntimeError: when a condition breaks its own bound.
    """
    bench, condition = run.bench, run.condition
    used, identity = published_as(run)
    key = content_key(identity)
    if bench.last is None or bench.last[0] != key:
        found = bench.publish(condition, used, identity)
        change = change_of(bench.split.train, found, run.processes)
        limit = condition.budget
        if change.inside > limit.foreground or change.outside > limit.background:
            raise RuntimeError(f"{condition!r} breaks its bound: {change}")
        bench.last = key, found, change, visible(bench.split.train, found, run.processes)
    return bench.last[1:]


def run(planned: Run, *, store: ResultStore | None = None, progress: Progress = silent) -> Result:
    """Train and test; whether the result is there already is for the caller to ask.

    Under ``accelerate launch`` every process calls this; all train, the first one tests and saves,
    and all get the result.

    Args:
        planned: what to run; its victim is trained.
        store: where the result is saved.
        progress: called with the share of the training that is done.

    Returns:
        The result; ``value`` is the task's metric on clean test images.

    Example:
        bench = Bench(PersonTask(), Path("pennfudan"), "val")
        run(Run.of(bench, UNetVictim(), Unseg(generator), NoDefence())).value
    """
    bench, victim, defence, seed = planned.bench, planned.victim, planned.defence, planned.seed
    times = [time.perf_counter()]
    published, change, seen = publish(planned)
    defence.prepare(published, seed)
    stored = mapped(published, lambda one: replace(one, image=defence.stored(one.image)))
    times.append(time.perf_counter())
    training = Training(seed, progress, defence, planned.processes)
    losses = victim.fit(stored, bench.task.problem, training)
    times.append(time.perf_counter())

    def test() -> Result:
        scores = bench.task.test(victim, bench.split.test)
        times.append(time.perf_counter())
        spans = np.diff(times).round(2).tolist()
        result = Result(
            key=planned.key,
            config=planned.config,
            metric=bench.task.metric,
            value=scores[bench.task.metric],
            scores=scores,
            losses=losses,
            change=vars(change),
            seconds=dict(zip(("condition", "training", "test"), spans, strict=True)),
            provenance={
                **provenance(seed, bench.sha256),
                **planned.processes.hardware(victim.queued),
            },
            visibility=vars(seen) if seen else {},
        )
        if store is not None:
            store.save(result)
        return result

    return planned.processes.from_first(test)
