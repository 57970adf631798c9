"""The type checker behind the shapes in annotations, and where it looks."""

from __future__ import annotations

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

PACKAGES = [
    "unseg.images.view",
    "unseg.noise",
    "unseg.models.generator",
    "unseg.models.geometry",
    "unseg.models.prompts",
    "unseg.models.propose",
    "unseg.models.salience",
    "unseg.models.sam",
    "unseg.models.surrogate",
    "unseg.models.textures",
    "unseg.models.waves",
    "unseg.protect.core",
    "unseg.protect.judge",
    "unseg.protect.visibility",
    "unseg.ssimulacra2",
    "unseg.train.losses",
]
"""Modules on arrays, and everything below them, whose annotations hold in every test.

What hands models on is not among them: tests give it stand-ins, which are of another class.
"""

# An int passes for a float, as for mypy, and numpy's numbers for Python's: shapes matter here.
NUMBERS = {float: float | int | np.integer | np.floating, int: int | np.integer}

check = beartype(conf=BeartypeConf(hint_overrides=FrozenDict(NUMBERS)))
