"""Every reader on a tiny data set in its own layout, and what it says when a file is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layouts
from unseg.datasets.ade20k import read_ade20k
from unseg.datasets.cityscapes import read_cityscapes
from unseg.datasets.coco import read_instances, read_panoptic
from unseg.datasets.pairs import pieces, read_pairs
from unseg.datasets.samples import LazySamples, Sample
from unseg.datasets.voc import CLASSES, read_voc
from unseg.errors import UnsegError
from unseg.evaluate.tasks import TASKS
from unseg.evaluate.tasks.base import hold_out

LEFT, RIGHT = (layouts.ellipse(0, part) for part in (0, 1))


def test_voc(tmp_path: Path) -> None:
    found = read_voc(layouts.voc(tmp_path), "train")
    assert found.classes == CLASSES and len(found.samples) == 4
    one = found.samples[0]
    assert one.name == "2007_000000" and one.labels is not None
    assert np.unique(one.labels).tolist() == [0, 7, 15, 255]
    np.testing.assert_array_equal(one.labels == 15, LEFT)
    # Void is neither foreground nor background.
    np.testing.assert_array_equal(one.mask, (LEFT | RIGHT) & (one.labels != 255))
    everywhere = read_voc(tmp_path, "train", background=None).samples[0]
    np.testing.assert_array_equal(everywhere.mask, one.labels != 255)


def test_voc_with_names_of_its_own(tmp_path: Path) -> None:
    layouts.voc(tmp_path)
    (tmp_path / "labels.txt").write_text("ground\nother\n")
    found = read_voc(tmp_path, "val")
    assert found.classes == ("ground", "other")
    with pytest.raises(UnsegError, match=r"2007_000004\.png holds label 15: expected 0 to 1"):
        found.samples[0]


def test_ade20k(tmp_path: Path) -> None:
    found = read_ade20k(layouts.ade20k(tmp_path), "validation")
    assert len(found.classes) == 150 and found.classes[149] == "name 150"
    one = found.samples[1]
    assert one.name == "ADE_val_00000006" and one.labels is not None
    assert np.unique(one.labels).tolist() == [0, 2, 149, 255]
    assert not one.mask[:2].any() and one.mask[2:].all()
    (tmp_path / "objectInfo150.txt").unlink()
    assert read_ade20k(tmp_path, "training").classes[0] == "class 1"


def test_coco_instances(tmp_path: Path) -> None:
    root = layouts.coco(tmp_path)
    found = read_instances(root / "annotations" / "instances_train2017.json", root / "train2017")
    assert found.classes == ("person", "dog", "toothbrush")
    one = found.samples[0]
    assert one.categories is not None and one.categories.tolist() == [0, 2]
    assert one.instances is not None
    # A polygon's outline is drawn a little differently from the mask it came from.
    assert ((one.instances == 1) != LEFT).mean() < 0.03
    assert ((one.instances == 2) != RIGHT).mean() < 0.03
    np.testing.assert_allclose(one.object_boxes[0], [6, 11, 27, 38], atol=1.5)


def test_coco_crowds_and_overlaps(tmp_path: Path) -> None:
    root = layouts.coco(tmp_path)
    file = root / "annotations" / "instances_val2017.json"
    body = json.loads(file.read_text())
    whole = [[0, 0, 63, 0, 63, 47, 0, 47]]
    body["annotations"][0]["segmentation"] = whole
    body["annotations"][1]["iscrowd"] = 1
    file.write_text(json.dumps(body))
    extra = {**body["annotations"][0], "id": 99, "segmentation": layouts.polygon(RIGHT)}
    body["annotations"].append(extra)
    file.write_text(json.dumps(body))
    one = read_instances(file, root / "val2017").samples[0]
    assert one.categories is not None and len(one.categories) == 2
    assert one.instances is not None and one.boxes is not None
    # The large object lies below the small one; its box is still that of all of it.
    assert (one.instances[RIGHT] == 2).mean() > 0.9 and one.instances[2, 2] == 1
    assert one.boxes[0].tolist()[:2] == [0, 0] and one.boxes[0][2] > 60


def test_coco_panoptic(tmp_path: Path) -> None:
    root = layouts.coco(tmp_path)
    found = read_panoptic(root / "annotations" / "panoptic_val2017.json", root / "val2017")
    assert found.classes == ("person", "car", "sky") and found.things == {0, 1}
    one = found.samples[0]
    assert one.labels is not None and one.instances is not None and one.categories is not None
    assert np.unique(one.labels).tolist() == [0, 1, 2, 255]
    assert one.categories.tolist() == [0, 1]
    np.testing.assert_array_equal(one.instances == 2, one.labels == 1)
    assert not one.mask[:2].any() and one.mask[2:].all()


def test_cityscapes(tmp_path: Path) -> None:
    layouts.cityscapes(tmp_path)
    semantic = read_cityscapes(tmp_path, "train")
    one = semantic.samples[0]
    assert len(semantic.classes) == 19 and one.labels is not None
    assert np.unique(one.labels).tolist() == [0, 11, 13, 255]
    assert (one.labels[-4:, :20] == 13).all()

    panoptic = read_cityscapes(tmp_path, "train", "panoptic")
    one = panoptic.samples[0]
    assert {panoptic.classes[i] for i in panoptic.things} >= {"person", "car", "bicycle"}
    assert one.labels is not None and one.instances is not None and one.categories is not None
    assert (one.labels[-4:, :20] == 255).all()
    assert one.categories.tolist() == [11, 13]
    np.testing.assert_array_equal(one.instances == 1, one.labels == 11)

    instance = read_cityscapes(tmp_path, "train", "instance")
    one = instance.samples[0]
    assert instance.classes[0] == "person" and instance.classes[2] == "car"
    assert one.categories is not None and one.categories.tolist() == [0, 2]
    assert one.instances is not None
    np.testing.assert_array_equal(one.mask, one.instances > 0)


def test_pairs(tmp_path: Path) -> None:
    layouts.whu(tmp_path)
    found = read_pairs(
        tmp_path / "train" / "image", tmp_path / "train" / "label", "two folders",
        name="building", prefix="train-", objects=pieces,
    )  # fmt: skip
    one = found.samples[0]
    assert one.name == "train-0000" and one.instances is not None
    assert one.instances.max() == 2 and one.categories is not None
    assert one.categories.tolist() == [0, 0]
    np.testing.assert_array_equal(one.mask, LEFT | RIGHT)


def test_jpeg_masks_are_cut_at_half(tmp_path: Path) -> None:
    split = TASKS.build("kvasir").load(layouts.kvasir(tmp_path))
    assert [one.name for one in split.test] == ["0000", "0005"] and len(split.train) == 4
    assert (split.test[0].mask != (LEFT | RIGHT)).mean() < 0.02


def test_hqseg_joins_seven_sets(tmp_path: Path) -> None:
    split = TASKS.build("hrsod").load(layouts.hqseg(tmp_path))
    assert isinstance(split.train, LazySamples)
    assert split.train.names[:3] == ("DIS-TR-0000", "DIS-TR-0001", "ThinObject5K-0000")
    assert len(split.train) == 9 and len(set(split.train.names)) == 9
    assert [one.name for one in split.test] == ["HRSOD-0000", "HRSOD-0001"]


@pytest.mark.parametrize(
    ("task", "folder", "lost", "message"),
    [
        ("voc", "VOCdevkit/VOC2012", "SegmentationClass/2007_000001.png", "Pascal VOC's layout"),
        ("voc", "VOCdevkit/VOC2012", "ImageSets/Segmentation/val.txt", "Pascal VOC's layout"),
        ("ade20k", "ADEChallengeData2016", "annotations/training/ADE_train_00000002.png",
         "ADE20K's layout"),
        ("coco-instance", "coco", "annotations/instances_val2017.json", "COCO's layout"),
        ("coco-panoptic", "coco", "annotations/panoptic_train2017/000002.png", "COCO's layout"),
        ("coco-detection", "coco", "train2017/000001.jpg", "COCO's layout"),
        ("cityscapes", "cityscapes",
         "gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png", "Cityscapes' layout"),
        ("dis", "HQSeg-44K", "cascade_psp/ecssd/0000.png", "HQSeg-44K's layout"),
        ("whu", "WHU", "test/label/0001.tif", "the WHU set's layout"),
        ("nwpu", "NWPU", "annotations/NWPU_instances_val.json", "RSPrompter's layout"),
        ("kvasir", "Kvasir-SEG", "masks/0003.jpg", "Kvasir-SEG's layout"),
    ],
)  # fmt: skip
def test_a_missing_file_is_named_with_the_layout(
    task: str, folder: str, lost: str, message: str, tmp_path: Path
) -> None:
    root = layouts.FOLDERS[folder](tmp_path)
    (root / lost).unlink()
    with pytest.raises(UnsegError) as caught:
        TASKS.build(task).load(root)
    assert Path(lost).stem in str(caught.value) and message in str(caught.value)
    assert "missing" in str(caught.value)


def test_odd_files_are_named(tmp_path: Path) -> None:
    root = layouts.coco(tmp_path / "coco")
    file = root / "annotations" / "panoptic_val2017.json"
    file.write_text("[]")
    with pytest.raises(UnsegError, match=r"panoptic_val2017\.json is not a COCO panoptic file"):
        TASKS.build("coco-panoptic").load(root)
    root = layouts.cityscapes(tmp_path / "city")
    truth = root / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    Image.new("L", (10, 10)).save(truth)
    with pytest.raises(UnsegError, match=r"the image is 64x48 but its mask is 10x10"):
        TASKS.build("cityscapes").load(root).train[0]
    truth.write_bytes(b"no image")
    with pytest.raises(UnsegError, match=r"labelIds\.png cannot be read as a mask"):
        TASKS.build("cityscapes").load(root).train[0]


def test_lazy_samples_are_read_on_access() -> None:
    asked: list[int] = []

    def read(i: int) -> Sample:
        asked.append(i)
        return Sample(str(i), np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), bool))

    samples = LazySamples([str(i) for i in range(10)], read)
    kept, held = hold_out(samples)
    assert held.names == ("0", "5") and len(kept) == 8 and not asked
    assert kept[2:4].names == ("3", "4") and held[-1].name == "5" and asked == [5]
    assert [one.name for one in held] == ["0", "5"]
    with pytest.raises(IndexError):
        held[2]
