"""What every victim does: learn from samples, then predict clean photographs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unseg.datasets.samples import Sample
from unseg.evaluate.defences.base import Defence, NoDefence
from unseg.evaluate.problem import Kind, Prediction, Problem
from unseg.evaluate.processes import Processes
from unseg.evaluate.settings import Configured

Progress = Callable[[float], None]
"""Called with the share of the training that is done, 0..1."""


def silent(_: float) -> None:
    """A progress that says nothing."""


@dataclass(frozen=True)
class Training:
    """What a training run depends on beside the victim's own settings.

    Args:
        seed: of the victim's start and batches.
        progress: called after every step.
        defence: whose ``batch`` and ``attack`` the victim's loop calls.
        processes: on which device, and beside which other processes.
    """

    seed: int = 0
    progress: Progress = silent
    defence: Defence = field(default_factory=NoDefence)
    processes: Processes = field(default_factory=Processes)


class Victim(Configured):
    """One file a victim. Hooks: :meth:`fit` and :meth:`predict`.

    A victim reads photographs at their original resolution and resizes and augments them itself,
    as a real trainer's loader does. It is trained from the seed alone: same seed and samples, same
    weights on the same number of threads.

    ``kinds`` are the problems it can be asked; most victims override a base class that already
    holds the loop: ``SemanticVictim`` needs :meth:`build` alone.
    """

    kinds: ClassVar[frozenset[Kind]]
    queued: ClassVar[bool] = False
    """Whether training steps are queued on a GPU, in half precision and without waiting for each
    other: a loss that reads values back, as matching does, can do neither."""

    @abstractmethod
    def fit(self, samples: Sequence[Sample], problem: Problem, training: Training) -> list[float]:
        """Train.

        Returns:
            Loss, averaged over each tenth of the schedule.
        """

    @abstractmethod
    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        """The answer to the problem it was trained for, for a (H, W, 3) uint8 photograph."""

    def answers(self, samples: Iterable[Sample]) -> Iterator[tuple[Prediction, Sample]]:
        """Answers to samples, in order, each beside its sample; in batches where that helps."""
        return ((self.predict(sample.image), sample) for sample in samples)


class InteractiveVictim(Victim):
    """A victim that is asked with clicks. Hook: :meth:`click` in place of :meth:`predict`."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"interactive"})

    @abstractmethod
    def click(self, image: NDArray[np.uint8], points: Tensor, labels: Tensor) -> Tensor:
        """Segment the clicked object.

        Args:
            image: (H, W, 3) uint8. Successive calls with the same array may reuse its embedding.
            points: (k, 2) float xy, in the photograph's pixels.
            labels: (k,) 1 for a click on the object, 0 for one beside it.

        Returns:
            (H, W) bool.
        """

    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        raise TypeError(f"{self.name} answers clicks only: call click")
