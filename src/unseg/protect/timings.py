"""Where the time of an image goes: seconds of each stage, where somebody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Timings:
    """Seconds by stage, summed over images.

    Args:
        wall: seconds that went by.
        cpu: seconds of the stage's own thread; threads that it starts are not in it.
        count: how often each stage was entered.
    """

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    count: dict[str, int] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, name: str, wall: float, cpu: float) -> None:
        """Add to a stage; threads may do so at once."""
        with self._guard:
            for figures, value in ((self.wall, wall), (self.cpu, cpu)):
                figures[name] = figures.get(name, 0.0) + value
            self.count[name] = self.count.get(name, 0) + 1


_active: list[Timings] = []


@contextmanager
def measured() -> Iterator[Timings]:
    """Measure the stages of everything that runs meanwhile, in whatever thread.

    Example:
        with measured() as timings:
            unseg.protect_folder("photos", "protected")
        print(timings.wall["encode"])
    """
    timings = Timings()
    _active.append(timings)
    try:
        yield timings
    finally:
        _active.remove(timings)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """A stage of an image's way; costs nothing where nobody measures."""
    if not _active:
        yield
        return
    wall, cpu = time.perf_counter(), time.thread_time()
    try:
        yield
    finally:
        spent = time.perf_counter() - wall, time.thread_time() - cpu
        for timings in tuple(_active):
            timings.add(name, *spent)
