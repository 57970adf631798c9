"""Files that are easily read wrong: read right, refused with the cause, or said."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import noise_stub
import odd_images
import unseg
from odd_dicom import dicom
from odd_images import COLOUR, GREY, KINDS, SCAN
from unseg.cli.shown import plain
from unseg.errors import UnsegError
from unseg.images import formats
from unseg.images.dicom import encode_dicom
from unseg.images.exif import has_location
from unseg.images.photo import Photo, turn
from unseg.images.ranges import with_range
from unseg.images.reader import decode, read_photo, rgb_of
from unseg.images.tiff import read_directories
from unseg.images.writer import encode
from unseg.masks.regions import Regions
from unseg.noise import Budget
from unseg.protect.core import protect_photo
from unseg.protect.folder import FolderReport
from unseg.protect.manifest import Record

Cli = Callable[..., tuple[int, str, str]]
CASES = Path(os.environ.get("UNSEG_CASES", Path(__file__).parents[2] / "shared" / "cases"))
MASK = np.zeros(GREY.shape, bool)
MASK[15:45, 20:60] = True


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    noise_stub.install(monkeypatch)


def run(folder: Path, out: Path, **settings: Any) -> FolderReport:
    """Protect a folder without masks, in the originals' kinds."""
    chosen = unseg.Settings(**{"format": "same", "device": "cpu", **settings})
    return unseg.protect_folder(folder, out, chosen)


def one(tmp_path: Path, name: str, **settings: Any) -> tuple[Record, Path]:
    """Record and file of one kind, protected, and verified against the original."""
    folder = odd_images.write(tmp_path / "in", name)
    report = run(folder, tmp_path / "out", **settings)
    [record] = report.records
    if record.status != "error":
        findings = unseg.verify_folder(tmp_path / "out", folder)
        assert findings.ok, findings.problems
    return record, tmp_path / "out" / record.output


