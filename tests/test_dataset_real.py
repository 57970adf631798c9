"""The development data sets, in their own layouts and converted to others: a few images of each."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from dataset_layouts import outline
from unseg.datasets.coco import read_instances, read_panoptic
from unseg.datasets.voc import read_voc
from unseg.protect.manifest import Manifest

Cli = Callable[..., tuple[int, str, str]]
SEVERAL = 4


def some(root: Path, folder: Path, names: list[str]) -> Path:
    """A few files of a data set, in a folder of their own."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, folder / name)
    return folder


def checked(root: Path, out: Path, cli: Cli, *options: object) -> dict[str, np.ndarray]:
    """Protect and verify a data set; the stored masks by source."""
    code, text, err = cli("dataset", root, "-o", out, *options)
    assert code in (0, 3), text + err
    assert cli("verify", out, "--originals", root)[0] == 0
    found = {}
    for one in Manifest(out).read()[0]:
        assert one.status == "protected" and one.mask_source == "annotations"
        with Image.open(out / str(one.mask)) as image:
            found[one.source] = np.asarray(image).astype(bool)
    return found


def people(data: Path, folder: Path) -> Path:
    """Some photographs of Penn-Fudan with both kinds of annotations."""
    root = data / "pennfudan"
    for part in ("train", "test"):
        count = SEVERAL if part == "train" else 1
        for kind in ("instances", "panoptic"):
            body = json.loads((root / f"annotations/{kind}_{part}.json").read_text())
            body["images"] = body["images"][:count]
            kept = {one["id"] for one in body["images"]}
            body["annotations"] = [one for one in body["annotations"] if one["image_id"] in kept]
            file = folder / f"annotations/{kind}_{part}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(body))
            some(root, folder, [f"images/{one['file_name']}" for one in body["images"]])
            if kind == "panoptic":
                maps = [one["file_name"] for one in body["annotations"]]
                some(root, folder, [f"annotations/panoptic_{part}/{name}" for name in maps])
    return folder


@pytest.mark.parametrize("layout", ["coco", "coco-panoptic"])
def test_people(layout: str, data_dir: Path, cli: Cli, tmp_path: Path) -> None:
    root, out = people(data_dir, tmp_path / "in"), tmp_path / "out"
    checked(root, out, cli, "--layout", layout)
    for part in ("train", "test"):
        for kind, read in (("instances", read_instances), ("panoptic", read_panoptic)):
            before, after = (
                read(place / f"annotations/{kind}_{part}.json", place / "images")
                for place in (root, out)
            )
            for one, other in zip(before.samples, after.samples, strict=True):
                for truth in ("mask", "labels", "instances", "categories", "boxes"):
                    np.testing.assert_array_equal(getattr(one, truth), getattr(other, truth))
                change = np.abs(one.image.astype(int) - other.image.astype(int)).max()
                assert (0 < change <= 8) if part == "train" else not change


def test_streets(data_dir: Path, cli: Cli, tmp_path: Path) -> None:
    root = data_dir / "camvid"
    names = (root / "ImageSets/Segmentation/train.txt").read_text().split()[:SEVERAL]
    files = [f"JPEGImages/{name}.jpg" for name in names]
    files += [f"SegmentationClass/{name}.png" for name in names]
    part, out = some(root, tmp_path / "in", [*files, "labels.txt"]), tmp_path / "out"
    lists = part / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\r\n".join(names) + "\r\n")
    checked(part, out, cli, "--classes", "car,Pedestrian")
    before, after = read_voc(part, "train"), read_voc(out, "train")
    for one, other in zip(before.samples, after.samples, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("dsb2018", "train/"), ("facades", ""), ("lungs", ""), ("polyps", ""), ("roads", "")],
)
def test_pairs(name: str, folder: str, data_dir: Path, cli: Cli, tmp_path: Path) -> None:
    root = data_dir / name
    masks = sorted((root / f"{folder}masks").iterdir())[:SEVERAL]
    images = [next((root / f"{folder}images").glob(f"{mask.stem}.*")) for mask in masks]
    files = [path.relative_to(root).as_posix() for path in (*images, *masks)]
    found = checked(some(root, tmp_path / "in", files), tmp_path / "out", cli)
    for mask in masks:
        source = next(one for one in found if Path(one).stem == mask.stem)
        with Image.open(mask) as image:
            labels = np.asarray(image)
        np.testing.assert_array_equal(found[source], labels > 0)


