"""A protected data set loads in code that knows nothing of this package, and in the evaluation's.

The readers here are written as a user writes them; what they return is compared before and after.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import layouts
from dataset_layouts import coco, labelme, pairs, panoptic, voc, yolo
from unseg.datasets import Reading
from unseg.datasets.ade20k import read_ade20k
from unseg.datasets.cityscapes import read_cityscapes
from unseg.datasets.coco import read_instances, read_panoptic
from unseg.datasets.pairs import read_pairs
from unseg.datasets.voc import read_voc

Cli = Callable[..., tuple[int, str, str]]
BOUND = 8


def rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def close(one: np.ndarray, other: np.ndarray, bound: float = BOUND) -> None:
    """The same picture: no sample differs by more than the bound, and some differ."""
    difference = np.abs(one.astype(int) - other.astype(int))
    assert 0 < difference.max() <= bound


def test_coco_in_the_fields_own_api(cli: Cli, tmp_path: Path) -> None:
    from faster_coco_eval.core import COCO

    root, out = coco(tmp_path / "in"), tmp_path / "out"
    assert cli("dataset", root, "-o", out)[0] == 0
    for part in ("train2017", "val2017"):
        name = f"annotations/instances_{part}.json"
        before, after = COCO(str(root / name)), COCO(str(out / name))
        assert before.dataset["annotations"] == after.dataset["annotations"]
        assert before.dataset["categories"] == after.dataset["categories"]
        assert before.dataset["info"] == after.dataset["info"]
        for one in before.imgs.values():
            new = after.loadImgs([one["id"]])[0]
            assert {**one, "file_name": ""} == {**new, "file_name": ""}
            image = rgb(out / part / new["file_name"])
            assert image.shape == (one["height"], one["width"], 3)
            for annotation in after.loadAnns(after.getAnnIds(imgIds=[one["id"]])):
                assert after.annToMask(annotation).shape == image.shape[:2]
        captions = f"annotations/captions_{part}.json"
        new = {one["file_name"] for one in json.loads((out / captions).read_text())["images"]}
        assert all((out / part / one).is_file() for one in new)
    assert (root / "README.md").read_bytes() == (out / "README.md").read_bytes()
    # Only the names changed: the files are the same but for them.
    text = (root / "annotations/instances_train2017.json").read_text()
    for n in (0, 1, 2):
        text = text.replace(f"{n:06d}.jpg", f"{n:06d}.png")
    assert (out / "annotations/instances_train2017.json").read_text() == text


def test_masks_of_coco_are_those_of_the_fields_own_api(tmp_path: Path) -> None:
    from faster_coco_eval.core import COCO

    from unseg.datasets.layouts import open_layout

    root = coco(tmp_path / "in")
    layout = open_layout(root)
    layout.survey()
    api = COCO(str(root / "annotations/instances_train2017.json"))
    for number in (0, 1, 2):
        one = layout.annotation(f"train2017/{number:06d}.jpg", (64, 48))
        assert one is not None
        whole = np.zeros((48, 64), bool)
        for annotation in api.imgToAnns[number]:
            whole |= api.annToMask(annotation) > 0
        # They differ where the outline runs through the middle of a pixel, which this one does.
        grown = cv2.dilate((one.labels > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert grown[whole].all() and ((one.labels > 0) != whole).mean() < 0.02
        if number == 1:
            np.testing.assert_array_equal(one.labels > 0, whole)


class VocSegmentation(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """As in the tutorials: names from the list, ``.jpg`` and ``.png`` behind them."""

    def __init__(self, root: Path, split: str) -> None:
        lists = root / "ImageSets" / "Segmentation" / f"{split}.txt"
        names = lists.read_text().split()
        self.images = [root / "JPEGImages" / f"{name}.jpg" for name in names]
        self.masks = [root / "SegmentationClass" / f"{name}.png" for name in names]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = Image.open(self.images[index]).convert("RGB")
        return torch.tensor(np.array(image)), torch.tensor(np.array(Image.open(self.masks[index])))


def test_voc_in_a_torch_dataset(cli: Cli, tmp_path: Path) -> None:
    root, out = voc(tmp_path / "in"), tmp_path / "out"
    code, text, _ = cli("dataset", root, "-o", out)
    assert code == 0 and "not lossless" in text
    before, after = VocSegmentation(root, "train"), VocSegmentation(out, "train")
    images, masks = next(iter(DataLoader(after, batch_size=4)))
    for i in range(4):
        image, mask = before[i]
        assert torch.equal(mask, masks[i])
        # JPEG at the highest quality, so a little over the bound.
        if i < 3:
            close(image.numpy(), images[i].numpy(), 3 * BOUND)
        else:
            assert torch.equal(image, images[i]), "a photograph without an object stays"


def test_voc_without_loss(cli: Cli, tmp_path: Path) -> None:
    root, out = voc(tmp_path / "in"), tmp_path / "out"
    code, text, _ = cli("dataset", root, "-o", out, "--format", "png")
    assert code == 0 and "rewritten: Annotations/2007_000000.xml" in text
    for path in sorted((root / "Annotations").glob("*.xml")):
        new = (out / "Annotations" / path.name).read_text()
        protected = path.stem in {"2007_000000", "2007_000001", "2007_000002"}
        suffix = "png" if protected else "jpg"
        assert new == path.read_text().replace(".jpg", f".{suffix}")
        assert (out / "JPEGImages" / f"{path.stem}.{suffix}").is_file()
    same(read_voc(root, "train"), read_voc(out, "train"))


class PairsDataset(Dataset[tuple[np.ndarray, np.ndarray]]):
    """Two folders, listed and sorted."""

    def __init__(self, root: Path) -> None:
        self.images = sorted((root / "images").iterdir())
        self.masks = sorted((root / "masks").iterdir())
        assert [path.stem for path in self.images] == [path.stem for path in self.masks]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return rgb(self.images[index]), np.asarray(Image.open(self.masks[index]))


def test_pairs_in_a_torch_dataset(cli: Cli, tmp_path: Path) -> None:
    root, out = pairs(tmp_path / "in"), tmp_path / "out"
    assert cli("dataset", root, "-o", out)[0] == 0
    before, after = PairsDataset(root / "train"), PairsDataset(out / "train")
    assert len(before) == len(after) == 4
    for i in range(3):
        close(before[i][0], after[i][0])
        np.testing.assert_array_equal(before[i][1], after[i][1])
    for line in (out / "pairs.lst").read_text().splitlines():
        assert all((out / name).is_file() for name in line.split())
    both = [
        read_pairs(place / "train/images", place / "train/masks", "pairs", name="disc")
        for place in (root, out)
    ]
    same(*both)


class YoloDataset:
    """As Ultralytics' loader looks for images and labels."""

    def __init__(self, file: Path, split: str) -> None:
        body = yaml.safe_load(file.read_text())
        self.names = body["names"]
        folder = file.parent / body.get("path", "") / body[split]
        known = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
        self.images = sorted(p for p in folder.iterdir() if p.suffix.lower() in known)

    def load(self, index: int) -> tuple[np.ndarray, list[list[float]]]:
        path = self.images[index]
        place = Path("/labels/".join(str(path).rsplit("/images/", 1))).with_suffix(".txt")
        rows = [[float(one) for one in line.split()] for line in place.read_text().splitlines()]
        return rgb(path), rows