def image_at(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize("name", list(KINDS))
def test_every_kind_has_its_outcome(name: str, tmp_path: Path) -> None:
    record, path = one(tmp_path, name)
    expected = KINDS[name][1]
    if expected == "protected":
        assert record.status == "protected", record.error
        assert path.name == name
        if record.lossless:
            assert record.change is not None
            assert 1 <= record.change.inside <= 8 and record.change.outside <= 2
    else:
        assert record.error is not None and expected in record.error
        assert "report this" not in record.error


# Sixteen bits


def test_a_scan_of_12_bits_moves_by_steps_of_its_own_range(tmp_path: Path) -> None:
    record, path = one(tmp_path, "scan.png")
    low, high = int(SCAN.min()), int(SCAN.max())
    assert record.range == (low, high) and record.step == max(1, round((high - low) / 255))
    after = np.asarray(image_at(path)).astype(int)
    change = np.abs(after - SCAN)
    assert change.max() <= 8 * record.step
    error = float(np.square(change).mean())
    assert record.psnr == pytest.approx(10 * np.log10((high - low) ** 2 / error), abs=0.01)
    assert any("--range" in note for note in record.notes)


@pytest.mark.parametrize(
    ("choice", "step"), [("full", 257), ("data", 1), ((0, 4095), 16), ((900, 1411), 2)]
)
def test_the_range_can_be_named(choice: Any, step: int, tmp_path: Path) -> None:
    record, path = one(tmp_path, "scan.png", range=choice)
    assert record.step == step
    change = np.abs(np.asarray(image_at(path)).astype(int) - SCAN)
    assert change.max() % step == 0 and step <= change.max() <= 8 * step


def test_hot_pixels_do_not_stretch_the_range() -> None:
    hot = np.tile(SCAN, (8, 8))
    hot[0, 0], hot[5, 5] = 65535, 0
    found = with_range(Photo(hot))
    assert found.low >= SCAN.min() and found.low + found.peak <= SCAN.max()
    # They move no further than others, and out of the range to nowhere.
    noises = noise_stub.noises(noise_stub.WaveSource())
    made = protect_photo(found, Regions.union(hot > 950), noises, Budget(8, 2), "strong")
    change = np.abs(made.pixels.astype(int) - hot)
    assert 0 < change.max() <= 8 * found.step


def test_images_of_all_16_bits_are_protected_as_ever() -> None:
    """A change is a whole number of 257 samples, cut at the ends, as 8 bits would have it."""
    wide = np.clip(COLOUR.astype(np.int32) * 300 - 9000, 0, 65535).astype(np.uint16)
    found = with_range(Photo(wide))
    assert found.range is None and found.step == 257 and found.remarks == ()
    noises = noise_stub.noises(noise_stub.WaveSource())
    made = protect_photo(found, Regions.union(MASK), noises, Budget(8, 2), "strong")
    steps = wide.astype(np.float32) / 257
    signs = np.sign(made.pixels.astype(np.int64) - wide)
    bound = np.where(MASK, 8, 2)[..., None]
    moved = np.round(np.clip(steps + signs * bound, 0, 255) - steps)
    expected = np.round(np.clip(steps + moved, 0, 255) * np.float32(257))
    np.testing.assert_array_equal(made.pixels, expected)


def test_a_flat_image_has_a_range_of_its_bits() -> None:
    found = with_range(Photo(np.full((20, 20), 1000, np.uint16)))
    assert found.range == (0, 1023)
    assert with_range(Photo(np.zeros((9, 9), np.uint16))).step == 1


def test_models_see_the_range_in_use() -> None:
    found = with_range(Photo(SCAN))
    seen = rgb_of(found)
    assert seen.min() == 0 and seen.max() > 150
    assert found.in_steps(SCAN).max() > 150


def test_wrong_ranges_say_what_would_work(cli: Cli, tmp_path: Path) -> None:
    for value in ("4095", "9:3", "data:full", "a:b"):
        code, _, err = cli("protect", tmp_path, "-o", tmp_path / "o", "--range", value)
        assert code == 2 and f"--range {value}: expected auto, data, full" in err
    with pytest.raises(UnsegError, match=r"range 5000:6000; they run from \d+ to \d+"):
        with_range(Photo(SCAN), (5000, 6000))
    with pytest.raises(UnsegError, match="0:70000 does not fit samples of 0 to 65535"):
        with_range(Photo(SCAN), (0, 70000))
    with pytest.raises(UnsegError, match="range='wide': expected auto"):
        unseg.Settings(range="wide")  # type: ignore[arg-type]


def test_python_and_folders_find_the_same_range(tmp_path: Path) -> None:
    protector = unseg.Protector(noise_stub.noises(noise_stub.BatchSource()))
    result = protector.protect(SCAN, np.ones(SCAN.shape, bool))
    assert np.abs(result.image.astype(int) - SCAN).max() <= 8
    assert any("--range" in note for note in result.notes)
    whole = protector.protect(SCAN, np.ones(SCAN.shape, bool), range="full")
    assert np.abs(whole.image.astype(int) - SCAN).max() >= 257


# TIFF


def test_signed_samples_stay_signed(tmp_path: Path) -> None:
    record, path = one(tmp_path, "signed.tif")
    after = tifffile.imread(path)
    assert after.dtype == np.int16
    before = SCAN.astype(np.int16) - 1000
    assert 0 < np.abs(after.astype(int) - before).max() <= 8
    assert record.range == (int(before.min()), int(before.max()))
    record, _ = one(tmp_path / "png", "signed.tif", format="png")
    assert "signed samples, but PNG holds none: use --format same or tiff" in (record.error or "")


@pytest.mark.parametrize(("name", "count"), [("rgbn.tif", 4), ("five.tif", 5)])
def test_further_bands_stay_as_they_are(name: str, count: int, tmp_path: Path) -> None:
    record, path = one(tmp_path, name)
    after, before = tifffile.imread(path), tifffile.imread(io.BytesIO(KINDS[name][0]()))
    assert after.shape == before.shape == (*GREY.shape, count)
    np.testing.assert_array_equal(after[..., 3:], before[..., 3:])
    assert (after[..., :3] != before[..., :3]).any()
    assert any("without noise" in text for text in record.warnings)
    record, _ = one(tmp_path / "png", name, format="png")
    assert "bands beyond colour and alpha, but PNG holds none" in (record.error or "")


def test_georeference_and_tags_stay(tmp_path: Path) -> None:
    _, path = one(tmp_path, "geo.tif")
    [before] = read_directories(odd_images.geo_tiff())
    [after] = read_directories(path.read_bytes())
    for tag in (270, 305, 33550, 33922, 34735, 42113):
        assert after[tag] == before[tag]
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].geotiff_tags["ProjectedCSTypeGeoKey"] == 32631
        assert file.pages[0].compression == 8
    np.testing.assert_array_equal(np.asarray(image_at(path)), tifffile.imread(path))


def test_a_png_says_that_the_georeference_is_lost(cli: Cli, tmp_path: Path) -> None:
    folder = odd_images.write(tmp_path / "in", "geo.tif")
    code, text, _ = cli("protect", folder, "-o", tmp_path / "out")
    assert code == 3 and "a PNG file holds no georeference" in " ".join(text.split())
    code, _, err = cli("protect", folder, "-o", tmp_path / "strict", "--strict")
    assert code == 1 and "georeference" in err
    assert cli("protect", folder, "-o", tmp_path / "tiff", "--format", "tiff")[0] == 0