def test_people_in_every_other_layout(data_dir: Path, cli: Cli, tmp_path: Path) -> None:
    root = data_dir / "pennfudan"
    reading = read_instances(root / "annotations/instances_train.json", root / "images")
    samples = [reading.samples[i] for i in range(SEVERAL)]
    every = [convert(tmp_path, layout, samples) for layout in CONVERTED]
    for layout, place in zip(CONVERTED, every, strict=True):
        found = checked(place, tmp_path / f"{layout}-out", cli, "--layout", layout)
        assert len(found) == SEVERAL
        for name, mask in found.items():
            sample = next(one for one in samples if one.name in name)
            truth = sample.mask if layout != "yolo" else boxed(sample)
            if layout in ("yolo-seg", "labelme"):
                # An outline through the middles of pixels may take or leave those at the border.
                kernel = np.ones((3, 3), np.uint8)
                inner, outer = (
                    change(truth.astype(np.uint8), kernel) > 0 for change in (cv2.erode, cv2.dilate)
                )
                assert mask[inner].all() and not mask[~outer].any(), (layout, name)
            else:
                np.testing.assert_array_equal(mask, truth)


CONVERTED = ("yolo", "yolo-seg", "labelme", "ade20k", "cityscapes")


def boxed(sample: object) -> np.ndarray:
    """The boxes of people, which the stand-in for the base SAM fills."""
    mask = np.zeros_like(sample.mask)  # type: ignore[attr-defined]
    for left, top, right, bottom in np.asarray(sample.boxes).astype(int):  # type: ignore[attr-defined]
        mask[top:bottom, left:right] = True
    return mask


def convert(folder: Path, layout: str, samples: list) -> Path:  # type: ignore[type-arg]
    """Write people in a layout, as its tools do."""
    root = folder / layout

    def write(name: str, data: str | np.ndarray) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, str):
            (root / name).write_text(data)
        else:
            Image.fromarray(data).save(root / name, quality=95)

    for one in samples:
        height, width = one.mask.shape
        outlines = [outline(one.instances == i) for i in range(1, len(one.categories) + 1)]
        if layout.startswith("yolo"):
            write(f"images/train/{one.name}.jpg", one.image)
            rows = []
            for points, (left, top, right, bottom) in zip(outlines, one.boxes, strict=True):
                shares = (points / (width, height)).ravel().tolist()
                if layout == "yolo":
                    shares = [(left + right) / 2 / width, (top + bottom) / 2 / height,
                              (right - left) / width, (bottom - top) / height]  # fmt: skip
                rows.append(" ".join(["0", *(f"{value:.6f}" for value in shares)]))
            write(f"labels/train/{one.name}.txt", "\n".join(rows))
            body = {"path": "/content/set", "train": "images/train", "val": "images/train",
                    "names": ["person"]}  # fmt: skip
            write("data.yaml", yaml.safe_dump(body))
        elif layout == "labelme":
            write(f"{one.name}.jpg", one.image)
            shapes = [{"label": "person", "points": points.tolist(), "shape_type": "polygon"}
                      for points in outlines]  # fmt: skip
            data = base64.b64encode((root / f"{one.name}.jpg").read_bytes()).decode()
            body = {"imagePath": f"{one.name}.jpg", "shapes": shapes, "imageData": data,
                    "imageHeight": height, "imageWidth": width}  # fmt: skip
            write(f"{one.name}.json", json.dumps(body))
        elif layout == "ade20k":
            write(f"images/training/{one.name}.jpg", one.image)
            write(f"annotations/training/{one.name}.png", one.mask.astype(np.uint8) * 13)
        else:
            stem = f"x/{one.name}_000000_000019"
            write(f"leftImg8bit/train/{stem}_leftImg8bit.png", one.image)
            write(f"gtFine/train/{stem}_gtFine_labelIds.png", one.mask.astype(np.uint8) * 24)
            ids = np.where(one.instances > 0, 24000 + one.instances, 0).astype(np.uint16)
            write(f"gtFine/train/{stem}_gtFine_instanceIds.png", ids)
    return root
