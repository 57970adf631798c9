"""``unseg dataset``: a data set in, the same data set out, protected, in every layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import unseg
from dataset_layouts import NEGATIVE, SETS, coco, labelme, pairs, pixels, voc, yolo
from layouts import ellipse, photograph, save
from noise_stub import install
from unseg.datasets.layouts import LAYOUTS, open_layout
from unseg.protect.carried import read_carried
from unseg.protect.manifest import Manifest

Cli = Callable[..., tuple[int, str, str]]


def content(folder: Path) -> dict[str, str]:
    """Checksums of all files of a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def theirs(names: dict[str, str]) -> dict[str, str]:
    """The files of the data set itself, without the run's."""
    return {name: one for name, one in names.items() if not name.startswith("unseg-")}


def test_every_layout_is_tested() -> None:
    assert list(SETS) == list(LAYOUTS)


@pytest.mark.parametrize("layout", SETS)
def test_in_its_own_layout(layout: str, cli: Cli, tmp_path: Path) -> None:
    root, out = SETS[layout](tmp_path / "in"), tmp_path / "out"
    before = content(root)
    code, text, err = cli("dataset", root, "-o", out, "--eps-bg", 0)
    assert code == 0, text + err
    assert f" {layout} " in text
    assert content(root) == before, "originals are never touched"
    records, _ = Manifest(out).read()
    assert records and {one.status for one in records} == {"protected"}
    assert {one.mask_source for one in records} == {"annotations"}
    carried = read_carried(out)
    after = theirs(content(out))
    assert set(after) == {one.output for one in records} | set(carried)
    assert set(before) == {one.source for one in records} | set(carried)
    for name, one in carried.items():
        assert one.sha256 == after[name]
        assert (one.how == "copied") == (before[name] == after[name])
    for one in records:
        difference = np.abs(pixels(root / one.source) - pixels(out / one.output))
        mask = np.asarray(Image.open(out / str(one.mask))) > 0
        assert mask.any() and difference[mask].any()
        if one.lossless:
            assert difference.max() <= 8 and not difference[~mask].any()
        assert one.within_budget or not one.lossless
    code, text, _ = cli("verify", out, "--originals", root)
    assert code == 0, text
    assert "not in the manifest" not in text


@pytest.mark.parametrize("layout", SETS)
def test_a_dry_run_writes_nothing(layout: str, cli: Cli, tmp_path: Path) -> None:
    root = SETS[layout](tmp_path / "in")
    code, text, err = cli("dataset", root, "-o", tmp_path / "out", "--dry-run")
    assert code == 0, err
    assert f" {layout} " in text and not (tmp_path / "out").exists()
    code, text, _ = cli("dataset", root, "--dry-run", "--json")
    found = json.loads(text)
    assert code == 0 and found["layout"] == layout
    assert found["images"] == (4 if layout == "labelme" else 6)
    trained = sum(found["splits"][name] for name in found["protected_splits"])
    assert trained == found["with_objects"] + found["without_objects"] == 4