def test_no_data_stays_no_data_and_nothing_becomes_it() -> None:
    pixels = np.tile(np.arange(1, 61, dtype=np.uint8)[:, None, None], (1, 80, 3))
    pixels[:, :20] = 0
    before = Photo(pixels, nodata=0)
    noises = noise_stub.noises(noise_stub.WaveSource())
    made = protect_photo(before, Regions.union(MASK), noises, Budget(8, 2), "strong")
    np.testing.assert_array_equal(made.pixels == 0, pixels == 0)
    assert (made.pixels != pixels).any()


def test_smaller_copies_in_a_tiff_are_no_pages() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(COLOUR, photometric="rgb", metadata=None)
        file.write(COLOUR[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
    found = decode(stream.getvalue(), "a.tif")
    np.testing.assert_array_equal(found.pixels, COLOUR)
    assert "1 smaller copies" in found.dropped


@pytest.mark.parametrize(("byteorder", "bigtiff"), [("<", False), (">", False), ("<", True)])
def test_tags_of_any_byte_order_are_carried(byteorder: Any, bigtiff: bool) -> None:
    stream = io.BytesIO()
    extra = [(33550, "d", 3, (0.5, 0.25, 0.0), False), (65000, "H", 3, (1, 2, 300), False)]
    with tifffile.TiffWriter(stream, byteorder=byteorder, bigtiff=bigtiff) as file:
        file.write(COLOUR, photometric="rgb", metadata=None, extratags=extra, resolution=(300, 150))
    found = decode(stream.getvalue(), "a.tif")
    with tifffile.TiffFile(io.BytesIO(encode(found, "TIFF", "a.tif"))) as written:
        tags = written.pages[0].tags
        assert tags[33550].value == (0.5, 0.25, 0.0) and tags[65000].value == (1, 2, 300)
        assert tags[282].value[0] / tags[282].value[1] == 300
        np.testing.assert_array_equal(written.asarray(), COLOUR)


def test_a_tiff_keeps_its_exif_and_profile() -> None:
    stream = io.BytesIO()
    exif = odd_images.located().tobytes()
    Image.fromarray(COLOUR).save(stream, "TIFF", exif=exif, icc_profile=odd_images.srgb())
    found = decode(stream.getvalue(), "a.tif")
    assert found.location
    again = decode(encode(found, "TIFF", "a.tif"), "a.tif")
    assert again.location and again.icc == odd_images.srgb()
    np.testing.assert_array_equal(again.pixels, COLOUR)


# Colours


def test_cmyk_is_converted_through_its_profile_and_said(tmp_path: Path) -> None:
    record, path = one(tmp_path, "cmyk.jpg", format="png")
    assert any("CMYK was converted to RGB" in text for text in record.warnings)
    difference = np.asarray(image_at(path)).astype(int) - COLOUR
    assert np.abs(difference).mean() < 12  # the right way round, not a negative
    # Of what cannot be used, that is said.
    image = Image.fromarray(COLOUR).convert("CMYK")
    image.info["icc_profile"] = b"no profile"
    result = unseg.Protector(noise_stub.noises(noise_stub.BatchSource())).protect(image, MASK)
    assert result.image.mode == "RGB" and any("cannot be used" in w for w in result.warnings)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_the_profile_says_what_inks_look_like(kind: str) -> None:
    stream = io.BytesIO()
    image = Image.new("CMYK", (30, 20), (255, 0, 0, 0))
    image.paste((0, 0, 0, 0), (10, 0, 20, 20))
    image.paste((0, 0, 0, 255), (20, 0, 30, 20))
    image.save(stream, kind, icc_profile=odd_images.printing_profile())
    found = decode(stream.getvalue(), "a")
    assert [remark.text for remark in found.remarks] == [
        "CMYK was converted to sRGB through the file's own colour profile"
    ]
    cyan, paper, black = (found.pixels[10, column].astype(int) for column in (4, 15, 26))
    assert cyan[0] > cyan[1] + 60 and paper.min() > 240 and black.max() < 15
    assert found.icc is None and found.format == kind


def test_black_and_white_photographs_stay_grey(tmp_path: Path, cli: Cli) -> None:
    grey = np.repeat(GREY[..., None], 3, axis=2)
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(grey).save(folder / "a.png")
    report = run(folder, tmp_path / "out")
    assert report.records[0].noise == "grey"
    after = np.asarray(image_at(tmp_path / "out" / "a.png")).astype(int)
    assert np.ptp(after, axis=2).max() == 0 and (after != grey).any()
    _, text, _ = cli("protect", folder, "-o", tmp_path / "told")
    assert "1 colour files hold grey pixels" in text and "--tint adds a colour" in text
    code, text, _ = cli("protect", folder, "-o", tmp_path / "tinted", "--tint")
    assert code == 0 and "grey pixels" not in text
    tinted = np.asarray(image_at(tmp_path / "tinted" / "a.png")).astype(int)
    assert np.ptp(tinted, axis=2).max() > 0


def test_only_exif_turns_a_picture() -> None:
    assert decode(odd_images.xmp_turned(), "a.jpg").size == (80, 60)
    exif = Image.Exif()
    exif[0x0112] = 8
    stream = io.BytesIO()
    xmp = Image.open(io.BytesIO(odd_images.xmp_turned())).info["xmp"]
    Image.fromarray(COLOUR).save(stream, "JPEG", exif=exif, xmp=xmp, quality=95)
    found = decode(stream.getvalue(), "a.jpg")
    assert found.size == (60, 80) and "XMP" in found.dropped


# What is carried over


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "TIFF", "PNG"])
@pytest.mark.parametrize("written", ["PNG", "JPEG", "TIFF"])
def test_density_stays(kind: str, written: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(COLOUR).save(stream, kind, dpi=(300, 300))
    data = encode(decode(stream.getvalue(), "a"), written, "a")
    assert Image.open(io.BytesIO(data)).info["dpi"] == pytest.approx((300, 300), abs=0.05)


def test_what_is_left_out_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    image = Image.fromarray(COLOUR)
    image.save(folder / "a.jpg", comment="by me", quality=95)
    (folder / "a.jpg").write_bytes((folder / "a.jpg").read_bytes() + b"a film")
    [record] = run(folder, tmp_path / "out").records
    assert record.notes == ["not carried over: a comment, data behind the picture"]
    text = odd_images.large_chunk(b"zTXt")
    assert decode(text, "a.png").dropped == ("the PNG text 'workflow'",)


def test_large_profiles_are_kept() -> None:
    found = decode(odd_images.large_chunk(b"iCCP"), "a.png")
    assert found.icc == bytes(2_000_000)
    assert decode(encode(found, "PNG", "a.png"), "a.png").icc == found.icc


def test_location_is_said_and_left_out_when_asked(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(COLOUR).save(folder / "a.jpg", exif=odd_images.located())
    code, text, _ = cli("protect", folder, "-o", tmp_path / "out")
    assert code == 0 and "1 images say where they were taken" in text
    for what, maker in (("gps", "maker"), ("all", None)):
        out = tmp_path / what
        code, text, _ = cli("protect", folder, "-o", out, "--strip", what)
        assert code == 0 and "where they were taken" not in text
        exif = image_at(out / "a.png").getexif()
        assert not exif.get_ifd(0x8825) and exif.get(271) == maker
        assert not has_location(read_photo(out / "a.png").exif)
    geo = odd_images.write(tmp_path / "geo", "geo.tif")
    record = run(geo, tmp_path / "plain", strip="gps").records[0]
    [tags] = read_directories((tmp_path / "plain" / "geo.tif").read_bytes())
    assert not record.location and 33550 not in tags and 270 in tags


def test_saving_from_python_keeps_exif_and_profile(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(COLOUR).save(
        stream, "JPEG", exif=odd_images.located(), icc_profile=odd_images.srgb(), dpi=(300, 300)
    )
    protector = unseg.Protector(noise_stub.noises(noise_stub.BatchSource()))
    result = protector.protect(Image.open(stream), MASK)
    for name in ("a.png", "a.jpg", "a.webp", "a.tif"):
        result.save(tmp_path / name)
        found = read_photo(tmp_path / name)
        assert found.icc == odd_images.srgb() and found.location
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png").pixels, np.asarray(result.image))
    with pytest.raises(UnsegError, match=r"a\.gif: expected a name ending in \.png"):
        result.save(tmp_path / "a.gif")


@pytest.mark.parametrize("name", ["rgbn.tif", "five.tif", "wide.tif", "signed.tif"])
def test_python_refuses_what_pillow_shows_in_part(name: str) -> None:
    protector = unseg.Protector(noise_stub.noises(noise_stub.BatchSource()))
    with (
        Image.open(io.BytesIO(KINDS[name][0]())) as image,
        pytest.raises(UnsegError, match="of which Pillow shows"),
    ):
        protector.protect(image, MASK)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_refused_in_python_as_in_the_command(kind: str) -> None:
    protector = unseg.Protector(noise_stub.noises(noise_stub.BatchSource()))
    moving = Image.open(io.BytesIO(odd_images.animation(kind)))
    with pytest.raises(UnsegError, match="the image holds 2 frames: expected a still image"):
        protector.protect(moving, MASK)


def test_jpeg_says_calmly_what_survived(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(COLOUR).save(folder / "a.png")
    code, text, _ = cli(
        "protect", folder, "-o", tmp_path / "out", "--format", "jpeg", "--quality", "95"
    )
    text = " ".join(text.split())
    assert code == 0 and "of the noise in 1 images" in text and "largest change is" in text
    written = image_at(tmp_path / "out" / "a.jpg")
    assert [part[1:3] for part in written.layer] == [(1, 1)] * 3
    assert unseg.verify_folder(tmp_path / "out", folder).ok


# Names and first bytes


def test_what_a_file_is_its_first_bytes_say(tmp_path: Path, cli: Cli) -> None:
    folder = odd_images.write(tmp_path / "in", "noext", "raw.pef", "brain.nii.gz")
    (folder / "notes").write_text("no image")
    (folder / "a.jpg").write_bytes(KINDS["noext"][0]())
    (folder / "a.jpg_original").write_bytes(KINDS["noext"][0]())
    (folder / "phone.pef").write_bytes(KINDS["noext"][0]())
    code, _, err = cli("protect", folder, "-o", tmp_path / "out")
    err = " ".join(err.split())
    assert code == 1 and "raw.pef is of a kind that is not read (RAW)" in err
    assert "phone.pef is named like a RAW file, which is not read, but holds JPEG: rename it" in err
    written = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert written == ["a.jpg_original.png", "a.png", "noext.png"]
    run_file = json.loads((tmp_path / "out" / "unseg-run.json").read_text())
    assert run_file["ignored"] == ["notes"]


def test_only_unread_kinds_are_an_error(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, suffix in enumerate((".cr3", ".jxl", ".exr", ".nii")):
        (folder / f"{number}{suffix}").write_bytes(b"anything")
    code, _, err = cli("protect", folder, "-o", tmp_path / "out")
    assert code == 1 and err.count("is of a kind that is not read") == 4


@pytest.mark.parametrize("name", ["bad [final].jpg", "bad [b]x[.jpg", "p[/b].jpg", "a\x1b[31m.jpg"])
@pytest.mark.parametrize("command", ["protect", "masks"])
def test_names_are_no_markup_and_steer_no_terminal(
    name: str, command: str, cli: Cli, tmp_path: Path
) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(KINDS["noext"][0]()[:400])
    code, _, err = cli(command, tmp_path / "in", "-o", tmp_path / "out")
    # The console breaks lines where it is narrow.
    joined = "".join(err.split())
    assert code == 1 and "".join(plain(name).split()) in joined
    assert "\x1b[31m" not in err.replace("\x1b[31munseg", "")


def test_the_table_of_formats_is_the_documentation() -> None:
    page = (Path(__file__).parents[1] / "docs" / "formats.md").read_text()
    _, _, rest = page.partition("<!-- formats -->\n")
    stated, end, _ = rest.partition("\n<!-- /formats -->")
    assert end and stated == formats.table()


def test_no_suffix_stands_for_two_formats() -> None:
    found = formats.suffixes(formats.FORMATS.values())
    assert len(found) == len(set(found))
    assert all(one.read or not one.written for one in formats.FORMATS.values())


# Again, and one file


def test_what_is_protected_is_not_protected_again_unasked(cli: Cli, tmp_path: Path) -> None:
    folder, out = odd_images.write(tmp_path / "in", "noext"), tmp_path / "out"
    assert cli("protect", folder, "-o", out)[0] == 0
    for inputs in (out, out / "noext.png", tmp_path / "holder"):
        if inputs.name == "holder":
            out.rename(tmp_path / "holder-out")
            inputs.mkdir()
            (tmp_path / "holder-out").rename(inputs / "inner")
        code, _, err = cli("protect", inputs, "-o", tmp_path / "twice")
        assert code == 2 and "holds images that unseg protect wrote" in err and "--again" in err
    assert cli("protect", tmp_path / "holder", "-o", tmp_path / "twice", "--again")[0] == 0


def test_an_output_among_the_originals_is_noticed(cli: Cli, tmp_path: Path) -> None:
    folder, out = odd_images.write(tmp_path / "in", "noext"), tmp_path / "out"
    assert cli("protect", folder, "-o", out)[0] == 0
    (folder / "copy.png").write_bytes((out / "noext.png").read_bytes())
    code, _, err = cli("protect", folder, "-o", out, "--resume")
    assert code == 1 and "copy.png is what an earlier run wrote" in " ".join(err.split())


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
def test_one_image_to_one_file(suffix: str, cli: Cli, tmp_path: Path) -> None:
    folder = odd_images.write(tmp_path / "in", "noext")
    target = tmp_path / f"single{suffix}"
    code, text, _ = cli("protect", folder / "noext", "-o", target)
    assert code == 0 and "1 of 1" in text
    record = json.loads((tmp_path / f"single{suffix}.unseg.json").read_text())["record"]
    assert record["output"] == target.name and record["status"] == "protected"
    assert read_photo(target).size == (80, 60)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "in",
        target.name,
        f"{target.name}.unseg.json",
    ]
    code, _, err = cli("protect", folder / "noext", "-o", target)
    assert code == 2 and "exists already: use --overwrite" in " ".join(err.split())
    assert cli("protect", folder / "noext", "-o", target, "--overwrite")[0] == 0


def test_a_failure_leaves_no_single_file(cli: Cli, tmp_path: Path) -> None:
    folder = odd_images.write(tmp_path / "in", "text.jpg")
    code, _, err = cli("protect", folder / "text.jpg", "-o", tmp_path / "a.png")
    assert code == 1 and "is not an image" in err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    code, _, err = cli("protect", folder / "text.jpg", "-o", tmp_path / "a.gif")
    assert code == 2 and "files of this kind are not written" in " ".join(err.split())


# DICOM and HEIF


WINDOW = {"WindowCenter": 1030, "WindowWidth": 512}


@pytest.mark.parametrize(
    ("array", "elements", "step"),
    [
        (SCAN, {}, 1),
        (SCAN, WINDOW, 2),
        (SCAN.astype(np.int16) - 1000, {}, 1),
        (SCAN, {"PhotometricInterpretation": "MONOCHROME1", **WINDOW}, 2),
        (SCAN, {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 1000,
                "WindowWidth": 2041}, 4),
        (GREY, {"bits": 8}, 1),
    ],
)  # fmt: skip
def test_dicom_goes_in_and_out(
    array: np.ndarray, elements: dict[str, Any], step: int, tmp_path: Path
) -> None:
    pydicom = pytest.importorskip("pydicom")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(dicom(array, **elements))
    report = run(folder, tmp_path / "out", format="png")
    [record] = report.records
    assert record.status == "protected", record.error
    assert record.step == step and record.output == "a.dcm"
    assert unseg.verify_folder(tmp_path / "out", folder).ok
    before, after = (pydicom.dcmread(place / "a.dcm") for place in (folder, tmp_path / "out"))
    change = np.abs(after.pixel_array.astype(int) - before.pixel_array)
    assert step <= change.max() <= 8 * step
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    for one_file in (before, after):
        del one_file.PixelData, one_file.SOPInstanceUID, one_file.ImageType
    assert after == before


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"NumberOfFrames": 2}, "holds 2 frames: expected one"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "has PALETTE COLOR pixels"),
        ({"HighBit": 15}, "has its samples in the high bits"),
    ],
)
def test_dicom_that_is_not_supported_is_named(elements: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsegError, match=message):
        decode(dicom(SCAN, **elements), "a.dcm")


