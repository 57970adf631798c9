"""How long jobs report what they do: one callback for folders, masks, checks and evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Update:
    """What a long job tells its caller, from the caller's own thread.

    Args:
        stage: what is being done, such as ``protecting``; stages follow one another.
        done: how many of the stage's items are finished.
        total: how many there are in this stage.
        item: what was finished last, such as an image's record; None at the start of a stage.
    """

    stage: str
    done: int
    total: int
    item: Any = None


Progress = Callable[[Update], None]


def silent(update: Update) -> None:
    """A progress callback that does nothing."""
