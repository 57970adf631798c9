"""The type checker behind the shapes in annotations, and where it looks."""

from __future__ import annotations

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

PACKAGES = ["unseg.noise", "unseg.models", "unseg.train.losses"]
"""Modules, and everything below them, whose annotations hold in every test."""

# An int passes for a float, as for mypy, and numpy's numbers for Python's: shapes matter here.
NUMBERS = {float: float | int | np.integer | np.floating, int: int | np.integer}

check = beartype(conf=BeartypeConf(hint_overrides=FrozenDict(NUMBERS)))
