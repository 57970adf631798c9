"""The protocol, in one place: a condition changes the training set, a victim learns from it.

    read -> condition (original resolution, 8 bit) -> defence (stored image) -> victim -> score

The victim starts from the same seed, budget and schedule for every condition and is tested on
clean images.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unseg.datasets.samples import LazySamples, Sample, Split, as_lazy, mapped, names_of
from unseg.errors import UnsegError
from unseg.evaluate import processes
from unseg.evaluate.conditions import Condition
from unseg.evaluate.defences import Defence
from unseg.evaluate.kept import kept
from unseg.evaluate.results import Result, ResultStore, content_key
from unseg.evaluate.tasks import Part, Task
from unseg.evaluate.victims import Victim
from unseg.evaluate.victims.base import Progress, Training, silent
from unseg.provenance import provenance

VERSION = 1
"""Goes into every key; raise it when the protocol itself changes, so that nothing stale is used."""

CACHE = Path("unseg-cache")
"""Where published images are kept that are costly to make or do not fit in memory."""


@dataclass(frozen=True)
class Change:
    """Change of the training pixels by a condition, in 8-bit steps."""

    inside: float
    outside: float
    mean: float


def change_of(clean: Sequence[Sample], published: Sequence[Sample]) -> Change:
    """Largest change inside and outside the masks, and the mean absolute change.

    A condition may publish fewer images than there are; names say which is which. The mask is the
    published sample's: a condition may protect a part of the foreground only. Several processes
    share the images, and all get the answer.
    """
    places = {name: i for i, name in enumerate(names_of(clean))}
    first, step = processes.place()

    def measure() -> tuple[float, float, float, float]:
        inside = outside = total = count = 0.0
        for i in range(first, len(published), step):
            after = published[i]
            before = clean[places[after.name]]
            moved = np.abs(after.image.astype(np.int16) - before.image)
            highest = moved.max(axis=2)
            inside = max(inside, float(highest[after.mask].max(initial=0)))
            outside = max(outside, float(highest[~after.mask].max(initial=0)))
            total += float(moved.sum())
            count += before.image.size
        return inside, outside, total, count

    inside, outside, total, count = zip(*processes.from_all(measure), strict=True)
    return Change(max(inside), max(outside), sum(total) / sum(count))


class Bench:
    """A task's data, and the last published training set.

    Conditions that do not depend on the seed are applied once for a whole suite, because a
    generator takes longer over the images than the victim does. Training sets of such conditions,
    and those that do not fit in memory, are kept in files, in 8 bit as published: several
    processes, victims and days share them.

    Args:
        task: what to load and how to score.
        data: the data set's folder.
        part: which images to test on.
        cache: folder for the published images that are kept.
    """

    def __init__(self, task: Task, data: Path, part: Part = "test", *, cache: Path = CACHE) -> None:
        self.task = task
        self.part = part
        self.split: Split = task.load(data, part)
        names = [names_of(one) for one in (self.split.train, self.split.test)]
        if not all(names):
            raise UnsegError(
                f"{data}: {task.name} has {len(names[0])} images to train on and {len(names[1])} "
                "to test on: give at least one of each (two where a part is held out of them)"
            )
        #: Checksum of which image trains and which tests.
        self.members = content_key({"train": list(names[0]), "test": list(names[1])})
        self._cache = cache
        self._key = ""
        self._published: Sequence[Sample] = ()
        self._change = Change(0.0, 0.0, 0.0)

    def publish(self, condition: Condition, seed: int) -> Sequence[Sample]:
        """The training set under a condition, at the original resolution.

        Raises:
            RuntimeError: when a condition breaks its own bound.
        """
        return self.published(condition, seed)[0]

    def published(self, condition: Condition, seed: int) -> tuple[Sequence[Sample], Change]:
        """:meth:`publish`, and how far its pixels moved."""
        used = seed if condition.seeded else 0
        identity = {"name": condition.label, "seed": used, **condition.settings()}
        key = content_key(identity)
        if key != self._key:
            train = self.split.train
            in_memory = not isinstance(train, LazySamples)
            found = condition.publish(
                as_lazy(train) if condition.costly else train, self.task.problem, used
            )
            if isinstance(found, LazySamples) and found is not train:
                data = {"data": self.split.sha256, "part": self.part, "members": self.members}
                whole = content_key(
                    {**identity, **data, "task": self.task.settings(), "protocol": VERSION}
                )
                found = kept(found, self._cache / f"{self.task.name}-{whole[:16]}")
            if in_memory:
                found = tuple(found)
            change = change_of(self.split.train, found)
            limit = condition.budget
            if change.inside > limit.foreground or change.outside > limit.background:
                raise RuntimeError(f"{condition!r} breaks its bound: {change}")
            self._published, self._change, self._key = found, change, key
        return self._published, self._change


def configuration(
    bench: Bench, victim: Victim, condition: Condition, defence: Defence, label: str, seed: int
) -> dict[str, Any]:
    """Everything that decides a result, JSON-ready; ask after ``processes.accelerator``."""
    launch = processes.launch()
    task = {"name": bench.task.name, "part": bench.part, "data_sha256": bench.split.sha256}
    return {
        "protocol": VERSION,
        "task": {**task, **bench.task.settings()},
        "victim": {"name": victim.name, **victim.settings(), **victim.origin},
        "condition": {"name": condition.label, **condition.settings()},
        "defence": {"label": label, "name": defence.name, **defence.settings()},
        "seed": seed,
        **({"launch": launch} if launch else {}),
    }


def run(
    bench: Bench,
    victim: Victim,
    condition: Condition,
    defence: Defence,
    seed: int,
    *,
    label: str | None = None,
    store: ResultStore | None = None,
    progress: Progress = silent,
    mixed_precision: str = "no",
    cpu: bool = False,
) -> Result:
    """Run one cell of the table, or take it from the store.

    Under ``accelerate launch`` every process calls this; all train, the first one tests and saves,
    and all get the result.

    Args:
        bench: the task with its data.
        victim: trained from scratch.
        condition: what the training images become.
        defence: what the trainer does to the stored images.
        seed: of the victim's start and batches, and of conditions that draw at random.
        label: the defence's short name in tables; by default its ``name``.
        store: where the result is looked up and saved; nothing runs twice.
        progress: called with the share of the training that is done.
        mixed_precision: accelerate's ``no``, ``fp16`` or ``bf16``.
        cpu: keep off any GPU.

    Returns:
        The result; ``value`` is the task's metric on clean test images.

    Example:
        bench = Bench(PersonTask(), Path("pennfudan"), "val")
        run(bench, UNetVictim(), Unseg(generator), NoDefence(), seed=0).value
    """
    processes.accelerator(mixed_precision, cpu)
    config = configuration(bench, victim, condition, defence, label or defence.name, seed)
    key = content_key(config)
    known = None if store is None else processes.from_first(lambda: store.find(key, bench.members))
    if known is not None:
        return known
    times = [time.perf_counter()]
    published, change = bench.published(condition, seed)
    defence.prepare(published, seed)
    stored = mapped(published, lambda one: replace(one, image=defence.stored(one.image)))
    times.append(time.perf_counter())
    training = Training(seed, progress, defence, mixed_precision, cpu)
    losses = victim.fit(stored, bench.task.problem, training)
    times.append(time.perf_counter())

    def test() -> Result:
        scores = bench.task.test(victim, bench.split.test)
        times.append(time.perf_counter())
        spans = np.diff(times).round(2).tolist()
        result = Result(
            key=key,
            config=config,
            metric=bench.task.metric,
            value=scores[bench.task.metric],
            scores=scores,
            losses=losses,
            change=vars(change),
            seconds=dict(zip(("condition", "training", "test"), spans, strict=True)),
            provenance={**provenance(seed, bench.split.sha256), "split_sha256": bench.members},
        )
        if store is not None:
            store.save(result)
        return result

    return processes.from_first(test)
