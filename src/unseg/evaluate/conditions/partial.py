"""One class protected, the others as they are: does that class alone fall?"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unseg.datasets.samples import Sample, mapped
from unseg.errors import UnsegError
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.wrapper import Wrapper
from unseg.evaluate.problem import Problem
from unseg.noise import Budget


def class_index(klass: str, problem: Problem) -> int:
    """Index of a class given by name (any case) or number.

    Raises:
        UnsegError: when the problem has no such class.
    """
    names = [name.lower() for name in problem.classes]
    if klass.lower() in names:
        return names.index(klass.lower())
    if klass.isdecimal() and int(klass) < len(names):
        return int(klass)
    raise UnsegError(
        f"there is no class {klass} here: give a number below {len(names)} or one of "
        f"{', '.join(problem.classes)}"
    )


def class_mask(sample: Sample, index: int) -> NDArray[np.bool_]:
    """(H, W) bool, the pixels of a class, from labels, or from instances and their categories."""
    if sample.labels is None and sample.instances is not None and sample.categories is not None:
        return np.isin(sample.instances, np.nonzero(sample.categories == index)[0] + 1)
    return sample.class_map == index


class OneClass(Wrapper):
    """A condition inside one class only; nothing changes outside it.

    The published mask is the class's, so the bound is measured there; what the victim learns from
    stays as it was.

    Args:
        condition: what is applied.
        klass: the class's name or number.
    """

    name = "one-class"
    summary = "NAME[Car]: a condition inside one class only"

    def __init__(self, condition: Condition, klass: str | int) -> None:
        inner = copy.copy(condition)
        inner.budget = Budget(condition.budget.foreground, 0.0)
        super().__init__(inner)
        self.klass = str(klass)

    @property
    def label(self) -> str:
        return f"{self._condition.label}[only {self.klass}]"

    def publish(self, samples: Sequence[Sample], problem: Problem, seed: int) -> Sequence[Sample]:
        index = class_index(self.klass, problem)
        narrowed = mapped(
            samples, lambda sample: self.masked(sample, class_mask(sample, index), problem)
        )
        return self._condition.publish(narrowed, problem, seed)
