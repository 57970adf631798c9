"""How strong hand-made waves may be until they show; the table is in README.md beside this.

    python docs/experiments/amplitude.py --data data -o docs/experiments/amplitude.json

Square waves of several periods and hues inside the true masks, at ``--visibility normal``, on some
photographs of Penn-Fudan (the people) and of CamVid (everything), of the validation part's
training images.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from unseg.datasets.samples import Sample
from unseg.evaluate.build import build_task
from unseg.evaluate.conditions.stripes import StripesInMask
from unseg.evaluate.problem import Problem
from unseg.noise import Budget
from unseg.protect.judge import visibility_score
from unseg.protect.visibility import soften

BUDGET = Budget(8, 0)
PEOPLE = Problem("semantic", ("background", "person"))
FOLDERS = {"person": "pennfudan", "semantic": "camvid"}
PERIODS = (8, 10, 12, 16)
HUES = ((1, 0, -1), (1, 0, 0), (0, 0, 1), (0.5, 0, 1))
BRIGHT = ((-0.6, 0.6, 1), (0.25, -0.25, 1), (1, -1, 1))
"""Hues that change the brightness; their green is as they say."""


def photographs(data: Path, task: str, count: int = 12) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Photographs with what is protected of them."""
    train = build_task(task).load(data / FOLDERS[task], "val").train
    chosen = [train[i] for i in np.linspace(0, len(train) - 1, count).astype(int)]
    whole = task == "semantic"
    return [(one.image, one.mask | whole) for one in chosen]


def measured(made: StripesInMask, shown: list[tuple[NDArray[Any], NDArray[Any]]]) -> dict[str, Any]:
    """Scores of the whole bound, and what is left of it at ``normal``."""
    made.prepare([], PEOPLE, 0)
    scores, left = [], []
    for number, (image, mask) in enumerate(shown):
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).float()
        sample = Sample(str(number), image, mask)
        noise = made.noise(pixels, sample, made.generator(sample, 0))
        whole = (pixels + 8 * noise).round().clamp(0, 255).permute(1, 2, 0).byte().numpy()
        scores.append(visibility_score(image, whole, mask))
        kept = (8 * soften(noise, image, mask, BUDGET, "normal").noise).round().abs()
        left.append(kept[:, torch.from_numpy(mask)].mean(1).numpy())
    return {
        "period": made.period, "hue": made.hue, "balanced": made.balanced,
        "score_of_the_whole_bound": round(float(np.mean(scores)), 1),
        "steps_left": [round(float(one), 2) for one in np.mean(left, axis=0)],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    found: dict[str, list[dict[str, Any]]] = {}
    for task in FOLDERS:
        shown = photographs(asked.data, task)
        found[task] = [
            measured(StripesInMask(period=period, hue=hue, balanced=balanced), shown)
            for hues, balanced in ((BRIGHT, False), (HUES, True))
            for hue in hues
            for period in PERIODS
        ]
    asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
