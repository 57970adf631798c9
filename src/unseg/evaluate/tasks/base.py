"""What every task offers: its data, and how a victim's predictions are scored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

import torch
from torch import Tensor

from unseg.datasets.samples import LazySamples, Sample, Split, names_of, selected
from unseg.errors import UnsegError
from unseg.evaluate.problem import Prediction, Problem
from unseg.evaluate.settings import Configured

if TYPE_CHECKING:
    from unseg.evaluate.victims import Victim

Part = Literal["test", "val"]
T = TypeVar("T")


class Task(Configured):
    """One file a task. Hooks: :meth:`load` reads the data, :meth:`score` measures.

    ``problem`` says what a victim is asked; ``folder`` where the data lies below ``--data``.

    ``part="test"`` trains on all training images and tests on the test images. ``part="val"``
    never looks at the test images: it holds every fifth training image out and tests on those, so
    schedules, baselines and generators can be tuned without touching the figures that count.
    """

    metric: ClassVar[str]
    """Name of the figure in :meth:`score` that retention is computed from."""
    floor: ClassVar[float]
    """A victim whose clean training stays below this figure measures nothing."""
    folder: ClassVar[str]
    """The data set's folder below the root that ``--data`` names."""
    pictures_allowed: ClassVar[bool] = False
    """Whether the data's licence lets photographs lie beside published results."""
    problem: Problem

    def settings(self) -> dict[str, Any]:
        """What the constructor set, such as how many images are used; part of a result's key."""
        # The problem of a task that learns its classes from the data is no setting.
        return {k: v for k, v in super().settings().items() if k != "problem"}

    @abstractmethod
    def load(self, root: Path, part: Part = "test") -> Split:
        """Read the data.

        Args:
            root: the data set's folder.
            part: which images to test on.

        Raises:
            UnsegError: when the folder does not have the task's layout.
        """

    def test(self, victim: Victim, samples: Sequence[Sample]) -> dict[str, float]:
        """Ask a trained victim about clean samples and score the answers.

        Of several processes the first alone does this: a metric must not wait for the others.
        Tasks that talk with the victim (clicks) override this.
        """
        return self.score(victim.answers(samples))

    def show(self, victim: Victim, sample: Sample) -> Prediction:
        """A trained victim's answer to one sample, for a picture."""
        return victim.predict(sample.image)

    @abstractmethod
    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        """Score predictions over the test samples; keys include :attr:`metric`."""


@overload
def hold_out(  # type: ignore[overload-overlap]
    samples: LazySamples, every: int = 5
) -> tuple[LazySamples, LazySamples]: ...
@overload
def hold_out(samples: Sequence[Sample], every: int = 5) -> tuple[list[Sample], list[Sample]]: ...
def hold_out(samples: Sequence[Sample], every: int = 5) -> tuple[Sequence[Sample], ...]:
    """Split samples sorted by name: (kept, every ``every``-th); lazy samples stay lazy."""
    names = names_of(samples)
    order = sorted(range(len(names)), key=names.__getitem__)
    kept = [index for i, index in enumerate(order) if i % every]
    return selected(samples, kept), selected(samples, order[::every])


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many of the items, evenly spaced, in their order; reads no other lazy sample.

    Raises:
        UnsegError: when not even one is asked for.

    Example:
        >>> evenly("abcdef", 3)
        ['a', 'c', 'e']
    """
    if most < 1:
        raise UnsegError(f"{most} of {len(items)} images cannot be used: give at least 1")
    count = min(most, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def foreground_scores(pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
    """Binary segmentation figures over all pixels of all test images together.

    Args:
        pairs: ((H, W) class map at the photograph's size, 1 is foreground; sample).

    Returns:
        ``iou`` of the foreground, ``background_iou``, ``dice``, ``precision`` and ``recall``.
    """
    from torchmetrics.classification import BinaryConfusionMatrix

    matrix = BinaryConfusionMatrix(sync_on_compute=False)
    for found, sample in pairs:
        assert isinstance(found, Tensor)
        matrix.update((found == 1).flatten().int(), torch.from_numpy(sample.mask).flatten().int())
    (tn, fp), (fn, tp) = matrix.compute().double().tolist()

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole else 0.0

    return {
        "iou": ratio(tp, tp + fp + fn),
        "background_iou": ratio(tn, tn + fp + fn),
        "dice": ratio(2 * tp, 2 * tp + fp + fn),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
    }
