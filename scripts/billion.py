"""A billion images on paper: machines, days and storage from the measured figures.

    python scripts/billion.py docs/performance.json

Figures come from ``unseg benchmark``; what is assumed is said in the table, and is an option.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from unseg.report.performance import FOUND

#: Images of the plan.
IMAGES = 1_000_000_000


def rows(performance: dict, price: float, month: float, cores: int, mtbf: float) -> list[str]:
    """A line of the table for each way to protect them.

    Args:
        performance: content of docs/performance.json.
        price: of an hour of a core.
        month: price of a gigabyte and month.
        cores: that work at the same time.
        mtbf: hours between failures of a machine of 16 cores.
    """
    lines = [
        "| images | core hours | days on "
        f"{cores:,} cores | price of the cores | machines that fail meanwhile | storage | price a "
        "month |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in performance["cases"]:
        seconds = case["row_cpu"]["median"]
        hours = IMAGES * seconds / 3600
        days = hours / cores / 24
        failures = days * 24 * (cores / 16) / mtbf
        terabytes = IMAGES * case["bytes"] / 1e12
        masks = f"masks {FOUND[case['masks']]}"
        width, height = case["size"]
        lines.append(
            f"| {width} x {height}, {case['format']}, {masks} | {hours / 1e6:.2f} million | "
            f"{days:.0f} | {hours * price:,.0f} $ | {failures:,.0f} | {terabytes:,.0f} TB | "
            f"{terabytes * 1000 * month:,.0f} $ |"
        )
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("performance", type=Path)
    parser.add_argument("--price", type=float, default=0.02, help="$ for an hour of a core")
    parser.add_argument("--month", type=float, default=0.02, help="$ for a gigabyte and month")
    parser.add_argument("--cores", type=int, default=4000)
    parser.add_argument("--mtbf", type=float, default=720.0, help="hours, machine of 16 cores")
    given = parser.parse_args()
    performance = json.loads(given.performance.read_text())
    table = rows(performance, given.price, given.month, given.cores, given.mtbf)
    print("\n".join(table))  # noqa: T201


if __name__ == "__main__":
    main()
