"""Suites: which runs make a table. A new one is one file and one line here."""

from __future__ import annotations

from unseg.evaluate.suites.base import Cell, Grid, Recipe, Suite
from unseg.evaluate.suites.gpu import GPU
from unseg.evaluate.suites.paper import PAPER
from unseg.evaluate.suites.real import FRONTIER, REAL, SCHEDULED
from unseg.evaluate.suites.smoke import SMOKE

SUITES: dict[str, Suite] = {
    suite.name: suite for suite in (REAL, SCHEDULED, FRONTIER, GPU, SMOKE, PAPER)
}

__all__ = ["SUITES", "Cell", "Grid", "Recipe", "Suite"]
