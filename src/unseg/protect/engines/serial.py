"""One process, in which reading and writing overlap with the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile

from unseg.errors import UnsegError
from unseg.protect.engines.base import Engine, Item, ItemWorker
from unseg.protect.manifest import Record


class Serial(Engine):
    """All in this process, one item after the other.

    Args:
        workers: None or 1; there is one process.

    Raises:
        UnsegError: when more are asked for.
    """

    name = "serial"
    summary = "this process"

    def __init__(self, workers: int | None = None) -> None:
        if workers not in (None, 1):
            raise UnsegError(
                f"--workers {workers} needs --engine ray: the engine serial is one process"
            )

    def run(
        self,
        worker: ItemWorker[Item],
        items: Sequence[Item],
        together: Callable[[Item], object],
        stopped: Callable[[], bool],
        handful: int = 16,
    ) -> Iterator[Record]:
        return worker.run(takewhile(lambda _: not stopped(), items))