def test_dicom_padding_stays_padding() -> None:
    scan = SCAN.copy()
    scan[:, :9] = 0
    found = decode(dicom(scan, PixelPaddingValue=0), "a.dcm")
    noises = noise_stub.noises(noise_stub.WaveSource())
    made = protect_photo(found, Regions.union(MASK), noises, Budget(8, 2), "strong")
    np.testing.assert_array_equal(made.pixels == 0, scan == 0)
    again = decode(encode_dicom(replace(found, pixels=made.pixels), "a.dcm"), "a.dcm")
    np.testing.assert_array_equal(again.pixels, made.pixels)


def test_heif_is_read_with_the_extra_and_named_without(monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(COLOUR)).save(stream, quality=-1)
    found = decode(stream.getvalue(), "a.heic")
    assert found.format == "HEIF"
    assert np.abs(found.pixels.astype(int) - COLOUR).mean() < 4
    monkeypatch.setattr("unseg.extras.find_spec", lambda name: None)
    with pytest.raises(UnsegError, match=r"pip install 'unseg\[heif\]'"):
        decode(stream.getvalue(), "a.heic")
    with pytest.raises(UnsegError, match=r"pip install 'unseg\[dicom\]'"):
        decode(bytes(128) + b"DICM" + bytes(9), "a.dcm")


