"""Conditions: what the training images become. A new one is one file and one line here.

``unseg`` is not in the dictionary because it needs a generator: :class:`Unseg` takes one.
"""

from __future__ import annotations

from collections.abc import Callable

from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.clean import Clean
from unseg.evaluate.conditions.pattern import Pattern
from unseg.evaluate.conditions.uniform import Uniform
from unseg.evaluate.conditions.unseg import Unseg

BASELINES: dict[str, Callable[..., Condition]] = {
    Clean.name: Clean,
    Uniform.name: Uniform,
    Pattern.name: Pattern,
}

__all__ = ["BASELINES", "Condition", "Unseg"]
