"""What every engine does: give items to workers, and hand back their records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, Protocol, TypeVar

from unseg.protect.manifest import Record

Item = TypeVar("Item")
Given = TypeVar("Given", contravariant=True)


class ItemWorker(Protocol[Given]):
    """What does the work; it holds the models, and can be pickled.

    :class:`unseg.protect.pipeline.Pipeline` is one, whose items are images.
    """

    def run(self, items: Iterable[Given], /) -> Iterator[Record]:
        """Do items; yields their records, each when what it tells of is durably written."""
        ...


class Engine(ABC):
    """One file an engine. Hook: :meth:`run`."""

    name: ClassVar[str]
    """Short name, used on the command line."""
    summary: ClassVar[str]
    """One line for ``--help`` and the documentation."""
    repeats: ClassVar[bool] = False
    """Whether an item may be done twice: what a worker had in hand that died. The worker must then
    be one that can be pickled, and replace what an earlier try wrote."""

    def start(self) -> None:  # noqa: B027  an engine may need no start
        """Get ready, before a run holds its output folder.

        Raises:
            UnsegError: when something is missing.
        """

    @abstractmethod
    def run(
        self,
        worker: ItemWorker[Item],
        items: Sequence[Item],
        together: Callable[[Item], object],
        stopped: Callable[[], bool],
        handful: int = 16,
    ) -> Iterator[Record]:
        """Do all items, each once as far as records tell.

        Args:
            worker: does them.
            items: in the order in which they are begun.
            together: items that follow one another with equal answers are given to one worker.
            stopped: whether to begin nothing more.
            handful: items that may be given to a worker at a time: what is done again if it dies.

        Yields:
            Records, in any order.
        """
