"""Label maps: what is foreground, and which regions get a prompt."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter

from unseg.errors import UnsegError
from unseg.masks.labels import LabelMap, read_label_map
from unseg.masks.regions import LOUD, MAX_REGIONS, QUIET, LabelRules, regions_of, void_share


def labels(values: object, wide: bool = False) -> LabelMap:
    return LabelMap(np.asarray(values, np.int32), wide)


def foreground(values: object, rules: LabelRules | None = None, wide: bool = False) -> list:
    return regions_of(labels(values, wide), rules or LabelRules()).foreground.astype(int).tolist()


@pytest.mark.parametrize(
    ("values", "rules", "expected"),
    [
        ([[0, 1, 255, 7]], LabelRules(), [[0, 1, 0, 1]]),
        ([[0, 255]], LabelRules(), [[0, 1]]),
        ([[255, 255]], LabelRules(), [[1, 1]]),
        ([[0, 0]], LabelRules(), [[0, 0]]),
        ([[0, 255]], LabelRules(void=255), [[0, 1]]),
        ([[0, 3, 255]], LabelRules(background=None), [[1, 1, 0]]),
        ([[0, 0, 255]], LabelRules(background=None), [[1, 1, 0]]),
        ([[0, 6, 15, 7, 255]], LabelRules(classes=(6, 15)), [[0, 1, 1, 0, 0]]),
        ([[0, 255]], LabelRules(classes=(255,)), [[0, 1]]),
        ([[0, 255]], LabelRules(classes=(15,)), [[0, 0]]),
        ([[0, 1, 255]], LabelRules(void=None), [[0, 1, 1]]),
        ([[0, 1, 9]], LabelRules(void=9), [[0, 1, 0]]),
        ([[0, 1, 0]], LabelRules(classes=(0,), background=None), [[1, 0, 1]]),
    ],
)
def test_foreground(values: list, rules: LabelRules, expected: list) -> None:
    assert foreground(values, rules) == expected


def test_255_is_an_instance_in_wide_maps_unless_it_is_named_void() -> None:
    assert foreground([[0, 254, 255, 256]], wide=True) == [[0, 1, 1, 1]]
    assert foreground([[0, 254, 255, 256]], LabelRules(void=255), wide=True) == [[0, 1, 0, 1]]


def test_classes_get_a_region_each() -> None:
    regions = regions_of(labels([[0, 3, 5], [5, 3, 255]]), LabelRules(target="class"))
    assert regions.count == 2
    assert regions.index.tolist() == [[0, 1, 2], [2, 1, 0]]
    assert regions.codes == (2, 4)


def test_a_class_has_one_code_in_every_image() -> None:
    alone = regions_of(labels([[0, 5], [5, 5]]), LabelRules(target="class"))
    assert alone.codes == (4,) and alone.index.tolist() == [[0, 1], [1, 1]]
    rules = LabelRules(target="class", background=None)
    # Where every label is a class, the first is told by the noise it lacks, as background is.
    assert regions_of(labels([[0, 5], [5, 255]]), rules).codes == (QUIET, 5)
    assert regions_of(labels([[0, 0], [0, 0]]), rules).count == 0  # alone it is protected
    named = regions_of(labels([[0, 5], [3, 3]]), LabelRules(target="class", classes=(0, 5)))
    assert named.codes == (0, 5)  # the same code for 5 where there is no 0
    other = regions_of(labels([[2, 5], [3, 3]]), LabelRules(target="class", classes=(0, 5)))
    assert other.codes == (5,)
    first = regions_of(labels([[0, 1], [1, 1]]), LabelRules(target="class"))
    assert first.count == 0  # the union's prompt, and its code


def test_where_some_labels_are_silent_the_others_share_one_texture() -> None:
    rules = LabelRules(target="class", background=None, silent=(1, 4))
    found = regions_of(labels([[0, 1, 5], [4, 255, 5]]), rules)
    assert found.codes == (QUIET, LOUD)
    assert found.index.tolist() == [[2, 1, 2], [1, 0, 2]]
    assert not found.foreground[1, 1]


def test_every_class_gets_a_region_when_there_is_no_background() -> None:
    rules = LabelRules(target="class", background=None)
    regions = regions_of(labels([[0, 3], [5, 255]]), rules)
    assert regions.count == 3 and regions.index.tolist() == [[1, 2], [3, 0]]


def test_instances_are_ids_in_wide_maps_and_pieces_in_others() -> None:
    values = [[1, 0, 1], [1, 0, 0], [0, 0, 2]]
    rules = LabelRules(target="instance")
    wide = regions_of(labels(values, wide=True), rules)
    assert wide.index.tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 2]]
    pieces = regions_of(labels(values), rules)
    assert pieces.count == 3 and len(set(pieces.index[pieces.index > 0])) == 3
    assert pieces.index[0, 0] == pieces.index[1, 0] != pieces.index[0, 2]


def test_diagonal_neighbours_are_one_piece() -> None:
    regions = regions_of(labels([[1, 0, 0], [0, 1, 0], [0, 0, 1]]), LabelRules(target="instance"))
    assert regions.count == 0 and not regions.index.any()  # one piece is the union itself


def test_regions_too_small_or_too_many_share_the_unions_prompt() -> None:
    values = np.zeros((1024, 1024), np.int32)
    values[:3, :3], values[100:104, 100:104], values[500:900, 500:900] = 1, 2, 3
    regions = regions_of(LabelMap(values), LabelRules(target="class"))
    assert regions.count == 2 and regions.foreground[0, 0] and regions.index[0, 0] == 0
    many = np.arange(1, 401).reshape(20, 20)
    assert regions_of(labels(many, wide=True), LabelRules(target="instance")).count == MAX_REGIONS


def test_void_share_counts_only_what_is_taken_for_background() -> None:
    assert void_share(labels([[1, 0, 255, 255]]), LabelRules()) == 0.5
    assert void_share(labels([[0, 255]]), LabelRules()) == 0
    assert void_share(labels([[1, 255]], wide=True), LabelRules()) == 0


def save(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(array).save(path)
    return path


def test_kinds_of_files(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2], [3, 255, 0]], np.uint8)
    palette = Image.fromarray(values)
    palette.putpalette(list(np.random.default_rng(0).integers(0, 256, 768)))
    palette.save(tmp_path / "palette.png")
    with Image.open(tmp_path / "palette.png") as stored:
        assert stored.mode == "P"
    wide = values.astype(np.uint16) * 100
    for name, array, expected in (
        ("grey.png", values, values),
        ("wide.png", wide, wide),
        ("bool.png", values > 1, values > 1),
        ("alpha.png", np.dstack([values, values]), values),
        ("colour.png", np.dstack([values] * 3), values),
        ("grey.tif", values, values),
        ("grey.bmp", values, values),
    ):
        found = read_label_map(save(tmp_path / name, array))
        assert np.array_equal(found.values, expected.astype(int)), name
        assert found.wide == (name == "wide.png")
    found = read_label_map(tmp_path / "palette.png")
    assert np.array_equal(found.values, values) and not found.wide


def test_a_mask_with_soft_edges_is_black_and_white(tmp_path: Path) -> None:
    hard = np.zeros((60, 60), np.uint8)
    hard[10:50, 15:45] = 255
    Image.fromarray(hard).filter(ImageFilter.GaussianBlur(1)).save(tmp_path / "soft.png")
    Image.fromarray(hard).save(tmp_path / "soft.jpg", quality=60)
    Image.open(tmp_path / "soft.jpg").save(tmp_path / "jpeg.png")
    for name in ("soft", "jpeg"):
        found = read_label_map(tmp_path / f"{name}.png")
        assert np.count_nonzero((found.values > 0) != (hard > 0)) <= 4  # blur rounds corners
        assert set(np.unique(found.values)) == {0, 255}


def test_a_map_of_many_labels_and_void_stays_as_it_is(tmp_path: Path) -> None:
    values = np.repeat(np.arange(20, dtype=np.uint8), 20)[None].repeat(30, 0)
    values[:, ::20] = 255
    Image.fromarray(values).save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "labels.png").values, values)
    crowded = np.where(values < 9, 255, values)  # more void than labels
    crowded[0, 0] = 0
    Image.fromarray(crowded).save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "labels.png").values, crowded)
    palette = Image.fromarray(np.where(values < 9, 255, values), mode="P")
    palette.putpalette([0] * 768)
    palette.save(tmp_path / "palette.png")
    found = read_label_map(tmp_path / "palette.png").values
    np.testing.assert_array_equal(found, np.where(values < 9, 255, values))


def test_labels_of_two_and_four_bits_are_not_spread(tmp_path: Path) -> None:
    values = np.array([[0, 6, 15, 15], [0, 6, 6, 15]], np.uint8)
    packed = values[:, ::2] * 16 + values[:, 1::2]
    rows = b"".join(b"\0" + row.tobytes() for row in packed)

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + name + data + check

    head = struct.pack(">IIBBBBB", 4, 2, 4, 0, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "four.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    np.testing.assert_array_equal(read_label_map(tmp_path / "four.png").values, values)


def test_colour_of_16_bits_is_no_label_map(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wide.png"), np.full((4, 5, 3), 300, np.uint16))
    with pytest.raises(UnsegError, match=r"wide\.png is a PNG with 16-bit colour"):
        read_label_map(tmp_path / "wide.png")


def test_panoptic_colours_are_ids(tmp_path: Path) -> None:
    path = save(tmp_path / "p.png", np.array([[[1, 2, 3], [0, 0, 0]]], np.uint8))
    found = read_label_map(path)
    assert found.values.tolist() == [[1 + 2 * 256 + 3 * 65536, 0]] and found.wide


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "m.png cannot be read as a mask .not an image.: expected a PNG of labels"),
        (b"hello world", "m.png cannot be read as a mask .not an image.: expected a PNG of labels"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(content)
    with pytest.raises(UnsegError, match=message):
        read_label_map(path)


def test_a_cut_off_mask_is_refused(tmp_path: Path) -> None:
    noisy = np.random.default_rng(0).integers(0, 9, (80, 80), dtype=np.uint8)
    path = save(tmp_path / "m.png", noisy)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(UnsegError, match=r"m\.png cannot be read as a mask"):
        read_label_map(path)


def test_other_modes_are_refused(tmp_path: Path) -> None:
    Image.new("CMYK", (2, 2)).save(tmp_path / "m.tif")
    with pytest.raises(UnsegError, match="mode CMYK: expected a PNG of labels"):
        read_label_map(tmp_path / "m.tif")


def test_real_data_sets(data_dir: Path) -> None:
    """CamVid: 0 is a class and 255 void; nuclei: 16-bit instance ids."""
    path = next((data_dir / "camvid" / "SegmentationClass").glob("*.png"))
    camvid = read_label_map(path)
    rules = LabelRules(target="class", background=None)
    regions = regions_of(camvid, rules)
    assert np.array_equal(regions.foreground, camvid.values != 255)
    assert 3 < regions.count <= 11
    path = next((data_dir / "dsb2018" / "test" / "masks").glob("*.png"))
    nuclei = read_label_map(path)
    regions = regions_of(nuclei, LabelRules(target="instance"))
    assert nuclei.wide and regions.count <= nuclei.values.max()
    assert np.array_equal(regions.foreground, nuclei.values > 0)
