"""Sets that list their own train and test images: roads, polyps, lungs, facades."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unseg.datasets.listed import read_listed
from unseg.errors import UnsegError
from unseg.evaluate.smoke import TEST, TRAIN, write_listed
from unseg.evaluate.tasks import TASKS
from unseg.evaluate.tasks.listed import ListedTask

NAMES = [name for name in TASKS if isinstance(TASKS.build(name), ListedTask)]
DATA = Path(os.environ.get("UNSEG_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_listed(tmp_path, np.random.default_rng(0), classes=2, grey=False)
    return tmp_path


def relist(root: Path, content: object) -> None:
    (root / "split.json").write_text(json.dumps(content), encoding="utf-8")


def test_there_are_four() -> None:
    assert NAMES == ["roads", "polyps", "lungs", "facades"]


def test_parts_come_from_the_list_and_val_from_train_alone(root: Path) -> None:
    task = TASKS.build("facades")
    split, tuning = task.load(root), task.load(root, "val")
    assert (len(split.train), len(split.test)) == (TRAIN, TEST)
    train = {one.name for one in split.train}
    held, kept = ({one.name for one in some} for some in (tuning.test, tuning.train))
    assert held | kept == train and not held & kept and len(held) == 1
    assert split.sha256 != tuning.sha256
    # Who trains is part of the checksum, not the files alone.
    listed = json.loads((root / "split.json").read_text())
    relist(root, {"train": listed["train"] + listed["test"][1:], "test": listed["test"][:1]})
    moved = task.load(root)
    assert len(moved.test) == 1 and moved.sha256 != split.sha256


def test_of_two_classes_the_mask_is_the_truth_and_of_more_there_are_labels(root: Path) -> None:
    one = TASKS.build("facades").load(root).train[0]
    stored = np.asarray(Image.open(root / "masks" / f"{one.name}.png"))
    np.testing.assert_array_equal(one.class_map, stored)
    np.testing.assert_array_equal(one.mask, stored > 0)
    assert set(np.unique(stored)) == {0, 1, 2} and one.photo is None
    with pytest.raises(UnsegError, match=r"masks/.*\.png holds label 2: expected 0 to 1"):
        TASKS.build("roads").load(root)


def test_void_is_neither_protected_nor_background(root: Path) -> None:
    path = root / "masks" / "train0.png"
    labels = np.asarray(Image.open(path)).clip(max=1)
    void = labels.copy()
    void[:5] = 255
    Image.fromarray(void).save(path)
    one = read_listed(root, "train", ("ground", "thing")).samples[0]
    assert one.labels is not None and (one.class_map[:5] == 255).all() and not one.mask[:5].any()


def test_grey_lungs_are_protected_as_grey(tmp_path: Path) -> None:
    write_listed(tmp_path, np.random.default_rng(0), grey=True)
    one = TASKS.build("lungs").load(tmp_path).train[0]
    assert one.photo is not None and one.photo.grey and one.labels is None
    np.testing.assert_array_equal(one.image, np.stack([one.photo.pixels] * 3, axis=-1))


def test_figures_are_those_of_the_kind(root: Path) -> None:
    sample = TASKS.build("facades").load(root).test[0]
    found = torch.from_numpy(sample.class_map.astype(np.int64))
    scores = TASKS.build("facades").score([(found, sample)])
    # Background counts, as in Pascal VOC.
    assert scores["miou"] == 1 and set(scores) == {
        "miou", "iou/background", "iou/balcony-fence", "iou/car",
    }  # fmt: skip
    nothing = TASKS.build("facades").score([(torch.zeros_like(found), sample)])
    share = float((~sample.mask).mean())
    assert nothing["miou"] == pytest.approx(share / 3) and nothing["iou/car"] == 0
    for name in ("roads", "polyps", "lungs"):
        task = TASKS.build(name)
        assert task.score([(sample_map(sample.mask), sample)])[task.metric] == 1


def sample_map(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(mask.astype(np.int64))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": ["train0"]}, r"split\.json has no list of test images \(KeyError\)"),
        ({"train": ["train0"], "test": 3}, "test is no list of names"),
        ({"train": ["train0", "train0"], "test": []}, "names an image of train twice"),
        ({"train": ["train0"], "test": ["train0"]}, "has train0 in train and in test"),
        ({"train": ["train9"], "test": []}, r"images/train9\.jpg is missing: expected images/NAME"),
        ([], r"split\.json has no list of train images \(TypeError\)"),
    ],
)
def test_a_damaged_list_is_named(root: Path, content: object, message: str) -> None:
    relist(root, content)
    with pytest.raises(UnsegError, match=message):
        TASKS.build("facades").load(root)


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsegError, match=r"split\.json is missing: expected images/NAME\.jpg"):
        TASKS.build("roads").load(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_real_sets_are_read(name: str) -> None:
    task = TASKS.build(name)
    root = DATA / task.folder
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    sizes = {"roads": (400, 400), "polyps": (288, 384)}
    for part in ("train", "test"):
        found = read_listed(root, part, task.problem.classes)
        assert len(found.samples) > 40
        one = found.samples[len(found.samples) // 2]
        stored = np.asarray(Image.open(root / "masks" / f"{one.name}.png"))
        np.testing.assert_array_equal(one.class_map, stored)
        assert one.mask.shape == sizes.get(name, (512, 512))
        assert (one.photo is not None) == (name == "lungs")
