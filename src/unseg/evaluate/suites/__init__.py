"""Suites: which runs make a table. A new one is one file and one line here."""

from __future__ import annotations

from unseg.evaluate.suites.base import Cell, Grid, Plan, Recipe
from unseg.evaluate.suites.paper import PAPER

SUITES: dict[str, Plan] = {PAPER.name: PAPER}

__all__ = ["SUITES", "Cell", "Grid", "Plan", "Recipe"]
