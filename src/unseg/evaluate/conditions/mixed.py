"""Training sets of which a share is protected, and the clean rest alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from unseg.datasets.samples import LazySamples, Sample, names_of, selected
from unseg.errors import UnsegError
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.clean import Clean
from unseg.evaluate.conditions.wrapper import Wrapper
from unseg.evaluate.problem import Problem


def chosen(names: Sequence[str], share: float, draw: int) -> list[int]:
    """Which images are protected: the first of an order that depends on names and draw alone.

    A larger share holds every image of a smaller one.

    Args:
        names: of the training set.
        share: 0..1; rounded to whole images.
        draw: seed of the order.

    Returns:
        Their places in the training set, ascending.
    """

    def key(name: str) -> bytes:
        return hashlib.sha256(f"{draw}/{name}".encode()).digest()

    order = sorted(range(len(names)), key=lambda i: key(names[i]))
    # 1 - 0.8 is a little less than 0.2.
    return sorted(order[: round(round(share, 9) * len(names))])


def _check(kind: str, share: float) -> float:
    if not 0 <= share <= 1:
        raise UnsegError(f"{kind}'s share is {share:g}: give 0 to 1")
    return share


class Mixed(Wrapper):
    """A condition on a share of the training set; the rest stays clean.

    Args:
        condition: what is applied.
        share: of the images that it is applied to, 0..1.
        draw: seed of the choice of images. The run's seed does not choose, so that
            :class:`Subset` is the rest of every such set.
    """

    name = "mixed"
    summary = "NAME@80: 80 % of the training images under a condition, the rest clean"

    def __init__(self, condition: Condition, share: float, *, draw: int = 0) -> None:
        super().__init__(condition)
        self.share, self.draw = _check(self.name, share), draw

    @property
    def label(self) -> str:
        return f"{self._condition.label}@{self.share * 100:g}%"

    def publish(self, samples: Sequence[Sample], problem: Problem, seed: int) -> Sequence[Sample]:
        names = names_of(samples)
        indices = chosen(names, self.share, self.draw)
        mine = selected(samples, indices)
        changed = self._condition.publish(mine, problem, seed) if indices else mine
        numbers = {index: number for number, index in enumerate(indices)}

        def read(index: int) -> Sample:
            return changed[numbers[index]] if index in numbers else samples[index]

        if isinstance(samples, LazySamples):
            return LazySamples(names, read)
        return [read(index) for index in range(len(names))]


class Subset(Wrapper):
    """The clean rest of a :class:`Mixed` set and nothing else.

    What the protected images of a mixed set add to the clean ones is its figure minus this one's.

    Args:
        share: of the images that are published, 0..1: the rest of a set mixed at ``1 - share``.
        draw: seed of the choice of images, the mixed set's.
    """

    name = "subset"
    summary = "clean-only@20: the clean 20 % alone, without the protected rest"

    def __init__(self, share: float, *, draw: int = 0) -> None:
        super().__init__(Clean())
        self.share, self.draw = _check(self.name, share), draw

    @property
    def label(self) -> str:
        return f"clean-only@{self.share * 100:g}%"

    def publish(self, samples: Sequence[Sample], problem: Problem, seed: int) -> Sequence[Sample]:
        left_out = set(chosen(names_of(samples), 1 - self.share, self.draw))
        if len(left_out) == len(samples):
            raise UnsegError(
                f"{self.label} leaves none of {len(samples)} training images: give a larger share"
            )
        return selected(samples, [i for i in range(len(samples)) if i not in left_out])
