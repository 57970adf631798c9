"""TIFF as satellites and microscopes write it: floats, many bands, every layout and compression."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import noise_stub
import unseg
from odd_images import COLOUR, GREY, SCAN, tiff
from unseg.errors import UnsegError
from unseg.images.ranges import with_range
from unseg.images.reader import decode
from unseg.images.tiff import read_directories
from unseg.images.writer import encode
from unseg.protect.manifest import Manifest, Record

Cli = Callable[..., tuple[int, str, str]]
SHARE = COLOUR.astype(np.float32) / 255
WIDE = COLOUR.astype(np.uint16) * 30
GEO = [
    (33550, "d", 3, (0.5, 0.5, 0.0), False),
    (33922, "d", 6, (0.0, 0.0, 0.0, 500000.0, 4600000.0, 0.0), False),
    (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32631), False),
    (42113, "s", 6, "-9999", False),
]


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    noise_stub.install(monkeypatch)


def bands(array: np.ndarray, count: int) -> np.ndarray:
    return np.dstack([array, *[array[..., :1]] * (count - array.shape[2])])


def planes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def protected(data: bytes, tmp_path: Path, **settings: Any) -> tuple[Record, np.ndarray, Any]:
    """Record and samples of a file in its own kind, verified, and its first page."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.tif").write_bytes(data)
    chosen = unseg.Settings(**{"format": "same", "device": "cpu", **settings})
    [record] = unseg.protect_folder(folder, tmp_path / "out", chosen).records
    assert record.error is None
    findings = unseg.verify_folder(tmp_path / "out", folder)
    assert findings.ok, findings.problems
    with tifffile.TiffFile(io.BytesIO((tmp_path / "out" / "a.tif").read_bytes())) as file:
        after, page = file.pages.first.asarray(), file.pages.first
        keys = page.geotiff_tags  # read while the file is open
    assert not keys or keys["ProjectedCSTypeGeoKey"] == 32631
    return record, after, page


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True, "tile": (16, 16)},
        {"compression": "zlib"},
        {"planarconfig": "separate"},
    ],
    ids=["plain", "big-endian", "bigtiff-tiled", "deflate", "planes"],
)
def test_floats_stay_floats(dtype: type, options: dict[str, Any], tmp_path: Path) -> None:
    values = SHARE.astype(dtype)
    stored = planes(values) if "planarconfig" in options else values
    data = tiff(stored, photometric="rgb", metadata=None, **options)
    record, after, page = protected(data, tmp_path)
    assert after.dtype == dtype and page.photometric.name == "RGB"
    low, high = float(values.min()), float(values.max())
    assert record.step == pytest.approx((high - low) / 255)
    assert record.range == (low, high) and record.mode == f"RGB{values.itemsize * 8}F"
    change = np.abs(after.astype(np.float64) - values.astype(np.float64))
    assert 0 < change.max() <= 8 * (high - low) / 255 * (1 + 1e-9)
    assert record.change is not None and 7 < record.change.inside <= 8


