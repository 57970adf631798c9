"""Engines: who does the work of a run. A new one is one file and one line here."""

from __future__ import annotations

from unseg.protect.engines.base import Engine, ItemWorker
from unseg.registry import Registry

ENGINES: Registry[Engine] = Registry(
    "engine",
    Engine,
    {
        "serial": "unseg.protect.engines.serial:Serial",
        "ray": "unseg.protect.engines.ray_data:RayData",
    },
)
"""Every engine by its name, open to users as ``module:Name``."""

DEFAULT_ENGINE = "serial"

__all__ = ["DEFAULT_ENGINE", "ENGINES", "Engine", "ItemWorker"]
