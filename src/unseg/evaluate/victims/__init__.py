"""Victims: what a thief would train. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from unseg.evaluate.victims.base import Victim
from unseg.evaluate.victims.unet import UNetVictim

VICTIMS: dict[str, Callable[..., Victim]] = {UNetVictim.name: UNetVictim}

__all__ = ["VICTIMS", "Victim"]
