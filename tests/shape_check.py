"""The type checker behind the shapes in annotations, and where it looks."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

PACKAGES = ["unseg.noise", "unseg.models", "unseg.train.losses"]
"""Modules, and everything below them, whose annotations hold in every test."""

#: An int passes for a float, as it does for mypy.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