def test_the_range_of_floats_can_be_named(cli: Cli, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", SHARE, photometric="rgb", metadata=None)
    code, _, err = cli("protect", folder, "-o", out, "--format", "same", "--range", "0:1.02",
                       "--visibility", "strong")  # fmt: skip
    assert code == 0, err
    [record] = Manifest(out).read()[0]
    assert record.range == (0.0, 1.02)
    change = np.abs(tifffile.imread(out / "a.tif").astype(np.float64) - SHARE)
    assert 0.028 < change.max() <= 8 * 1.02 / 255 * (1 + 1e-9)
    assert cli("verify", out, "--originals", folder)[0] == 0
    code, _, err = cli(
        "protect", folder, "-o", tmp_path / "no", "--format", "same", "--range", "3:4"
    )
    assert code == 1 and "no sample is in the range 3:4; they run from 0.0" in " ".join(err.split())
    code, _, err = cli("protect", folder, "-o", tmp_path / "png")
    assert code == 1 and "floating-point samples, but PNG holds none: use --format same" in err


def test_whole_samples_have_no_fractions() -> None:
    with pytest.raises(UnsegError, match=r"the range 0.5:90 does not fit samples of 0 to 65535"):
        decode(tiff(SCAN, metadata=None), "a.tif", (0.5, 90))


def test_no_data_among_floats_stays(tmp_path: Path) -> None:
    values = SHARE.copy()
    values[:5], values[5:9], values[9, :9] = np.nan, -9999, np.inf
    data = tiff(values, photometric="rgb", metadata=None, extratags=GEO)
    record, after, page = protected(data, tmp_path)
    assert {33550, 33922, 34735, 42113} <= set(page.tags.keys())
    np.testing.assert_array_equal(after[:9], values[:9])
    np.testing.assert_array_equal(after[9, :9], values[9, :9])
    assert record.range is not None and 0 < record.range[0] < record.range[1] < 1
    change = np.abs(after[10:] - values[10:])
    assert 0 < change.max() <= 8 / 255


def test_outliers_do_not_stretch_the_range_of_floats() -> None:
    values = np.tile(SHARE[..., 0], (4, 4))
    values[0, 0], values[9, 9] = 9e9, -5
    found = decode(tiff(values, metadata=None), "a.tif")
    assert 0 < found.stated_range[0] < found.stated_range[1] < 1
    whole = with_range(found, "full")
    assert whole.stated_range[1] > 8e9


def test_floats_without_data_or_too_coarse_are_named() -> None:
    with pytest.raises(UnsegError, match=r"a.tif holds no finite sample: leave it out"):
        decode(tiff(np.full((20, 20), np.nan, np.float32), metadata=None), "a.tif")
    far = np.full((20, 20), 1e7, np.float32)
    found = decode(tiff(far, metadata=None), "a.tif", (1e7 - 0.01, 1e7 + 0.01))
    with pytest.raises(UnsegError, match=r"too coarse for steps of .*: name a wider --range"):
        encode(replace(found, pixels=found.pixels + np.uint16(256)), "TIFF", "a.tif")


def test_flat_floats_have_a_range() -> None:
    for value, expected in ((0.3, (0, 0.3)), (0.0, (0, 1)), (-2.0, (-2, 0))):
        found = decode(tiff(np.full((20, 20), value, np.float32), metadata=None), "a.tif")
        assert found.stated_range == pytest.approx(expected)


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (bands(WIDE, 10), {"planarconfig": "contig"}),
        (planes(bands(WIDE, 10)), {"planarconfig": "separate"}),
        (bands(SHARE, 4), {"planarconfig": "contig"}),
        (planes(bands(COLOUR, 4)), {"planarconfig": "separate", "tile": (16, 16)}),
    ],
    ids=["ten", "ten-planes", "floats", "planes-tiled"],
)
def test_bands_without_colours_carry_noise_in_three(
    array: np.ndarray, options: dict[str, Any], tmp_path: Path
) -> None:
    data = tiff(array, photometric="minisblack", metadata=None, **options)
    before = array.transpose(1, 2, 0) if options["planarconfig"] == "separate" else array
    record, after, page = protected(data, tmp_path)
    assert after.shape == before.shape and page.photometric.name == "MINISBLACK"
    assert (after[..., :3] != before[..., :3]).any(axis=(0, 1)).all()
    np.testing.assert_array_equal(after[..., 3:], before[..., 3:])
    assert any("the first three carry noise" in text for text in record.warnings)


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (bands(WIDE, 4), {"extrasamples": ["assocalpha"]}),
        (bands(WIDE, 5), {"extrasamples": ["unassalpha", "unspecified"]}),
        (bands(COLOUR, 4), {"extrasamples": ["unassalpha"]}),
    ],
    ids=["premultiplied", "alpha-and-one", "alpha"],
)
def test_what_bands_are_stays(array: np.ndarray, options: Any, tmp_path: Path) -> None:
    _, after, page = protected(tiff(array, photometric="rgb", metadata=None, **options), tmp_path)
    assert [one.name.lower() for one in page.extrasamples] == options["extrasamples"]
    np.testing.assert_array_equal(after[..., 3:], array[..., 3:])


@pytest.mark.parametrize("array", [SCAN, GREY], ids=["16", "8"])
def test_white_may_be_zero(array: np.ndarray, tmp_path: Path) -> None:
    nodata = [(42113, "s", 4, str(int(array.max())), False)]
    data = tiff(array, photometric="miniswhite", metadata=None, extratags=nodata)
    record, after, page = protected(data, tmp_path)
    assert page.photometric.name == "MINISWHITE"
    change = np.abs(after.astype(int) - array)
    assert 0 < change.max() <= 8
    assert not change[array == array.max()].any()
    if array is SCAN:
        assert record.range == (SCAN.min(), np.unique(SCAN)[-2])


