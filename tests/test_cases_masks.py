"""Masks, names and annotations as people have them: read right, refused with the fix, or told."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import odd_masks
from conftest import REPOSITORY
from noise_stub import install, photo
from odd_masks import GREY, TRUTH, blob
from unseg.errors import UnsegError
from unseg.images.photo import Photo
from unseg.images.reader import read_photo
from unseg.masks.among import is_label_map
from unseg.masks.annotations import read_annotations
from unseg.masks.arrays import open_mask
from unseg.masks.find import FoundRegions, find_regions
from unseg.masks.labels import LabelMap, labels_of, read_label_map
from unseg.masks.outlines import decode_rle, fill_polygons
from unseg.masks.pairing import NameIndex
from unseg.masks.regions import LabelRules, regions_of
from unseg.masks.shades import black_and_white
from unseg.masks.sources.file import MaskFiles
from unseg.masks.sources.given import GivenMask
from unseg.protect.draw import DrawnMasks, draw_masks
from unseg.protect.settings import Settings

Cli = Callable[..., tuple[int, str, str]]
IMAGE = Photo(photo(odd_masks.SIZE[1], odd_masks.SIZE[0]))


def protected(labels: LabelMap, rules: LabelRules | None = None) -> FoundRegions:
    return find_regions(IMAGE, [GivenMask(labels)], rules or LabelRules())


def warned(found: FoundRegions) -> str:
    return "; ".join(one.text for one in found.remarks if one.warning)


def assert_covers(labels: LabelMap, truth: np.ndarray = TRUTH) -> None:
    """At least 99 % of the object is foreground, and at most 1 % of the rest."""
    found = protected(labels)
    foreground = found.regions.foreground
    assert foreground[truth].mean() >= 0.99 and foreground[~truth].mean() <= 0.01
    assert not warned(found)


# Black and white


def kinds_of(values: np.ndarray, folder: Path) -> dict[str, LabelMap]:
    """The same mask as files, Pillow images, arrays and tensors."""
    image = Image.fromarray(values)
    image.save(folder / "m.png")
    image.save(folder / "m.tif")
    odd_masks.white_is_zero(values, folder / "inverted.tif")
    Image.fromarray(values.astype(np.uint16) * 257).save(folder / "wide.png")
    image.save(folder / "m.webp", lossless=True)
    red = np.dstack([values, np.zeros_like(values), np.zeros_like(values)])
    Image.fromarray(red).save(folder / "red.png")
    Image.fromarray(np.dstack([values] * 3)).save(folder / "rgb.bmp")
    odd_masks.palette(values, [v for v in range(256) for _ in range(3)]).save(folder / "p.png")
    named = ["m.png", "m.tif", "inverted.tif", "wide.png", "m.webp", "red.png", "rgb.bmp", "p.png"]
    return {name: read_label_map(folder / name) for name in named} | {
        "pillow": labels_of(image),
        "numpy": open_mask(values),
        "int64": open_mask(values.astype(np.int64)),
        "numpy colour": open_mask(red),
        "floats": open_mask(values.astype(np.float32)),
        "unit floats": open_mask(values / values.max()),
        "torch": open_mask(torch.from_numpy(values.copy())),
        "torch colour": open_mask(torch.from_numpy(red.transpose(2, 0, 1).copy())),
    }


@pytest.mark.parametrize("kind", GREY)
def test_black_and_white_is_one_rule_for_every_kind(kind: str, tmp_path: Path) -> None:
    maps = kinds_of(GREY[kind](), tmp_path)
    unit = maps.pop("unit floats")  # a soft mask: cut at one half, whatever its shades
    assert protected(unit).regions.foreground[TRUTH].mean() > 0.95
    for name, labels in maps.items():
        truth = GREY[kind]() > 127 if kind in {"blurred", "one shade", "two shades"} else TRUTH
        found = protected(labels)
        foreground = found.regions.foreground
        assert foreground[truth].mean() >= 0.99, name
        assert foreground[~truth].mean() <= 0.015, name
        assert not warned(found), name
        assert set(np.unique(labels.values)) <= {0, 255} or name == "red.png", name


@pytest.mark.parametrize("suffix", ["jpg", "webp", "gif"])
def test_lossy_files_are_black_and_white_masks(tmp_path: Path, suffix: str) -> None:
    options = {"jpg": {"quality": 60}, "webp": {"quality": 60}, "gif": {}}[suffix]
    path = tmp_path / f"m.{suffix}"
    Image.fromarray(blob()).save(path, **options)
    assert_covers(read_label_map(path))
    Image.fromarray(np.where(TRUTH, 3, 0).astype(np.uint8)).save(path, **options)
    if suffix != "gif":
        with pytest.raises(UnsegError, match="does not keep labels; save the map as PNG"):
            read_label_map(path)
    Image.fromarray(photo()).save(path, **options)
    with pytest.raises(UnsegError, match="and not a black and white mask"):
        read_label_map(path)


def test_a_red_jpeg_is_a_mask(tmp_path: Path) -> None:
    red = np.dstack([blob(), np.zeros_like(blob()), np.zeros_like(blob())])
    Image.fromarray(red).save(tmp_path / "m.jpg", quality=90, subsampling=0)
    assert_covers(read_label_map(tmp_path / "m.jpg"))


def test_a_palette_of_greys_is_read_by_its_colour(tmp_path: Path) -> None:
    index = np.where(TRUTH, 0, 1).astype(np.uint8)
    odd_masks.palette(index, [255, 255, 255, 0, 0, 0]).save(tmp_path / "white0.png")
    odd_masks.palette(1 - index, [0, 0, 0, 255, 255, 255]).save(tmp_path / "white1.png")
    inverted = [v for v in range(255, -1, -1) for _ in range(3)]
    odd_masks.palette(blob(), inverted).save(tmp_path / "imagej.png")
    for name in ("white0", "white1", "imagej"):
        assert_covers(read_label_map(tmp_path / f"{name}.png"))
    assert read_label_map(tmp_path / "white1.png").values.max() == 1  # the index says the same
    coloured = np.where(TRUTH, 15, 0).astype(np.uint8)
    odd_masks.palette(coloured, [255] * 3 + [90, 10, 10] * 255).save(tmp_path / "colours.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "colours.png").values, coloured)


def test_stored_values_count_in_tiffs_whose_zero_is_white(tmp_path: Path) -> None:
    Image.fromarray(~TRUTH).save(tmp_path / "bit.tif", tiffinfo={262: 0})
    odd_masks.white_is_zero(np.where(TRUTH, 7, 0).astype(np.uint8), tmp_path / "labels.tif")
    assert Image.open(tmp_path / "labels.tif").getpixel((0, 0)) == 255
    assert_covers(read_label_map(tmp_path / "bit.tif"))
    assert set(np.unique(read_label_map(tmp_path / "labels.tif").values)) == {0, 7}


@given(st.integers(0, 10_000), st.sampled_from([9, 21, 34, 150, 181]), st.integers(1, 5))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_label_maps_with_rims_of_void_stay_label_maps(seed: int, labels: int, rim: int) -> None:
    values = odd_masks.label_map(np.random.default_rng(seed), labels, rim)
    if set(np.unique(values)) - {0, 255}:
        assert black_and_white(values) is None
        np.testing.assert_array_equal(open_mask(values).values, values)
        wide = values.astype(np.uint16)
        np.testing.assert_array_equal(open_mask(np.where(wide == 255, 65535, wide)).values % 65280,
                                      values)  # fmt: skip


@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([0, 50, 75, 90, 95, 100]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_masks_with_soft_edges_or_from_jpeg_are_masks(seed: int, times: int, quality: int) -> None:
    rng = np.random.default_rng(seed)
    labels = odd_masks.label_map(rng, 1, 1) > 0
    large = np.repeat(np.repeat(labels, 2, 0), 2, 1).astype(np.uint8) * 255
    shift = int(rng.integers(0, times))
    whole = np.repeat(np.repeat(large, times, 0), times, 1)
    moved = np.zeros_like(whole)
    moved[shift:, shift // 2 :] = whole[: len(whole) - shift, : whole.shape[1] - shift // 2]
    width, height = odd_masks.SIZE[0] * 2, odd_masks.SIZE[1] * 2
    soft = Image.fromarray(moved).resize((width, height), Image.Resampling.BOX)
    values = np.asarray(soft)
    values = odd_masks.through_jpeg(values, quality) if quality else values
    found = black_and_white(values)
    assert found is not None
    hard = np.asarray(soft)
    assert found.white[hard > 230].all() and found.white[hard == 0].mean() <= 0.002


# What a mask covers


def test_a_trimap_is_foreground_and_told() -> None:
    rim = np.asarray(odd_masks.antialiased(1))
    kernel = np.ones((9, 9), np.uint8)
    values = np.where(cv2.dilate(rim, kernel) > 0, 128, 0)
    values = np.where(cv2.erode(rim, kernel) > 0, 255, values).astype(np.uint8)
    found = protected(open_mask(values))
    assert "--void none" in warned(found) and found.regions.foreground[TRUTH].all()
    named = protected(open_mask(values), LabelRules(void=255))
    assert not named.regions.foreground[values == 255].any()


def test_void_that_is_no_rim_is_told() -> None:
    values = np.zeros((120, 160), np.uint8)
    values[:50, :50], values[60:, 60:] = 3, 255
    assert "void and counts as background" in warned(protected(open_mask(values)))
    rim = odd_masks.label_map(np.random.default_rng(3), 20, 3)
    assert not warned(protected(open_mask(rim)))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.where(TRUTH, 0, 255), "covers more than 85% of the image: if it is black on white"),
        (np.where(TRUTH, 1, 2), r"the mask has no background .labels 1, 2."),
        (np.full((120, 160), 255), "the mask has no background"),
        (np.pad(np.full((4, 4), 255), ((0, 116), (0, 156))), "covers less than 0.5% of the image"),
    ],
)
def test_nearly_all_and_nearly_nothing_are_told(values: np.ndarray, text: str) -> None:
    labels = open_mask(values.astype(np.uint8))
    if "covers more" in text:  # the blob covers a fifth of it
        labels = open_mask(np.where(np.pad(TRUTH[::2, ::2], ((0, 60), (0, 80))), 0, 255)
                           .astype(np.uint8))  # fmt: skip
    assert re.search(text, warned(protected(labels)))
    assert not warned(protected(labels, LabelRules(classes=(1, 255)))) or "covers less" in text


def test_colour_maps_without_background_are_told(tmp_path: Path) -> None:
    colours = np.where(TRUTH[..., None], (255, 0, 204), (0, 215, 255)).astype(np.uint8)
    assert "no background" in warned(protected(open_mask(colours)))


def test_vocs_rim_is_void_in_colour_as_in_indices() -> None:
    index = odd_masks.label_map(np.random.default_rng(8), 1, 2)
    palette = np.zeros((256, 3), np.uint8)
    palette[1], palette[255] = (128, 0, 0), (224, 224, 192)
    found = protected(open_mask(palette[index])).regions
    assert np.array_equal(found.foreground, regions_of(open_mask(index), LabelRules()).foreground)


def test_a_mask_in_the_alpha_channel_is_taken(tmp_path: Path) -> None:
    pictures = (photo(120, 160), np.zeros((120, 160, 3), np.uint8))
    for colour in pictures:
        both = np.dstack([colour, blob()])
        Image.fromarray(both).save(tmp_path / "m.png")
        for labels in (read_label_map(tmp_path / "m.png"), open_mask(both)):
            assert_covers(labels)
            assert any("alpha" in one.text for one in labels.remarks)
    with pytest.raises(UnsegError, match="a picture"):
        open_mask(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8))


def test_pages_are_joined_or_refused(tmp_path: Path) -> None:
    left, right = blob().copy(), blob().copy()
    left[:, 80:], right[:, :80] = 0, 0
    pages = [Image.fromarray(one) for one in (left, right)]
    pages[0].save(tmp_path / "m.tif", save_all=True, append_images=pages[1:])
    labels = read_label_map(tmp_path / "m.tif")
    assert_covers(labels)
    assert set(np.unique(labels.values)) == {0, 1, 2} and labels.wide
    assert "2 pages were joined" in labels.remarks[0].text
    pages[0].save(tmp_path / "m.tif", save_all=True, append_images=[pages[1].resize((80, 60))])
    with pytest.raises(UnsegError, match=r"m\.tif holds 2 pages of different sizes"):
        read_label_map(tmp_path / "m.tif")
    several = Image.fromarray(np.where(TRUTH, 5, 9).astype(np.uint8))
    pages[0].save(tmp_path / "m.tif", save_all=True, append_images=[several])
    with pytest.raises(UnsegError, match=r"page 2 has several labels"):
        read_label_map(tmp_path / "m.tif")
    pages[0].save(tmp_path / "m.gif", save_all=True, append_images=pages[1:])
    with pytest.raises(UnsegError, match=r"m\.gif holds 2 frames"):
        read_label_map(tmp_path / "m.gif")


# Names


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.jpg", "a_mask.png"),
        ("a.jpg", "a-mask.png"),
        ("a.jpg", "a_label.png"),
        ("a.jpg", "a.jpg.png"),
        ("A.JPG", "a.png"),
        ("a.jpg", "deep/a.png"),
        ("aachen/x_000019_leftImg8bit.png", "aachen/x_000019_gtFine_labelIds.png"),
        ("caf\u0065\u0301.jpg", "caf\u00e9.png"),
        ("1_sat.jpg", "1_mask.png"),
        ("a_mask.jpg", "a_mask_mask.png"),
        ("train/a.jpg", "x/train/a.png"),
    ],
)
def test_obvious_names_fit(image: str, mask: str) -> None:
    index = NameIndex([mask, "other_thing.png"], [image])
    found = index.pairing(image)
    assert found is not None and found.name == mask
    assert index.unused([image]) == ["other_thing.png"]


def test_names_that_may_be_anothers_are_not_taken() -> None:
    assert NameIndex(["x/a.png", "y/a.png"]).find("a.jpg") is None
    images = ["cam1/1.jpg", "cam2/1.jpg"]
    assert NameIndex(["cam1/1.png"], images).find("cam2/1.jpg") is None
    assert NameIndex(["1.png"], images).shared == {"1.png": 2}
    assert NameIndex(["a_instanceIds.png", "a_color.png"]).find("a_leftImg8bit.png") is None
    assert NameIndex(["a.jpg", "a_mask.png"], weak=(".jpg",)).find("a.jpg") == "a_mask.png"
    best = NameIndex(["a_label.png", "a_mask.png", "a.png"])
    assert best.find("a.jpg") == "a.png"


def save_images(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(120, 160, seed=seed)).save(folder / name)
    return folder


def test_a_mask_for_two_images_is_told(cli: Cli, tmp_path: Path) -> None:
    images = save_images(tmp_path / "in", "cam1/1.png", "cam2/1.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(blob()).save(tmp_path / "masks" / "1.png")
    line = ("protect", images, "-o", tmp_path / "out", "--masks", tmp_path / "masks")
    code, text, _ = cli(*line)
    assert code == 3 and "one mask, 1.png, fits 2 images" in text
    code, _, err = cli(*line, "--overwrite", "--strict")
    assert code == 1 and "fits 2 images" in err


def test_unused_masks_are_named_with_what_was_expected(cli: Cli, tmp_path: Path) -> None:
    images = save_images(tmp_path / "in", "a.png", "b.png")
    (tmp_path / "masks").mkdir()
    for name in ("a.jpg", "other.png"):
        Image.fromarray(blob()).save(tmp_path / "masks" / name)
    code, text, _ = cli("protect", images, "-o", tmp_path / "out", "--masks", tmp_path / "masks")
    assert code == 3 and "masks that fit no image (b.png expects b.png): 1" in text


def test_names_are_no_markup(cli: Cli, tmp_path: Path) -> None:
    images = tmp_path / "in"
    (images / "p[").mkdir(parents=True)
    for name in ("bad [final].jpg", "p[/b].jpg", "x [bold]y.jpg"):
        (images / name).write_bytes(b"\xff\xd8\xff\xe0 cut off")
    for command in ("masks", "protect"):
        code, _, err = cli(command, images, "-o", tmp_path / command)
        assert code == 1 and all(
            name in err for name in ("bad [final].jpg", "p[/b].jpg", "x [bold]y.jpg")
        )


def test_label_maps_among_photographs_are_refused(cli: Cli, tmp_path: Path) -> None:
    images = save_images(tmp_path / "in", "JPEGImages/a.png", "JPEGImages/b.png")
    maps = images / "SegmentationClass"
    maps.mkdir()
    index = np.where(TRUTH, 15, 0).astype(np.uint8)
    odd_masks.palette(index, [0, 0, 0] + [192, 128, 128] * 255).save(maps / "a.png")
    Image.fromarray(index).save(maps / "b.png")
    code, _, err = cli("protect", images, "-o", tmp_path / "out")
    assert code == 1 and err.count("looks like a label map or mask") == 2
    assert not (tmp_path / "out" / "SegmentationClass").exists()
    assert cli("protect", maps, "-o", tmp_path / "alone")[0] == 0  # the owner may mean it
    assert not is_label_map(Photo(np.zeros((99, 99), np.uint8)))  # a black photograph


# Colours


def test_colours_of_a_run_have_numbers_of_their_own(tmp_path: Path) -> None:
    colours = [(r, g, b) for r in (0, 64, 128) for g in (0, 64, 128) for b in (64, 128)]
    for i, part in enumerate((colours[:10], colours[5:])):
        values = np.zeros((120, 160, 3), np.uint8)
        for j, colour in enumerate(part):
            values[j * 8 : j * 8 + 8, :99] = colour
        Image.fromarray(values).save(tmp_path / f"{i}.png")
    source = MaskFiles(tmp_path, images=["0.jpg", "1.jpg"], by_class=True)
    rules = LabelRules(target="class")
    found = [find_regions(IMAGE, [source], rules, f"{i}.jpg") for i in (0, 1)]
    codes = [set(one.regions.codes) for one in found]
    assert codes[0] | codes[1] == set(range(18)) and len(codes[0] & codes[1]) == 5
    assert source.identity("0.jpg") != MaskFiles(tmp_path).identity("0.jpg")


# Annotations


SQUARE = [96, 60, 208, 60, 208, 192, 96, 192]


def coco(
    annotations: list[dict[str, Any]], file_name: str = "a.jpg", **size: float
) -> dict[str, Any]:
    given = {"width": 320, "height": 240, **size}
    images = [{"id": 1, "file_name": file_name, **given}]
    full = [{"id": i, "image_id": 1, "category_id": 1, **one} for i, one in enumerate(annotations)]
    return {"images": images, "annotations": full, "categories": [{"id": 1, "name": "x"}]}


BOX = {"bbox": [96, 60, 112, 132]}
BOXES: dict[str, tuple[dict[str, Any], str]] = {
    "box": (coco([BOX]), ""),
    "outline": (coco([{**BOX, "segmentation": [SQUARE]}]), ""),
    "outline alone": (coco([{"segmentation": [SQUARE]}]), ""),
    "empty box": (coco([{"bbox": [], "segmentation": [SQUARE]}]), ""),
    "half size": (coco([{"bbox": [48, 30, 56, 66]}], width=160, height=120), ""),
    "outline at odds": (coco([{**BOX, "segmentation": [[0, 0, 9, 0, 9, 9]]}]), "does not fit"),
    "crowd": (
        coco([BOX, {"bbox": [0, 0, 320, 240], "iscrowd": 1,
                    "segmentation": {"size": [240, 320], "counts": [0, 76800]}}]),
        "1 crowd regions were left out",
    ),
    "zero box": (coco([BOX, {"bbox": [50, 50, 0, 10]}]), "annotation 1 covers no pixel"),
    "outside": (coco([BOX, {"bbox": [330, 9, 9, 9]}]), "annotation 1 covers no pixel"),
    "deleted image": (coco([BOX, {**BOX, "image_id": 77}]), "1 annotations of .* belong to no"),
    "no category": (coco([{**BOX, "category_id": None}]), ""),
    "folder": (coco([BOX], "train/a.jpg"), ""),
    "url": (coco([BOX], "https://x.example/img/a.jpg?sig=1"), ""),
    "roboflow": (coco([BOX], "a_jpg.rf.0a1b2c.jpg"), ""),
    "windows": (coco([BOX], "C:\\data\\a.jpg"), ""),
    "float id": (coco([{**BOX, "image_id": 1.0}]), ""),
}  # fmt: skip


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], DrawnMasks]:
    """Masks of a photograph of 320 x 240, from annotations; boxes are filled."""
    install(monkeypatch)
    (tmp_path / "in").mkdir()
    Image.fromarray(photo(240, 320)).save(tmp_path / "in" / "a.jpg")

    def draw(place: Path, **settings: Any) -> DrawnMasks:
        return draw_masks(
            tmp_path / "in", tmp_path / "out", Settings(**settings), boxes=place, overwrite=True
        )

    return draw


def assert_square(report: DrawnMasks) -> None:
    assert not report.errors, report.errors
    mask = read_label_map(report.out / "a.png").values > 0
    assert mask[60:192, 96:208].all() and mask.sum() == 112 * 132


@pytest.mark.parametrize("kind", BOXES)
def test_coco_files_as_people_have_them(
    drawn: Callable[..., DrawnMasks], tmp_path: Path, kind: str
) -> None:
    body, text = BOXES[kind]
    (tmp_path / "b.json").write_text("\ufeff" + json.dumps(body), encoding="utf-8")
    report = drawn(tmp_path / "b.json")
    assert_square(report)
    assert bool(report.warnings) == bool(text)
    assert not text or re.search(text, " ".join(report.warnings))


@pytest.mark.parametrize("value", [None, [], {}, "x", -1, 1e300, [[]], [None], {"a": 1}, True])
@pytest.mark.parametrize(
    "key",
    [
        "images", "annotations", "categories", "segmentation", "bbox", "image_id", "category_id",
        "file_name", "width", "id",
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_an_error_of_ours(
    tmp_path: Path, key: str, value: object
) -> None:
    body = coco([{**BOX, "segmentation": [SQUARE]}])
    for part in (body, body["images"][0], body["annotations"][0]):
        if key in part:
            kept, part[key] = part[key], value
            (tmp_path / "b.json").write_text(json.dumps(body))
            part[key] = kept
            with contextlib.suppress(UnsegError):
                read_annotations(tmp_path / "b.json")


def test_run_lengths_are_exact(drawn: Callable[..., DrawnMasks], tmp_path: Path) -> None:
    from_outline = fill_polygons([np.array(SQUARE, np.float32).reshape(-1, 2)], 320, 240)
    flat = from_outline.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat.astype(int), prepend=0))
    counts = np.diff([0, *edges, flat.size]).tolist()
    body = coco([{"segmentation": {"size": [240, 320], "counts": counts}}])
    (tmp_path / "b.json").write_text(json.dumps(body))
    assert_square(drawn(tmp_path / "b.json"))


def test_outlines_and_compressed_runs_are_those_of_pycocotools(tmp_path: Path) -> None:
    coder = pytest.importorskip("faster_coco_eval.core.mask")
    rng = np.random.default_rng(0)
    for count in (3, 7, 20):
        turn = np.sort(rng.uniform(0, 2 * np.pi, count))
        radius = rng.uniform(15, 45, count)
        polygon = np.stack([80 + radius * np.cos(turn), 60 + radius * np.sin(turn)], axis=1)
        theirs = coder.frPyObjects([polygon.ravel().tolist()], 120, 160)[0]
        ours = fill_polygons([polygon.astype(np.float32)], 160, 120)
        expected = coder.decode(theirs) > 0
        assert (ours != expected).mean() < 0.01  # they include a part of the outline
        text = (
            theirs["counts"].decode() if isinstance(theirs["counts"], bytes) else theirs["counts"]
        )
        (tmp_path / "b.json").write_text(
            json.dumps(coco([{"segmentation": {"size": [120, 160], "counts": text}}]))
        )
        rle = read_annotations(tmp_path / "b.json").images["a.jpg"].shapes[0].rle
        assert rle is not None and np.array_equal(decode_rle(rle), expected)


def test_another_aspect_is_refused_with_both_sizes(
    drawn: Callable[..., DrawnMasks], tmp_path: Path
) -> None:
    for size, words in (((300, 300), "of 300x300 but a.jpg is 320x240:"), ((240, 320), "EXIF")):
        body = coco([BOX], width=size[0], height=size[1])
        (tmp_path / "b.json").write_text(json.dumps(body))
        assert words in drawn(tmp_path / "b.json").errors[0]


def test_a_class_needs_a_category(drawn: Callable[..., DrawnMasks], tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps(coco([{**BOX, "category_id": None}])))
    errors = drawn(tmp_path / "b.json", target="class").errors
    assert "annotation 0 names no category" in errors[0]


@pytest.mark.parametrize(
    "line",
    [
        "0 0.475 0.525 0.35 0.55",
        "\ufeff0 0.475 0.525 0.35 0.55",
        "0.0 0.475 0.525 0.35 0.55 0.91",
        "0 0.3 0.25 0.65 0.25 0.65 0.8 0.3 0.8",
    ],
)
def test_yolo_files_as_people_have_them(
    drawn: Callable[..., DrawnMasks], tmp_path: Path, line: str
) -> None:
    folder = tmp_path / "labels" / "train"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text(line, encoding="utf-8")
    (folder / "README.roboflow.txt").write_text("exported")
    assert_square(drawn(tmp_path / "labels"))


def test_what_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("0 0.5 0.5 0.1 0.1 # b\u00e9".encode("latin-1"))
    with pytest.raises(UnsegError, match=r"a\.txt is not UTF-8: save it as UTF-8"):
        read_annotations(tmp_path)
    (tmp_path / "b.json").write_text(json.dumps(coco([BOX])), encoding="utf-16")
    with pytest.raises(UnsegError, match=r"b\.json is not UTF-8: save it as UTF-8"):
        read_annotations(tmp_path / "b.json")


def test_labelme_and_voc_are_read(drawn: Callable[..., DrawnMasks], tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("1", (112, 132), 1).save(stream, "PNG")
    shapes = {
        "rectangle": {"points": [[96, 60], [208, 192]]},
        "polygon": {"points": np.reshape(SQUARE, (-1, 2)).tolist()},
        "mask": {
            "points": [[96, 60], [207, 191]],
            "mask": base64.b64encode(stream.getvalue()).decode(),
        },
    }
    for kind, shape in shapes.items():
        folder = tmp_path / kind
        folder.mkdir()
        body = {
            "shapes": [{"label": "x", "shape_type": kind, **shape}], "imagePath": "..\\in\\a.jpg",
            "imageWidth": 320, "imageHeight": 240,
        }  # fmt: skip
        (folder / "a.json").write_text(json.dumps(body))
        assert_square(drawn(folder))
        assert_square(drawn(folder / "a.json"))
    (tmp_path / "voc").mkdir()
    corners = "<xmin>96</xmin><ymin>60</ymin><xmax>208</xmax><ymax>192</ymax>"
    text = f"<annotation><object><name>x</name><bndbox>{corners}</bndbox></object></annotation>"
    (tmp_path / "voc" / "a.xml").write_text(text)
    assert_square(drawn(tmp_path / "voc"))
    (tmp_path / "voc" / "a.xml").write_text('<!DOCTYPE a [<!ENTITY x "y">]>' + text)
    with pytest.raises(UnsegError, match="declares a document type"):
        read_annotations(tmp_path / "voc")


# The cases themselves

TOLD = {
    "black_on_white": "covers more than 85%", "cvat_bg": "no background", "oxford": "no background",
    "trimap": "--void none",
    # Void as in the index maps of the same set; here the rim is half of the object.
    "voc_rgb": "Pascal VOC's rim",
}  # fmt: skip
REFUSED = {"half": "masks must have the image's size", "off1": "masks must have the image's size"}


def case_names() -> list[str]:
    folder = Path(os.environ.get("UNSEG_CASES", REPOSITORY.parent / "shared" / "cases"))
    found = sorted(path.stem for path in (folder / "masks" / "truth").glob("*.png"))
    return found or ["absent"]


@pytest.mark.parametrize("case", case_names())
def test_the_cases_are_covered_refused_or_told(case: str) -> None:
    folder = Path(os.environ.get("UNSEG_CASES", REPOSITORY.parent / "shared" / "cases")) / "masks"
    if not folder.is_dir():
        pytest.skip("UNSEG_CASES is not set and cases/ is not beside the checkout")
    image = read_photo(folder / "in" / f"{case}.jpg")
    source = MaskFiles(folder / "masks")
    if case in REFUSED:
        with pytest.raises(UnsegError, match=REFUSED[case]):
            find_regions(image, [source], LabelRules(), f"{case}.jpg")
        return
    found = find_regions(image, [source], LabelRules(), f"{case}.jpg")
    if case in TOLD:
        assert TOLD[case] in warned(found)
        return
    assert not warned(found)
    truth = np.asarray(Image.open(folder / "truth" / f"{case}.png").convert("L")) > 127
    foreground = found.regions.foreground
    assert foreground[truth].mean() >= 0.99 and foreground[~truth].mean() <= 0.01
