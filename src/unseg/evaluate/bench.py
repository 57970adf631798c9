"""A task's data as runs share it: read when needed, and let go for others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unseg.datasets.samples import LazySamples, Sample, Split, as_lazy, names_of
from unseg.errors import UnsegError
from unseg.evaluate.change import PixelChange, Visible
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.kept import kept
from unseg.evaluate.results import content_key
from unseg.evaluate.tasks.base import Part, Task

CACHE = Path("unseg-cache")
"""Where published images are kept that are costly to make or do not fit in memory."""


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

    Attributes:
        sha256: checksum of the data's files.
        members: checksum of which image trains and which tests.
        last: key, images, change and visibility of the last published training set.
        used: when it was last asked to be held, in seconds of a clock that only runs on.

    Raises:
        UnsegError: when the data cannot be read, or has no image to train or test on.
    """

    def __init__(self, task: Task, data: Path, part: Part = "test", *, cache: Path = CACHE) -> None:
        self.task, self.part, self._data, self._cache = task, part, data, cache
        self._split: Split | None = task.load(data, part)
        self.sha256, self.members = self._split.sha256, _members(self._split)
        self.last: tuple[str, Sequence[Sample], PixelChange, Visible | None] | None = None
        self.used = 0.0
        train, test = len(self._split.train), len(self._split.test)
        if not (train and test):
            raise UnsegError(
                f"{data}: {task.name} has {train} images to train on and {test} "
                "to test on: give at least one of each (two to train on with --part val)"
            )

    @property
    def split(self) -> Split:
        """The data; read again after :meth:`release`.

        Raises:
            UnsegError: when the files have changed since they were first read.
        """
        if self._split is None:
            found = self.task.load(self._data, self.part)
            if (found.sha256, _members(found)) != (self.sha256, self.members):
                raise UnsegError(f"{self._data} has changed since it was first read: start again")
            self._split = found
        return self._split

    @property
    def held(self) -> bool:
        """Whether the data is in memory."""
        return self._split is not None

    def release(self) -> None:
        """Let go of the data and the published images: they are read and made again if needed."""
        self._split = self.last = None

    def publish(
        self, condition: Condition, seed: int, identity: dict[str, Any]
    ) -> Sequence[Sample]:
        """The training set under a condition, at the original resolution.

        Args:
            condition: what the images become.
            seed: of what it draws.
            identity: what tells these images from others of the same data, JSON-ready.
        """
        found = self._published(condition, seed, identity)
        return found if isinstance(self.split.train, LazySamples) else tuple(found)

    def share(
        self, condition: Condition, seed: int, identity: dict[str, Any], rank: int, count: int
    ) -> None:
        """Make every ``count``-th published image that is kept in files, from number ``rank``.

        Several processes make a costly set together before any of them asks for the whole; the
        other arguments are those of :meth:`publish`.
        """
        found = self._published(condition, seed, identity)
        if isinstance(found, LazySamples) and found is not self.split.train:
            for i in range(rank, len(found), count):
                found[i]

    def _published(
        self, condition: Condition, seed: int, identity: dict[str, Any]
    ) -> Sequence[Sample]:
        train = self.split.train
        found = condition.publish(
            as_lazy(train) if condition.costly else train, self.task.problem, seed
        )
        if isinstance(found, LazySamples) and found is not train:
            data = {"data": self.sha256, "part": self.part, "members": self.members}
            whole = content_key({**identity, **data, "task": self.task.identity()})
            found = kept(found, self._cache / f"{self.task.name}-{whole[:16]}")
        return found


def _members(split: Split) -> str:
    return content_key({"train": names_of(split.train), "test": names_of(split.test)})