def test_planes_in_tiles_and_any_byte_order(tmp_path: Path) -> None:
    data = tiff(
        planes(WIDE), photometric="rgb", planarconfig="separate", tile=(16, 16), bigtiff=True,
        byteorder=">", metadata=None,
    )  # fmt: skip
    record, after, _ = protected(data, tmp_path)
    change = np.abs(after.astype(int) - WIDE)
    assert 0 < change.max() <= 8 * (record.step or 0)


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR).quantize(40)
    stream = io.BytesIO()
    image.save(stream, "TIFF")
    _, after, page = protected(stream.getvalue(), tmp_path)
    assert page.photometric.name == "RGB"
    assert np.abs(after.astype(int) - np.asarray(image.convert("RGB"))).max() <= 8


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (bands(COLOUR, 5), {"compression": "lzw", "predictor": 2}),
        (bands(WIDE, 5), {"compression": "lzw", "predictor": 2}),
        (SHARE, {"compression": "lzw", "predictor": 3}),
        (bands(COLOUR, 5), {"compression": "zstd"}),
        (COLOUR, {"compression": "lerc"}),
    ],
    ids=["lzw", "lzw-16", "lzw-floats", "zstd", "lerc"],
)
def test_compressions_take_the_extra(
    array: np.ndarray, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("imagecodecs")
    data = tiff(array, photometric="rgb", metadata=None, **options)
    found = decode(data, "a.tif")
    again = decode(encode(found, "TIFF", "a.tif"), "a.tif", found.stated_range)
    np.testing.assert_array_equal(again.pixels, found.pixels)
    if array.dtype == np.uint8:
        np.testing.assert_array_equal(found.pixels, array[..., :3])


def test_what_decodes_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiff(bands(COLOUR, 5), photometric="rgb", metadata=None)
    monkeypatch.setattr(
        "unseg.images.tiff_bands._by_tifffile", lambda data: (None, "needs imagecodecs")
    )
    monkeypatch.setattr("unseg.extras.find_spec", lambda name: None)
    with pytest.raises(
        UnsegError, match=r"a.tif is a TIFF of 5 bands.*pip install 'unseg\[tiff\]'"
    ):
        decode(data, "a.tif")
    monkeypatch.setattr("unseg.images.tiff_bands._by_tifffile", lambda data: (None, "cut off"))
    with pytest.raises(
        UnsegError, match=r"cannot be read \(cut off\): save it without compression"
    ):
        decode(data, "a.tif")


def test_a_mask_as_a_page_is_said() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(COLOUR, photometric="rgb", metadata=None)
        file.write(GREY > 90, subfiletype=4, metadata=None)
        file.write(COLOUR[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
    found = decode(stream.getvalue(), "a.tif")
    assert found.dropped == ("1 smaller copies",)
    assert any("a page of its own, is left out" in one.text for one in found.remarks)


def test_all_tags_but_storage_stay_with_floats_and_bands() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    data = tiff(
        bands(SHARE, 5), photometric="rgb", metadata=None, extratags=GEO, description="flight 7",
        resolution=(300, 150),
    )  # fmt: skip
    found = decode(data, "a.tif")
    assert found.location and found.dpi == (300, 150)
    [before] = read_directories(data)
    [after] = read_directories(encode(found, "TIFF", "a.tif"))
    for tag in (270, 282, 283, 33550, 33922, 34735, 42113):
        assert after[tag] == before[tag]


@pytest.mark.parametrize("kind", ["float", "16"])
def test_tiles_of_a_data_set_share_one_range(kind: str, cli: Cli, tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    mask = np.zeros(GREY.shape, np.uint8)
    mask[10:40, 20:60] = 255
    for number in range(3):
        scale = (1 + number) / 4
        tile = SHARE * scale if kind == "float" else (WIDE * scale).astype(np.uint16)
        tifffile.imwrite(
            root / "images" / f"{number}.tif", tile, photometric="rgb", extratags=GEO, metadata=None
        )
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    code, text, err = cli("dataset", root, "-o", out)
    assert code == 0, text + err
    tiles = [tifffile.imread(root / "images" / f"{number}.tif") for number in range(3)]
    expected = (min(one.min() for one in tiles), max(one.max() for one in tiles))
    records, _ = Manifest(out).read()
    assert [one.range for one in records] == [expected] * 3
    assert cli("verify", out, "--originals", root)[0] == 0
