"""What is done again when workers die: a simulation, and what it says for commit intervals.

    python scripts/simulate_failures.py -o docs/scale-failures.json

A worker does images one after the other and commits them in units. It dies at random, with a mean
time between failures; what was not committed is then done again, after a pause in which it is
started anew and loads its model. Each cell is simulated with its own recorded seed, and has the
exact expectation beside it, which the simulation has to meet.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path
from typing import Any

#: Seconds an image: 1024 pixels with a mask on a machine of two processors (docs/performance.md).
IMAGE = 0.62
#: Seconds from a death to work again: a new process, and its model.
RESTART = 30.0
#: Seconds a commit: some writes that are flushed to disk, or answers of an object store.
COMMIT = 0.1
#: Hours between failures of a worker: a machine that is sold cheaply and taken back, a bad one, a
#: usual one.
MTBF = {"1 hour": 1.0, "1 day": 24.0, "30 days": 720.0}
#: Images a unit: one by one; what Ray is handed; files at an address; shards.
UNITS = (1, 16, 64, 1_000, 10_000, 100_000)
#: Images that are simulated in each cell, at least, and units.
IMAGES, LEAST = 1_000_000, 400


def expected(unit: float, mean: float) -> tuple[float, float]:
    """Failures a unit, and seconds that they lose: what exponential times between them say.

    Args:
        unit: seconds that one takes, its commit included.
        mean: seconds between failures.
    """
    failures = math.expm1(min(unit / mean, 700.0))
    return failures, failures * mean - unit


def simulate(images: int, mean: float, seed: int) -> dict[str, Any]:
    """Units of so many images until enough are done.

    Args:
        images: of a unit.
        mean: seconds between failures.
        seed: of the random times.

    Returns:
        Shares of the time that images alone take, in percent; a unit that would be repeated over a
        thousand times is not simulated.
    """
    unit = images * IMAGE + COMMIT
    failures, lost = expected(unit, mean)
    many = max(LEAST, IMAGES // images)
    useful = many * images * IMAGE
    found: dict[str, Any] = {
        "images_per_unit": images, "mtbf_hours": mean / 3600, "seed": seed, "units": many,
        "expected_redone_percent": round(100 * many * lost / useful, 4),
        "commit_percent": round(100 * many * COMMIT / useful, 4),
    }  # fmt: skip
    if failures > 1000:
        return found | {"redone_percent": None, "total_percent": None}
    chance = random.Random(seed)
    redone, deaths = 0.0, 0
    for _ in range(many):
        while (died := chance.expovariate(1 / mean)) < unit:
            redone += died
            deaths += 1
    total = redone + deaths * RESTART + many * COMMIT
    return found | {
        "failures": deaths,
        "redone_percent": round(100 * redone / useful, 4),
        "restart_percent": round(100 * deaths * RESTART / useful, 4),
        "total_percent": round(100 * total / useful, 4),
    }


def best_unit(mean: float) -> float:
    """Images a unit at which commits cost as much as what is done again (Young, 1974)."""
    return math.sqrt(2 * COMMIT * mean) / IMAGE


def table(cells: list[dict[str, Any]]) -> str:
    """The cells as Markdown: what is lost, in percent of the time that images alone take."""
    lines = [
        "| images a commit | " + " | ".join(f"a death in {name}" for name in MTBF) + " |",
        "|---|" + "---|" * len(MTBF),
    ]
    for images in UNITS:
        row = [one for one in cells if one["images_per_unit"] == images]
        texts = [
            "never done" if one["total_percent"] is None
            else f"{one['total_percent']:.2f} ({one['redone_percent']:.2f})"
            for one in row
        ]  # fmt: skip
        lines.append(f"| {images:,} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def main() -> None:
    """Simulate all cells, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    output = parser.parse_args().output
    cells = [
        simulate(images, hours * 3600, seed=100 * place + number)
        for place, images in enumerate(UNITS)
        for number, hours in enumerate(MTBF.values())
    ]
    content = {
        "seconds_per_image": IMAGE, "restart_seconds": RESTART, "commit_seconds": COMMIT,
        "best_images_per_unit": {n: round(best_unit(h * 3600)) for n, h in MTBF.items()},
        "cells": cells,
    }  # fmt: skip
    output.write_text(json.dumps(content, indent=1) + "\n")
    print(table(cells))  # noqa: T201
    print(content["best_images_per_unit"])  # noqa: T201


if __name__ == "__main__":
    main()