def test_deep_samples_of_phones_are_read_as_8_bits_and_said() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    wide = (COLOUR.astype("<u2") * 257).tobytes()
    made = pillow_heif.from_bytes(mode="RGB;16", size=(80, 60), data=wide)
    stream = io.BytesIO()
    made.save(stream, quality=90)
    found = decode(stream.getvalue(), "a.heic")
    assert [one.text for one in found.remarks] == ["its samples of 10 bits were read as 8"]
    exif = Image.Exif()
    exif[0x0112] = 3
    made = pillow_heif.from_pillow(Image.fromarray(COLOUR))
    made[0].info["exif"] = exif.tobytes()
    stream = io.BytesIO()
    made.save(stream, quality=95)
    found = decode(stream.getvalue(), "a.heic")
    assert found.turned == 3 and not found.remarks
    assert np.abs(found.pixels.astype(int) - COLOUR[::-1, ::-1]).mean() < 4


def test_avif_is_read() -> None:
    from PIL import features

    if not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    assert decode(odd_images.pillow(COLOUR, "AVIF", quality=95), "a.avif").size == (80, 60)


# The real cases

REFUSED = {
    "anim.gif", "anim.webp", "apng2.png", "badcrc.png", "bmp300.bmp", "chan2.tif",
    "empty.jpg", "html.jpg", "lab.tif", "lfs.png", "missing_eoi.jpg",
    "one.gif", "really_avif.jpg", "really_webp.jpg", "trunc.jpg", "u32.tif",
}  # fmt: skip
"""Files of the cases that ``--format same`` does not write, each for its own reason."""


