"""The model card of a salience head: curves, examples and facts, made from a run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unseg.files import write_atomically
from unseg.models.weights.io import read_tensors
from unseg.provenance import sha256_file
from unseg.report.card import item, origin, read_log, read_record, settings_table
from unseg.train.salience.fit import WEIGHTS

SMOOTH = 10
"""Steps averaged for one point of the loss' curve."""


def write_card(run: Path) -> Path:
    """Write ``README.md`` and ``curves.png`` into a finished run's folder; returns the former."""
    log = read_log(run)
    _curves(log, run / "curves.png")
    card = run / "README.md"
    write_atomically(card, _text(run / WEIGHTS, log).encode())
    return card


def _curves(log: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
    steps = [line for line in log if line["phase"] == "head"]
    groups = [steps[i : i + SMOOTH] for i in range(0, len(steps), SMOOTH)]
    losses = [sum(line["loss"] for line in group) / len(group) for group in groups]
    left.plot([group[-1]["step"] for group in groups], losses)
    points = [(line["step"], line["iou"]) for line in log if line["phase"] == "validation"]
    right.plot(*zip(*points, strict=True), marker="o")
    for axis, title in ((left, "loss"), (right, "IoU, validation pictures")):
        axis.set_title(title)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _text(weights: Path, log: list[dict[str, Any]]) -> str:
    facts = read_tensors(weights)[1]
    settings = json.loads(facts["settings"])
    training = read_record({"training": json.loads(facts["training"])}, weights)
    last = max(line["step"] for line in log)
    items = "\n".join(
        [
            item(f"File: {weights.stat().st_size / 1e6:.2f} MB, sha256 `{sha256_file(weights)}`"),
            origin(training),
            item(
                f"Weights after {last} steps. IoU on whole validation pictures "
                f"{training['validation_iou']:.3f}, at a probability of one half."
            ),
        ]
    )
    return f"""# Model card: salience head

Finds what stands out in a photograph, for protection without masks: a head of
{settings["width"]} channels on the frozen encoder of {json.loads(settings["base"])["name"]} at
{settings["image_size"]} pixels. It learned from cut-outs pasted into scenes.

{items}

![Loss and IoU](curves.png)

## Limits

- What stands out is not always what a trainer labels; look at the masks (`unseg masks`), or give
  your own.
- It learned from photographs. On microscopy it finds next to nothing, and the base's own
  proposals are used there.

## Settings

{settings_table(training["settings"])}
"""