@pytest.mark.parametrize("layout", SETS)
def test_the_exact_masks_are_taken(layout: str, tmp_path: Path) -> None:
    root = SETS[layout](tmp_path / "in")
    found = open_layout(root)
    survey = found.survey()
    image = survey.splits[survey.training[0]][0]
    number = 1 if layout == "ade20k" else 0
    one = found.annotation(image, (64, 48))
    assert one is not None
    if layout == "yolo":  # boxes, which the base SAM is asked about
        assert one.boxes is not None and len(one.boxes.labels) == 2 and not one.labels.any()
        return
    names = {survey.classes.get(int(i), str(i)) for i in np.unique(one.labels) if i}
    expected = {
        "coco": {"person", "toothbrush"}, "coco-panoptic": {"person", "car", "sky"},
        "voc": {"person", "car"}, "ade20k": {"name 1", "name 3", "name 150"},
        "cityscapes": {"road", "person", "car"}, "yolo-seg": {"nucleus", "debris"},
        "labelme": {"cell", "debris"}, "pairs": {"1"}, "dicom": {"1", "2"},
        "geotiff": {"1", "2"},
    }  # fmt: skip
    assert names == expected[layout]
    truth = ellipse(number, 0) | (ellipse(number, 1) if layout == "pairs" else False)
    label = np.bincount(one.labels[truth]).argmax()
    # An outline through the middles of pixels may take or leave one pixel at the border.
    inner, outer = (
        change(truth.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        for change in (cv2.erode, cv2.dilate)
    )
    assert (one.labels[inner] == label).all()
    assert not (one.labels == label)[~outer].any()


@pytest.mark.parametrize("layout", ["coco", "pairs", "labelme"])
def test_resume_does_what_is_missing(layout: str, cli: Cli, tmp_path: Path) -> None:
    root, out = SETS[layout](tmp_path / "in"), tmp_path / "out"
    assert cli("dataset", root, "-o", out)[0] == 0
    first = content(out)
    code, _, err = cli("dataset", root, "-o", out)
    assert code == 2 and "--resume" in err
    records, _ = Manifest(out).read()
    (out / records[0].output).unlink()
    copied = next(name for name, one in read_carried(out).items() if one.how == "copied")
    (out / copied).write_bytes(b"changed")
    kept = {name: (out / name).stat().st_mtime_ns for name in theirs(content(out))}
    assert cli("verify", out)[0] == 1
    code, text, err = cli("dataset", root, "-o", out, "--resume")
    assert code == 0, err
    assert str(len(records) - 1) in text
    assert theirs(content(out)) == theirs(first)
    touched = {name for name in kept if (out / name).stat().st_mtime_ns != kept[name]}
    assert touched <= {copied, records[0].output}
    assert cli("verify", out, "--originals", root)[0] == 0
    assert cli("dataset", root, "-o", out, "--overwrite")[0] == 0
    assert theirs(content(out)) == theirs(first)


def test_a_killed_run_is_continued(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unseg.protect import dataset

    root, out = coco(tmp_path / "in"), tmp_path / "out"

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_protect", killed)
        assert cli("dataset", root, "-o", out)[0] not in (0, 3)
    assert cli("dataset", root, "-o", out, "--resume")[0] == 0
    assert cli("verify", out, "--originals", root)[0] == 0


def test_somebody_elses_files_are_not_replaced(cli: Cli, tmp_path: Path) -> None:
    root, out = pairs(tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    (out / "pairs.lst").write_text("mine")
    code, _, err = cli("dataset", root, "-o", out, "--overwrite")
    assert code == 2 and "pairs.lst exists already" in err
    assert content(out) == {"pairs.lst": hashlib.sha256(b"mine").hexdigest()}


def test_classes_by_name(cli: Cli, tmp_path: Path) -> None:
    root = voc(tmp_path / "in")
    for number, options in enumerate((["--classes", "person"], ["--exclude", "car"])):
        out = tmp_path / f"out{number}"
        assert cli("dataset", root, "-o", out, *options)[0] == 0
        mask = np.asarray(Image.open(out / "unseg-masks/JPEGImages/2007_000000.jpg.png")) > 0
        np.testing.assert_array_equal(mask, ellipse(0, 0))
    code, _, err = cli("dataset", root, "-o", tmp_path / "no", "--classes", "person,unicorn")
    assert code == 2 and "class unicorn is not in the data set" in err and "person" in err
    code, _, err = cli("dataset", root, "-o", tmp_path / "no", "--classes", "cat")
    assert code == 2 and "has an object of the classes cat" in err
    code, _, err = cli("dataset", root, "-o", tmp_path / "no", "--exclude", "uniqorn")
    assert code == 2 and not (tmp_path / "no").exists()


def test_a_class_by_one_of_its_synonyms(cli: Cli, tmp_path: Path) -> None:
    root = SETS["ade20k"](tmp_path / "in")
    info = root / "objectInfo150.txt"
    info.write_text(info.read_text().replace("name 150", "Flag, banner"))
    assert cli("dataset", root, "-o", tmp_path / "out", "--classes", "banner")[0] == 0
    records, _ = Manifest(tmp_path / "out").read()
    mask = np.asarray(Image.open(tmp_path / "out" / str(records[0].mask))) > 0
    np.testing.assert_array_equal(mask, ellipse(1, 0))


@pytest.mark.parametrize("layout", SETS)
@pytest.mark.parametrize("target", ["class", "instance"])
def test_objects_and_classes_get_prompts_of_their_own(
    layout: str, target: str, cli: Cli, tmp_path: Path
) -> None:
    root = SETS[layout](tmp_path / "in")
    code, text, err = cli("dataset", root, "-o", tmp_path / "out", "--target", target)
    assert code == 0, text + err
    records, _ = Manifest(tmp_path / "out").read()
    assert {one.target for one in records} == {target}
    # A pair's mask has one class, and its two discs are connected pieces.
    one_class = layout == "pairs" and target == "class"
    assert all((one.prompts or 0) >= (1 if one_class else 2) for one in records)


def test_splits_by_name(cli: Cli, tmp_path: Path) -> None:
    root = yolo(tmp_path / "in")
    assert cli("dataset", root, "-o", tmp_path / "val", "--splits", "val")[0] == 0
    records, _ = Manifest(tmp_path / "val").read()
    assert [one.source for one in records] == ["images/val/0004.jpg", "images/val/0005.jpg"]
    assert cli("dataset", root, "-o", tmp_path / "all", "--splits", "all")[0] == 0
    assert len(Manifest(tmp_path / "all").read()[0]) == 5
    code, _, err = cli("dataset", root, "-o", tmp_path / "no", "--splits", "training")
    assert code == 2 and "choose from train, val" in err


def test_an_empty_split_is_named(cli: Cli, tmp_path: Path) -> None:
    root = voc(tmp_path / "in")
    (root / "ImageSets/Segmentation/train.txt").write_text("")
    code, _, err = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 2 and "no split has an image that is trained on (there are val)" in err
    code, _, err = cli("dataset", root, "-o", tmp_path / "out", "--splits", "train")
    assert code == 2 and "empty" in err


def test_images_without_an_annotation(cli: Cli, tmp_path: Path) -> None:
    root = pairs(tmp_path / "in")
    (root / "train/masks/0001.png").unlink()
    code, text, _ = cli("dataset", root, "-o", tmp_path / "copied")
    assert code == 3 and "1 images of the splits have no annotation" in text
    name = "train/images/0001.jpg"
    assert (tmp_path / "copied" / name).read_bytes() == (root / name).read_bytes()
    code, _, err = cli("dataset", root, "-o", tmp_path / "strict", "--strict")
    assert code == 2 and "--strict" in err
    code, text, _ = cli("dataset", root, "-o", tmp_path / "found", "--find", "salient,whole-image")
    assert code == 0 and "copied as they" not in text
    sources = {one.source: one.mask_source for one in Manifest(tmp_path / "found").read()[0]}
    assert sources[name] == "salient" and sources["train/images/0002.jpg"] == "annotations"


def test_wrong_unknown_and_ambiguous_layouts(cli: Cli, tmp_path: Path) -> None:
    root = pairs(tmp_path / "in")
    code, _, err = cli("dataset", root, "--dry-run", "--layout", "coco")
    assert code == 2 and "not in the layout coco" in err and "looks like pairs" in err
    code, _, err = cli("dataset", root, "--dry-run", "--layout", "kitti")
    assert code == 2 and "kitti is not a layout" in err
    (tmp_path / "nothing").mkdir()
    code, _, err = cli("dataset", tmp_path / "nothing", "--dry-run")
    assert code == 2 and "none of the known layouts" in err and "voc:" in err
    voc(tmp_path / "VOCdevkit" / "VOC2012")
    code, _, err = cli("dataset", tmp_path / "VOCdevkit", "--dry-run")
    assert code == 2 and "VOC2012 is voc: give that folder" in err
    both = voc(coco(tmp_path / "both"))
    code, _, err = cli("dataset", both, "--dry-run")
    assert code == 2 and "coco or voc" in err and "--layout" in err
    assert cli("dataset", both, "--dry-run", "--layout", "voc")[0] == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [("a:b.txt", "Windows"), ("con.txt", "Windows"), ("PAIRS.LST", "differ only in case")],
)
def test_names_that_other_systems_cannot_hold(
    name: str, message: str, cli: Cli, tmp_path: Path
) -> None:
    root = pairs(tmp_path / "in")
    (root / name).write_text("x")
    code, _, err = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 2 and message in err and not (tmp_path / "out").exists()


def test_a_new_name_that_is_taken(cli: Cli, tmp_path: Path) -> None:
    root = pairs(tmp_path / "in")
    save(photograph(9), root / "train/images/0001.png")
    code, _, err = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 2 and "0001.jpg would be written to train/images/0001.png" in err
    assert "--format same" in err
    assert cli("dataset", root, "-o", tmp_path / "out", "--format", "same")[0] == 0


def test_folders_inside_each_other(cli: Cli, tmp_path: Path) -> None:
    root = pairs(tmp_path / "in")
    for out in (root / "out", tmp_path):
        code, _, err = cli("dataset", root, "-o", out)
        assert code == 2 and " overlap: choose a folder outside the data set" in err


def test_a_protected_set_is_not_protected_again(cli: Cli, tmp_path: Path) -> None:
    root = pairs(tmp_path / "in")
    assert cli("dataset", root, "-o", tmp_path / "out")[0] == 0
    code, _, err = cli("dataset", tmp_path / "out", "-o", tmp_path / "twice")
    assert code == 2 and "protected already" in err and "unseg-manifest.jsonl" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--eps", 300], "--eps 300"),
        (["--eps", 0.5, "--eps-bg", 0], "nothing would be protected"),
        (["--resume", "--overwrite"], "cannot be combined"),
        (["--find", "nobody"], "nobody is not a mask source"),
    ],
)
def test_wrong_options(options: list[object], message: str, cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("dataset", pairs(tmp_path / "in"), "-o", tmp_path / "out", *options)
    assert code == 2 and message in err and not (tmp_path / "out").exists()


def test_an_output_is_asked_for(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("dataset", pairs(tmp_path / "in"))
    assert code == 2 and "-o" in err


def test_a_trial(cli: Cli, tmp_path: Path) -> None:
    code, text, _ = cli("dataset", coco(tmp_path / "in"), "-o", tmp_path / "out", "--limit", 1)
    assert code == 3 and "--limit" in text
    assert len(Manifest(tmp_path / "out").read()[0]) == 1


def test_clean_copies_of_protected_images_are_said(cli: Cli, tmp_path: Path) -> None:
    root = pairs(tmp_path / "in")
    (root / "preview.jpg").write_bytes((root / "train/images/0001.jpg").read_bytes())
    code, text, _ = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 3 and "clean copies" in text and "preview.jpg" in text


def test_a_broken_image_fails_alone(cli: Cli, tmp_path: Path) -> None:
    root = pairs(tmp_path / "in")
    (root / "train/images/0001.jpg").write_bytes(b"no image")
    code, _, err = cli("dataset", root, "-o", tmp_path / "out")
    assert code == 1 and "0001.jpg" in err
    assert not (tmp_path / "out/train/images/0001.png").exists()


def test_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    report = unseg.protect_dataset(
        coco(tmp_path / "in"), tmp_path / "out", unseg.Settings(budget=4),
        classes=["person"], target="instance",
    )  # fmt: skip
    assert report.ok and not report.warnings
    assert report.folder.totals["largest_change_inside"] <= 4
    assert report.renamed["train2017/000000.jpg"] == "train2017/000000.png"
    assert set(report.rewritten) == {
        "annotations/captions_train2017.json", "annotations/instances_train2017.json",
    }  # fmt: skip


def test_labelme_does_not_keep_the_clean_image(cli: Cli, tmp_path: Path) -> None:
    import base64
    import io

    root, out = labelme(tmp_path / "in"), tmp_path / "out"
    code, text, _ = cli("dataset", root, "-o", out)
    assert code == 0 and "1 files hold their image" in text
    body = json.loads((out / "0000.json").read_text())
    inside = Image.open(io.BytesIO(base64.b64decode(body["imageData"])))
    np.testing.assert_array_equal(np.asarray(inside), pixels(out / "0000.png"))
    assert body["imagePath"] == "0000.png"
    assert (out / f"{NEGATIVE:04d}.json").read_bytes() == (
        root / f"{NEGATIVE:04d}.json"
    ).read_bytes()
