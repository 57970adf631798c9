"""``unseg dataset`` on files that stay what they are, DICOM and GeoTIFF, and the files' options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dataset_layouts import NEGATIVE, dicom, geotiff, pairs, scan, slice_file
from layouts import photograph, save
from unseg.datasets.layouts import detect
from unseg.images.tiff import read_directories
from unseg.protect.manifest import Manifest, Record

pydicom = pytest.importorskip("pydicom")

Cli = Callable[..., tuple[int, str, str]]


def records(out: Path) -> list[Record]:
    return Manifest(out).read()[0]


def test_dicom_keeps_all_but_pixels_and_instance(cli: Cli, tmp_path: Path) -> None:
    root, out = dicom(tmp_path / "in"), tmp_path / "out"
    code, text, err = cli("dataset", root, "-o", out, "--splits", "all")
    assert code == 0, text + err
    made = records(out)
    assert len(made) == 5 and all(one.output == one.source for one in made)
    assert "val/series1/1.2.4" in {one.source for one in made}
    for one in made:
        before, after = (pydicom.dcmread(place / one.source) for place in (root, out))
        assert after.SOPInstanceUID != before.SOPInstanceUID
        assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
        for file in (before, after):
            del file.PixelData, file.SOPInstanceUID
            assert (file.pop("ImageType", None) is None) == (file is before)
        assert after == before


@pytest.mark.parametrize("choice", ["auto", "data"])
def test_slices_of_a_series_share_one_range(choice: str, cli: Cli, tmp_path: Path) -> None:
    root, out = dicom(tmp_path / "in"), tmp_path / "out"
    bright = scan(NEGATIVE) + 600
    (root / "train/series1/0003.dcm").write_bytes(slice_file(bright, NEGATIVE))
    assert cli("dataset", root, "-o", out, "--range", choice)[0] == 0
    # The slice without an object is copied, but it is part of the series.
    lows, highs = zip(*((scan(n).min(), scan(n).max()) for n in range(3)), strict=True)
    expected = (int(min(lows)), int(max(*highs, bright.max())))
    assert {tuple(one.range or ()) for one in records(out)} == {expected}
    assert {one.step for one in records(out)} == {(expected[1] - expected[0]) // 255}
    before = {one.output: (out / one.output).stat().st_mtime_ns for one in records(out)}
    assert cli("dataset", root, "-o", out, "--range", choice, "--resume")[0] == 0
    assert before == {name: (out / name).stat().st_mtime_ns for name in before}
    assert cli("verify", out, "--originals", root)[0] == 0


def test_windows_of_a_series_are_joined(cli: Cli, tmp_path: Path) -> None:
    root, out = dicom(tmp_path / "in"), tmp_path / "out"
    for n, centre in enumerate((1100, 1140, 1180)):
        data = slice_file(scan(n), n, WindowCenter=centre, WindowWidth=301)
        (root / f"train/series1/{n:04d}.dcm").write_bytes(data)
    # Air alone has no sample in the window; it is copied, and the others are not held up by it.
    (root / "train/series1/0003.dcm").write_bytes(
        slice_file(scan(3) * 0, 3, WindowCenter=1100, WindowWidth=301)
    )
    assert cli("dataset", root, "-o", out)[0] == 0
    assert {tuple(one.range or ()) for one in records(out)} == {(950, 1330)}


def test_a_named_range_is_taken(cli: Cli, tmp_path: Path) -> None:
    root = dicom(tmp_path / "in")
    assert cli("dataset", root, "-o", tmp_path / "out", "--range", "0:2047")[0] == 0
    assert {tuple(one.range or ()) for one in records(tmp_path / "out")} == {(0, 2047)}
    code, _, err = cli("dataset", root, "-o", tmp_path / "no", "--range", "9:2")
    assert code == 2 and "--range 9:2" in err


def test_dicom_without_masks(cli: Cli, tmp_path: Path) -> None:
    root, out = dicom(tmp_path / "in"), tmp_path / "out"
    for path in (root / "masks").rglob("*.png"):
        path.unlink()
    code, _, err = cli("dataset", root, "-o", out)
    assert code == 2 and "--find salient,whole-image" in err and not out.exists()
    code, text, err = cli("dataset", root, "-o", out, "--find", "whole-image")
    assert code == 0, text + err
    assert {one.mask_source for one in records(out)} == {"whole-image"} and len(records(out)) == 4


def test_dicom_files_that_are_no_slices(cli: Cli, tmp_path: Path) -> None:
    root, out = dicom(tmp_path / "in"), tmp_path / "out"
    (root / "DICOMDIR").write_bytes(slice_file(scan(0), 7, modality="SEG"))
    (root / "masks/map.dcm").write_bytes(slice_file(scan(0) // 600, 8))
    code, text, _ = cli("dataset", root, "-o", out)
    assert code == 3 and "2 DICOM files are no slices" in " ".join(text.split())
    assert (out / "DICOMDIR").read_bytes() == (root / "DICOMDIR").read_bytes()


def test_masks_beside_a_series_and_in_a_folder_of_their_own(cli: Cli, tmp_path: Path) -> None:
    for number, (images, masks) in enumerate(
        (("one/images", "one/masks"), ("one", "one/masks"), ("images/one", "masks/one"))
    ):
        root = tmp_path / str(number)
        (root / images).mkdir(parents=True)
        (root / images / "a.dcm").write_bytes(slice_file(scan(0), 0))
        save(np.eye(48, 64, dtype=np.uint8) * 255, root / masks / "a.png")
        assert cli("dataset", root, "-o", tmp_path / f"out{number}")[0] == 0
        [one] = records(tmp_path / f"out{number}")
        assert (one.mask_source, one.mask_file) == ("annotations", f"{masks}/a.png")


def test_one_mask_for_two_slices_is_refused(cli: Cli, tmp_path: Path) -> None:
    for series in "ab":
        (tmp_path / "in" / series).mkdir(parents=True)
        (tmp_path / "in" / series / "1.dcm").write_bytes(slice_file(scan(0), 0))
    save(np.eye(48, 64, dtype=np.uint8) * 255, tmp_path / "in/masks/1.png")
    code, _, err = cli("dataset", tmp_path / "in", "--dry-run")
    assert code == 2 and "masks/1.png fits 2 slices" in err and "masks/a/1.png" in err


def test_dicom_needs_its_extra(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unseg import extras

    root = dicom(tmp_path / "in")
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    code, _, err = cli("dataset", root, "--dry-run")
    assert code == 2 and "pip install 'unseg[dicom]'" in " ".join(err.split())


def test_geotiff_keeps_its_tags(cli: Cli, tmp_path: Path) -> None:
    root, out = geotiff(tmp_path / "in"), tmp_path / "out"
    assert cli("dataset", root, "-o", out)[0] == 0
    made = records(out)
    assert [one.output for one in made] == [f"train/images/tile_{n}.tif" for n in range(3)]
    for one in made:
        before, after = (read_directories((d / one.output).read_bytes())[0] for d in (root, out))
        assert {33550, 33922, 34735, 270} <= after.keys()
        assert all(after[tag] == before[tag] for tag in (33550, 33922, 34735, 270))
        with tifffile.TiffFile(out / one.output) as file:
            assert file.pages.first.geotiff_tags["ProjectedCSTypeGeoKey"] == 32631
            change = file.asarray().astype(int) - tifffile.imread(root / one.source)
        assert 1 <= np.abs(change).max() <= 8


@pytest.mark.parametrize("drawn", [dicom, geotiff])
def test_other_kinds_are_refused(drawn: Callable[[Path], Path], cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("dataset", drawn(tmp_path / "in"), "-o", tmp_path / "out", "--format", "png")
    assert code == 2 and "stay what they are: use --format same" in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_pairs_stay_pairs(tmp_path: Path) -> None:
    root = pairs(tmp_path / "in")
    assert detect(root) == ["pairs"]
    (root / "train/images/extra.dcm").write_bytes(slice_file(scan(0), 0))
    assert detect(root) == ["pairs"]
    plain = tmp_path / "plain"
    save(photograph(0), plain / "images/a.tif")
    save(photograph(0)[..., 0], plain / "masks/a.tif")
    assert detect(plain) == ["pairs"]
    assert detect(geotiff(tmp_path / "geo")) == ["geotiff"]
    assert detect(dicom(tmp_path / "dicom")) == ["dicom"]


def test_jpeg_of_a_quality(cli: Cli, tmp_path: Path) -> None:
    root, sizes = pairs(tmp_path / "in"), []
    for quality in (60, 95):
        out = tmp_path / str(quality)
        cli("dataset", root, "-o", out, "--format", "jpeg", "--quality", quality)
        assert {one.format for one in records(out)} == {"JPEG"}
        assert {Path(one.output).suffix for one in records(out)} == {".jpg"}
        sizes.append(sum((out / one.output).stat().st_size for one in records(out)))
    assert sizes[0] < sizes[1]


def test_tiff_in_any_layout(cli: Cli, tmp_path: Path) -> None:
    assert (
        cli("dataset", pairs(tmp_path / "in"), "-o", tmp_path / "out", "--format", "tiff")[0] == 0
    )
    assert {(one.format, one.lossless) for one in records(tmp_path / "out")} == {("TIFF", True)}
    assert tifffile.imread(tmp_path / "out/train/images/0001.tif").shape == (48, 64, 3)


def test_location_is_left_out(cli: Cli, tmp_path: Path) -> None:
    root, out = pairs(tmp_path / "in"), tmp_path / "out"
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x010F] = "camera"
    path = root / "train/images/0001.jpg"
    Image.fromarray(photograph(1)).save(path, exif=exif)
    code, text, err = cli("dataset", root, "-o", out, "--strip", "gps")
    assert code == 0, text + err
    with Image.open(out / "train/images/0001.png") as image:
        found = image.getexif()
    assert found[0x010F] == "camera" and not found.get_ifd(0x8825)