@pytest.mark.parametrize("outlines", [True, False])
def test_yolo_as_its_loader_reads_it(outlines: bool, cli: Cli, tmp_path: Path) -> None:
    root, out = yolo(tmp_path / "in", outlines=outlines), tmp_path / "out"
    assert cli("dataset", root, "-o", out)[0] == 0
    before, after = (YoloDataset(place / "data.yaml", "train") for place in (root, out))
    assert before.names == after.names and len(after.images) == 4
    for i in range(4):
        (old, rows), (new, others) = before.load(i), after.load(i)
        assert rows == others
        if rows:
            close(old, new)
        else:
            np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("train", ["../train/images", "train/images", "lists/train.txt"])
def test_yolo_as_roboflow_and_lists_name_it(train: str, cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "in"
    for split, numbers in (("train", range(2)), ("valid", range(2, 3))):
        for n in numbers:
            layouts.save(layouts.photograph(n), root / split / "images" / f"a{n}_jpg.rf.0f.jpg")
            label = root / split / "labels" / f"a{n}_jpg.rf.0f.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("0 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6\n")
    (root / "lists").mkdir()
    lines = [f"./train/images/a{n}_jpg.rf.0f.jpg" for n in range(2)]
    (root / "lists/train.txt").write_text("\n".join(lines) + "\n")
    body = {"train": train, "val": "../valid/images", "nc": 1, "names": ["disc"]}
    (root / "data.yaml").write_text(yaml.safe_dump(body))
    code, text, _ = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 0 and "yolo-seg" in text and "train 2, val 1" in text
    listed = (tmp_path / "out/lists/train.txt").read_text().split()
    assert listed == [f"./train/images/a{n}_jpg.rf.0f.png" for n in range(2)]
    assert all((tmp_path / "out" / name).is_file() for name in listed)


def test_labelme_as_json(cli: Cli, tmp_path: Path) -> None:
    root, out = labelme(tmp_path / "in"), tmp_path / "out"
    assert cli("dataset", root, "-o", out)[0] == 0
    for path in sorted(root.glob("*.json")):
        before, after = (json.loads((at / path.name).read_text()) for at in (root, out))
        for key in ("shapes", "version", "imageHeight", "imageWidth", "flags"):
            assert before[key] == after[key]
        old, new = rgb(root / before["imagePath"]), rgb(out / after["imagePath"])
        if before["shapes"]:
            close(old, new)
        else:
            np.testing.assert_array_equal(old, new)


def same(before: Reading, after: Reading, bound: float = BOUND) -> None:
    """Readings of the evaluation: equal truth, images within the bound."""
    assert before.classes == after.classes and before.things == after.things
    assert before.samples.names == after.samples.names
    changed = 0
    for one, other in zip(before.samples, after.samples, strict=True):
        for kind in ("mask", "labels", "instances", "categories", "boxes"):
            np.testing.assert_array_equal(getattr(one, kind), getattr(other, kind))
        difference = np.abs(one.image.astype(int) - other.image.astype(int))
        assert difference.max() <= bound
        changed += bool(difference.any())
    assert changed


READ: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Reading], float]] = {
    "voc": (voc, lambda root: read_voc(root, "train"), 3 * BOUND),
    "ade20k": (layouts.ade20k, lambda root: read_ade20k(root, "training"), 3 * BOUND),
    "cityscapes": (
        layouts.cityscapes, lambda root: read_cityscapes(root, "train", "panoptic"), BOUND,
    ),
    "coco": (
        coco,
        lambda root: read_instances(
            root / "annotations/instances_train2017.json", root / "train2017"
        ),
        BOUND,
    ),
    "coco-panoptic": (
        panoptic,
        lambda root: read_panoptic(
            root / "annotations/panoptic_train2017.json", root / "train2017"
        ),
        BOUND,
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", READ)
def test_in_the_evaluations_readers(layout: str, cli: Cli, tmp_path: Path) -> None:
    write, read, bound = READ[layout]
    root = write(tmp_path / "in")
    assert cli("dataset", root, "-o", tmp_path / "out")[0] == 0
    same(read(root), read(tmp_path / "out"), bound)
    if layout == "ade20k":
        assert cli("dataset", root, "-o", tmp_path / "png", "--format", "png")[0] == 0
        same(read(root), read(tmp_path / "png"))