def test_the_cases(tmp_path: Path) -> None:
    folder = CASES / "files" / "in"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there (UNSEG_CASES)")
    plan = {}
    for path in sorted(folder.iterdir()):  # a folder each: some have one stem
        place = tmp_path / "in" / path.suffix[1:]
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).write_bytes(path.read_bytes())
        plan[path.name] = place
    report = run(tmp_path / "in", tmp_path / "out")
    assert {Path(r.source).name for r in report.records} == set(plan)
    for record in report.records:
        assert "report this" not in (record.error or ""), record.error
        name = Path(record.source).name
        assert (record.status == "error") == (name in REFUSED), (name, record.error)
        assert Path(record.output).name == name or name in REFUSED
    assert unseg.verify_folder(tmp_path / "out", tmp_path / "in").ok


def test_the_cases_of_kinds(tmp_path: Path) -> None:
    folder = CASES / "kinds"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there (UNSEG_CASES)")
    records = {r.source: r for r in run(folder, tmp_path / "out").records}
    assert set(records) == {"a.jpg", "b.hif", "b.nii.gz", "b.pef", "noext"}
    assert records["noext"].status == records["a.jpg"].status == "protected"
    assert records["b.pef"].status == records["b.nii.gz"].status == "error"


def test_a_profile_that_describes_no_cmyk_is_not_used() -> None:
    wrong = decode(odd_images.cmyk(icc_profile=odd_images.srgb()), "a.jpg")
    assert "cannot be used" in wrong.remarks[0].text  # an RGB profile describes no CMYK


