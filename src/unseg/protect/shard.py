"""A part of a run for one job of a job array: which images it takes, and its own files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from unseg.errors import UnsegError

_PART = re.compile(r"-(\d+)-of-(\d+)$")


@dataclass(frozen=True)
class Shard:
    """One of the parts that a run is split into.

    Args:
        number: from 1 to ``count``.
        count: how many parts there are.

    Raises:
        UnsegError: when there is no such part.

    Example:
        >>> Shard(2, 3).takes(4), Shard(2, 3).named("unseg-run.json")
        (True, 'unseg-run-2-of-3.json')
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UnsegError(
                f"--shard {self.number}/{self.count}: expected a number from 1 to {self.count}"
            )

    @classmethod
    def of(cls, text: str | None) -> Shard | None:
        """What ``--shard`` says, such as ``2/8``; None is the whole run.

        Raises:
            UnsegError: when it is no such pair.
        """
        if text is None:
            return None
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        if found is None:
            raise UnsegError(f"--shard {text}: expected NUMBER/COUNT, such as 2/8")
        return cls(int(found[1]), int(found[2]))

    def takes(self, index: int) -> bool:
        """Whether it is this part that does an item, by its place in the sorted list, from 0."""
        return index % self.count == self.number - 1

    def named(self, name: str) -> str:
        """This part's own file beside one of the whole run."""
        path = PurePath(name)
        return f"{path.stem}-{self.number}-of-{self.count}{path.suffix}"

    def __str__(self) -> str:
        return f"{self.number} of {self.count}"


def shard_of(name: str, whole: str) -> Shard | None:
    """The part that a file belongs to; None where it is no part of ``whole``.

    Example:
        >>> shard_of("unseg-run-2-of-3.json", "unseg-run.json")
        Shard(number=2, count=3)
    """
    path = PurePath(name)
    found = _PART.search(path.stem)
    if found is None or path.suffix != PurePath(whole).suffix:
        return None
    if path.stem[: found.start()] != PurePath(whole).stem:
        return None
    number, count = int(found[1]), int(found[2])
    return Shard(number, count) if 1 <= number <= count else None
