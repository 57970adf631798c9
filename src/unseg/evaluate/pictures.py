"""Small pictures of what a victim answered, stored beside the results for the report.

Beside ``<result>.json`` lies ``<result>.png``: the answers to a few test images, side by side in
square cells. ``<task>-<data>-images.jpg`` and ``<task>-<data>-truth.png`` show the same images and
their truth, once for all runs on that data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg.datasets.samples import VOID, Sample
from unseg.evaluate.bench import Bench
from unseg.evaluate.problem import Instances, Panoptic, Prediction, Problem
from unseg.evaluate.results import Result
from unseg.evaluate.victims import Victim

Pictures = Literal["allowed", "all", "none"]
"""Of which data: what its licence allows to be shown, any, or none."""

CELL = 160
"""Side of a cell in pixels."""
SHOWN = 4
"""Test images shown, evenly spaced."""
CONFIDENT = 0.5
"""Objects below this score are not drawn."""

Colour = NDArray[np.uint8]
GROUND = (24, 24, 32)
PAPER = (255, 255, 255)
VOID_COLOUR = (96, 96, 96)
# Twelve hues of similar strength that stay apart on a dark ground (after Paul Tol's schemes).
PALETTE = np.array(
    [
        (238, 119, 51), (51, 187, 238), (0, 153, 136), (238, 51, 119), (221, 204, 119),
        (136, 34, 85), (153, 153, 51), (68, 119, 170), (204, 102, 119), (17, 119, 51),
        (170, 68, 153), (187, 187, 187),
    ],
    dtype=np.uint8,
)  # fmt: skip


def names(result: Result) -> tuple[str, str, str]:
    """File names of a result's answers, and of the photographs and truth they belong to."""
    task = result.config["task"]
    data = f"{task['name']}-{task['data_sha256'][:12]}"
    return f"{Path(result.file_name).stem}.png", f"{data}-images.jpg", f"{data}-truth.png"


def save_pictures(
    folder: Path, result: Result, bench: Bench, victim: Victim, whose: Pictures
) -> None:
    """Draw a trained victim's answers into ``folder``, if they may be shown."""
    if whose == "none" or (whose == "allowed" and not bench.task.pictures_allowed):
        return
    problem = bench.task.problem
    samples = chosen(bench.split.test)
    answers, images, truth = names(result)
    found = [draw(bench.task.show(victim, one), problem, one.image.shape[:2]) for one in samples]
    _save(strip(found, nearest=True), folder / answers)
    if not (folder / truth).is_file():
        strip([one.image for one in samples]).save(folder / images, quality=85)
        drawn = [draw(truth_of(one, problem), problem, one.image.shape[:2]) for one in samples]
        _save(strip(drawn, nearest=True), folder / truth)


def chosen(samples: Sequence[Sample], count: int = SHOWN) -> list[Sample]:
    """Evenly spaced samples."""
    count = min(count, len(samples))
    return [samples[(2 * i + 1) * len(samples) // (2 * count)] for i in range(count)]


def truth_of(sample: Sample, problem: Problem) -> Prediction:
    """A sample's truth in the form of an answer."""
    import torch

    if problem.kind == "semantic" or (sample.instances is None and sample.boxes is None):
        return torch.from_numpy(sample.class_map.astype(np.int64))
    boxes = torch.from_numpy(sample.object_boxes)
    categories = sample.categories
    if categories is None:
        categories = np.zeros(len(boxes), dtype=np.int64)
    masks = None
    if sample.instances is not None and problem.kind != "detection":
        numbers = np.arange(1, len(categories) + 1)[:, None, None]
        masks = torch.from_numpy(sample.instances[None] == numbers)
    scores = torch.ones(len(boxes))
    return Instances(boxes, scores, torch.from_numpy(categories), masks)


def draw(answer: Prediction, problem: Problem, size: tuple[int, ...]) -> Colour:
    """An answer in flat colours.

    Classes have a colour each, of a binary problem the second alone, and a first class named
    background has the ground's; objects have colours in turn.

    Args:
        answer: of the victim, or the truth.
        problem: what was asked.
        size: (H, W) of the photograph.

    Returns:
        (H, W, 3) uint8.
    """
    canvas = np.full((*size[:2], 3), GROUND, dtype=np.uint8)
    if isinstance(answer, Instances):
        _draw_instances(canvas, answer)
    elif isinstance(answer, Panoptic):
        segments = answer.segments.numpy()
        for number, category in enumerate(answer.categories.tolist(), start=1):
            if category in problem.things:
                canvas[segments == number] = PALETTE[(number - 1) % len(PALETTE)]
    else:
        classes = answer.numpy()
        ground = problem.binary or problem.classes[0] == "background"
        for label in np.unique(classes):
            if label == VOID:
                canvas[classes == label] = VOID_COLOUR
            elif label or not ground:
                canvas[classes == label] = PALETTE[(label - ground) % len(PALETTE)]
    return canvas


def _draw_instances(canvas: Colour, found: Instances) -> None:
    # The least certain first, so that the most certain lies on top.
    order = [i for i in found.scores.argsort().tolist() if found.scores[i] >= CONFIDENT]
    for number, index in enumerate(order):
        colour = PALETTE[number % len(PALETTE)]
        if found.masks is not None:
            canvas[found.masks[index].numpy()] = colour
            continue
        left, top, right, bottom = (round(x) for x in found.boxes[index].tolist())
        width = max(1, min(canvas.shape[:2]) // 60)
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), colour.tolist(), width)


def strip(pictures: Sequence[Colour], *, nearest: bool = False) -> Image.Image:
    """Pictures side by side, each centred in a square cell.

    Args:
        pictures: (H, W, 3) uint8 of any size.
        nearest: for flat colours, which must not be mixed.
    """
    sheet = Image.new("RGB", (CELL * len(pictures), CELL), PAPER)
    for index, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        scale = CELL / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        method = Image.Resampling.NEAREST if nearest else Image.Resampling.BOX
        shown = Image.fromarray(picture).resize(size, method)
        sheet.paste(shown, (index * CELL + (CELL - size[0]) // 2, (CELL - size[1]) // 2))
    return sheet


def cells_of(path: Path) -> list[Image.Image]:
    """The square cells of a strip."""
    with Image.open(path) as sheet:
        picture = sheet.convert("RGB")
    side = picture.height
    return [picture.crop((left, 0, left + side, side)) for left in range(0, picture.width, side)]


def _save(sheet: Image.Image, path: Path) -> None:
    # Flat colours: a palette keeps a picture at a few kilobytes.
    sheet.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
