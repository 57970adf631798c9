"""An owner's own folder, as an owner runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import synthetic_results as made
from unseg.errors import UnsegError
from unseg.evaluate.bench import Bench
from unseg.evaluate.results import ResultStore
from unseg.evaluate.selftest import plain, selftest
from unseg.evaluate.tasks.folder import FolderTask

SMALL = ["--victim-set=width=4", "--victim-set=units=1", "--size=64", "--victim-set=crop=64"]


def write(root: Path, count: int = 8, values: tuple[int, ...] = (0, 255), void: int = -1) -> Path:
    """Photographs with one brighter rectangle a class beside the first."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        image = rng.integers(0, 60, (64, 96, 3))
        mask = np.full((64, 96), values[0], np.uint8)
        for place, value in enumerate(values[1:]):
            top, left = rng.integers(4, 30), 32 * place + rng.integers(0, 8)
            window = slice(top, top + 28), slice(left, left + 22)
            mask[window] = value
            image[window] += 90 + 50 * place
        if void >= 0:
            mask[-3:] = void
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"p{number}.jpg", quality=95)
        Image.fromarray(mask).save(root / "masks" / f"p{number}.png")
    return root


def test_an_owner_sees_what_protection_does(tmp_path: Path, cli, monkeypatch) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    line = ("evaluate", "--images", "images", "--masks", "masks", "--condition", "clean,pattern")
    code, out, err = cli(*line, *SMALL, "--steps", 2)
    assert code == 0, err
    assert "Task folder" in out and "| clean |" in out and "2/2 folder, unet, pattern" in err
    results = ResultStore(tmp_path / "unseg-results").all()
    assert len(results) == 2 and results[0].config["task"]["split_seed"] == 0
    # A second call finds both, wherever it is called from; another split does not.
    assert cli(*line, *SMALL, "--steps", 2)[2].count("already there") == 2
    assert "about" in cli(*line, *SMALL, "--steps", 2, "--split-seed", 1, "--dry-run")[1]


def test_one_sentence_says_it(tmp_path: Path) -> None:
    task = FolderTask()
    runs = [
        made.put(tmp_path, "folder", "unet", "clean", 0.812),
        made.put(tmp_path, "folder", "unet", "pattern", 0.3),
        made.put(tmp_path, "folder", "unet", "unseg", 0.121),
    ]
    assert plain(runs, task) == (
        "A U-Net trained on your clean images reaches IoU 0.81; trained on the protected ones 0.12 "
        "(15%)."
    )
    assert "reaches IoU 0.81; trained on the protected ones 0.30 (37%)" in plain(
        runs, task, "pattern"
    )
    assert plain(runs[:2], task) == ""


def test_a_selftest_trains_twice_and_says_when_it_means_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    told: list[str] = []
    found = selftest(
        tmp_path / "images", tmp_path / "masks", condition="pattern", steps=1,
        on_step=lambda step: told.append(step.cell.condition),
    )  # fmt: skip
    assert told == ["clean", "pattern"] and len(found.results) == 2
    assert found.sentence.startswith("A U-Net trained on your clean images reaches only IoU 0.")
    assert "learns too little" in found.sentence and "Give more images" in found.sentence


def test_label_maps_have_the_classes_that_they_hold(tmp_path: Path, cli) -> None:
    root = write(tmp_path, values=(0, 3, 7), void=255)
    task = FolderTask(images=root / "images", masks=root / "masks")
    bench = Bench(task, root)
    assert task.problem.classes == ("background", "3", "7") and not task.problem.binary
    [sample] = [one for one in bench.split.test if one.name == bench.split.test[0].name]
    assert set(np.unique(sample.class_map)) == {0, 1, 2, 255}
    np.testing.assert_array_equal(sample.mask, np.isin(sample.class_map, (1, 2)))
    code, out, err = cli(
        "evaluate", "--images", root / "images", "--masks", root / "masks", "--condition", "clean",
        "--class-names", "ground,cat,dog", "-o", tmp_path / "r", "--json", *SMALL, "--steps", 1,
    )  # fmt: skip
    assert code == 0, err
    [result] = json.loads(out)
    assert {"iou", "iou/cat", "iou/dog"} <= set(result["scores"])


def test_the_split_follows_from_names_and_seed(tmp_path: Path) -> None:
    root = write(tmp_path, count=12)

    def tested(**settings) -> list[str]:
        return [one.name for one in FolderTask(**settings).load(root).test]

    assert tested() == tested() and len(tested()) == 3
    assert tested(split_seed=1) != tested() and len(tested(test_share=0.5)) == 6
    train = {one.name for one in FolderTask().load(root).train}
    assert not train & set(tested()) and len(train) == 9
    # One image more moves no other between the parts, but where the share asks for one more.
    for name, kind in (("images", "jpg"), ("masks", "png")):
        body = (root / name / f"p0.{kind}").read_bytes()
        (root / name / f"extra.{kind}").write_bytes(body)
    assert len(set(tested()) - {"extra"} & train) <= 3
    assert len(FolderTask().load(root, "val").train) == 8


def test_masks_may_lie_beside_their_images(tmp_path: Path) -> None:
    root = write(tmp_path)
    for path in (root / "masks").iterdir():
        path.rename(root / "images" / path.name)
    found = FolderTask(images=root / "images", masks=root / "images").load(root)
    assert len(found.train) + len(found.test) == 8


def test_two_values_with_void_are_one_foreground(tmp_path: Path) -> None:
    root = write(tmp_path, values=(0, 1), void=255)
    task = FolderTask()
    sample = task.load(root).train[0]
    assert task.problem.binary and set(np.unique(sample.class_map)) == {0, 1, 255}
    np.testing.assert_array_equal(sample.mask, sample.class_map == 1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: [(root / "masks" / f"p{i}.png").unlink() for i in range(5)],
         "has 3 images with a mask in .*: expected at least 4"),
        (lambda root: Image.new("L", (5, 5)).save(root / "masks" / "p3.png"),
         r"p3\.jpg is 96x64 but its mask .*p3\.png is 5x5: both must have the same size"),
        (lambda root: [Image.new("L", (96, 64)).save(path) for path in (root / "masks").iterdir()],
         "all masks hold only the value 0"),
        (lambda root: Image.fromarray(np.arange(96 * 64).reshape(64, 96).astype(np.uint16)).save(
            root / "masks" / "p1.png"), "more than 64 values"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_said(spoil, message: str, tmp_path: Path) -> None:
    root = write(tmp_path)
    spoil(root)
    with pytest.raises(UnsegError, match=message):
        FolderTask().load(root)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "images"], "--images and --masks belong together"),
        (["--images", "images", "--masks", "nowhere"], "--masks nowhere is not a folder"),
        (["person", "--images", "images", "--masks", "masks"], "--images is itself the task"),
        (["--images", "images", "--masks", "masks", "--test-share", "1"], "--test-share 1: "),
        (["--images", "images", "--masks", "masks", "--class-names", "a"], "names 1 classes but"),
        (["--images", "images", "--masks", "masks", "--clean-images", "no"], "--clean-images no"),
    ],
)  # fmt: skip
def test_wrong_use_gets_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, count=4)
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("evaluate", *arguments, "--condition", "clean")
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1