def test_few_sample_values_are_a_warning() -> None:
    [note, warning] = with_range(Photo(SCAN // 8)).remarks
    assert "use --range for another range" in note.text and not note.warning
    assert warning.warning and "give a smaller --eps" in warning.text


def test_a_series_without_suffixes_keeps_its_names_and_masks_apart(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("1.2.840.1", "1.2.840.2", "slice.dcm"):
        (folder / name).write_bytes(dicom(SCAN))
    (folder / "slice.png").write_bytes(odd_images.pillow(SCAN, "PNG"))
    report = run(folder, tmp_path / "out", format="png")
    assert report.ok and len({record.mask for record in report.records}) == 4
    outputs = sorted(record.output for record in report.records)
    assert outputs == ["1.2.840.1", "1.2.840.2", "slice.dcm", "slice.png"]
    assert unseg.verify_folder(tmp_path / "out", folder).ok


def test_masks_of_dicom_are_png(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(dicom(SCAN))
    assert cli("masks", folder, "-o", tmp_path / "masks")[0] == 0
    assert image_at(tmp_path / "masks" / "a.dcm.png").format == "PNG"


def test_an_icon_in_dicom_is_left_out() -> None:
    pydicom = pytest.importorskip("pydicom")
    found = decode(dicom(SCAN, IconImageSequence=[pydicom.Dataset()]), "a.dcm")
    assert found.dropped == ("the icon, a small copy of the picture",)
    assert decode(encode_dicom(found, "a.dcm"), "a.dcm").dropped == ()


# Copies without a manifest, label maps, turned images


@pytest.mark.parametrize("where", ["beside", "in", "above"])
def test_copies_of_protected_images_are_known_by_checksum(
    where: str, cli: Cli, tmp_path: Path
) -> None:
    folder, out = odd_images.write(tmp_path / "in", "noext", "bw.jpg"), tmp_path / "out"
    assert cli("protect", folder, "-o", out)[0] == 0
    place = {"beside": tmp_path / "copies", "in": out, "above": out / "copies"}[where]
    place.mkdir(exist_ok=True)
    (place / "renamed.png").write_bytes((out / "noext.png").read_bytes())
    code, _, err = cli("protect", place / "renamed.png", "-o", tmp_path / "twice.png")
    assert code == 2 and "renamed.png is what an earlier run wrote" in " ".join(err.split())
    if where != "in":  # there the others are listed, which is said first
        (place / "new.png").write_bytes(odd_images.pillow(COLOUR[::-1], "PNG"))
        code, _, err = cli("protect", place, "-o", tmp_path / "twice")
        assert code == 1 and "renamed.png is what an earlier run wrote" in " ".join(err.split())
        assert [one.name for one in (tmp_path / "twice").glob("*.png")] == ["new.png"]
    assert cli("protect", place, "-o", tmp_path / "again", "--again")[0] == 0


def test_a_single_image_is_known_by_its_record(cli: Cli, tmp_path: Path) -> None:
    folder = odd_images.write(tmp_path / "in", "noext")
    assert cli("protect", folder / "noext", "-o", tmp_path / "a.png")[0] == 0
    (tmp_path / "other.unseg.json").write_text("[]")
    code, _, err = cli("protect", tmp_path / "a.png", "-o", tmp_path / "b.png")
    assert code == 2 and "a.png is what an earlier run wrote" in " ".join(err.split())
    assert cli("protect", tmp_path / "a.png", "-o", tmp_path / "b.png", "--again")[0] == 0


def label_map() -> np.ndarray:
    labels = np.zeros(GREY.shape, np.uint8)
    labels[10:40, 10:50] = 7
    return labels


def test_label_maps_among_the_photographs_get_no_mask(cli: Cli, tmp_path: Path) -> None:
    folder = odd_images.write(tmp_path / "in", "noext")
    (folder / "map.png").write_bytes(odd_images.pillow(label_map(), "PNG"))
    code, _, err = cli("masks", folder, "-o", tmp_path / "masks")
    assert code == 1 and "map.png looks like a label map" in " ".join(err.split())
    assert [one.name for one in (tmp_path / "masks").iterdir()] == ["noext.png"]


@pytest.mark.parametrize("kind", [np.asarray, Image.fromarray])
def test_label_maps_in_a_list_are_refused_as_in_a_folder(kind: Callable[..., Any]) -> None:
    protector = unseg.Protector(noise_stub.noises(noise_stub.BatchSource()))
    with pytest.raises(
        UnsegError, match="image 1 looks like a label map or mask, and other images"
    ):
        protector.protect([kind(COLOUR), kind(label_map())], [MASK, MASK])
    assert protector.protect(kind(label_map()), MASK).noise is not None
    assert len(protector.protect([kind(label_map())] * 2, [MASK] * 2)) == 2


def test_python_says_of_masks_what_the_command_says() -> None:
    protector = unseg.Protector(noise_stub.noises(noise_stub.BatchSource()))
    nearly, everything, dot = np.ones((3, *GREY.shape), bool)
    nearly[:3], dot[:], dot[3, 3:6] = False, False, True
    for mask, said in (
        (nearly, "covers more than 85%"),
        (everything, "has no background"),
        (dot, "covers less than 0.5%"),
    ):
        for given in (mask, Image.fromarray(mask.astype(np.uint8) * np.uint8(255))):
            assert any(said in text for text in protector.protect(COLOUR, given).warnings)


def test_a_tiff_of_several_pages_is_refused_in_python() -> None:
    protector = unseg.Protector(noise_stub.noises(noise_stub.BatchSource()))
    data = odd_images.tiff(np.stack([GREY] * 3), photometric="minisblack", metadata=None)
    image = Image.open(io.BytesIO(data))
    with pytest.raises(UnsegError, match="the image holds 3 frames: expected a still image"):
        protector.protect(image, MASK)
    image.seek(1)  # the caller's choice
    assert protector.protect(image, MASK).noise is not None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("square", [False, True])
def test_masks_of_turned_images_are_of_the_turned_image(
    orientation: int, square: bool, tmp_path: Path
) -> None:
    pixels = COLOUR[:, :60] if square else COLOUR
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[5:25, 5:30] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    for which, drawn in (("raw", mask), ("shown", turn(mask, orientation))):
        folder, masks = tmp_path / which / "in", tmp_path / which / "masks"
        folder.mkdir(parents=True)
        masks.mkdir()
        Image.fromarray(pixels).save(folder / "a.png", exif=exif)
        Image.fromarray(drawn).save(masks / "a.png")
        out, chosen = tmp_path / which / "out", unseg.Settings(device="cpu")
        [record] = unseg.protect_folder(folder, out, chosen, masks=masks).records
        swapped = orientation >= 5 and not square
        if which == "raw" and swapped:
            assert "EXIF orientation is applied first" in (record.error or "")
            continue
        assert record.status == "protected"
        doubtful = orientation != 1 and not swapped
        assert any("which its size does not tell" in w for w in record.warnings) == doubtful
        np.testing.assert_array_equal(np.asarray(image_at(out / str(record.mask))), drawn > 0)
