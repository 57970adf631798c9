"""DICOM as hospitals have it: compressed, in colour, padded, without a preamble."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import noise_stub
import unseg
from odd_images import COLOUR, GREY, SCAN
from unseg.errors import UnsegError
from unseg.images.dicom import encode_dicom
from unseg.images.ranges import with_range
from unseg.images.reader import decode
from unseg.masks.regions import Regions
from unseg.noise import Budget
from unseg.protect.core import protect_photo
from unseg.protect.manifest import Record

pydicom = pytest.importorskip("pydicom")

from odd_dicom import dataset, dicom, encapsulated, in_frames, run_lengths, saved  # noqa: E402

Cli = Callable[..., tuple[int, str, str]]
PLAIN = pydicom.uid.ExplicitVRLittleEndian


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    noise_stub.install(monkeypatch)


def protected(data: bytes, tmp_path: Path, **settings: Any) -> tuple[Record, Any, Any]:
    """Record, original and result of a file, verified."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(data)
    report = unseg.protect_folder(
        folder, tmp_path / "out", unseg.Settings(device="cpu", **settings)
    )
    [record] = report.records
    assert record.error is None
    findings = unseg.verify_folder(tmp_path / "out", folder)
    assert findings.ok, findings.problems
    before = pydicom.dcmread(io.BytesIO(data), force=True)
    return record, before, pydicom.dcmread(tmp_path / "out" / "a.dcm")


@pytest.mark.parametrize(
    ("data", "bits"),
    [
        (lambda: run_lengths(SCAN), 12),
        (lambda: run_lengths(SCAN.astype(np.int16) - 1000), 12),
        (lambda: run_lengths(COLOUR), 8),
        (lambda: in_frames(GREY, "JPEG"), 8),
        (lambda: in_frames(COLOUR, "JPEG", PhotometricInterpretation="YBR_FULL_422"), 8),
        (lambda: in_frames(SCAN, "JPEG2000"), 12),
        (lambda: in_frames(COLOUR, "JPEG2000", PhotometricInterpretation="YBR_RCT"), 8),
    ],
    ids=["rle", "rle-signed", "rle-colour", "jpeg", "jpeg-colour", "jpeg2000", "jpeg2000-colour"],
)
def test_compressed_pixels_are_written_without(
    data: Callable[[], bytes], bits: int, tmp_path: Path
) -> None:
    record, before, after = protected(data(), tmp_path)
    assert after.file_meta.TransferSyntaxUID == PLAIN and after.BitsStored == bits
    assert any("are written without compression" in note for note in record.notes)
    shown = before.pixel_array.astype(int)
    change = np.abs(after.pixel_array.astype(int) - shown)
    assert 1 <= change.max() <= 8 * (record.step or 0)
    if before.SamplesPerPixel == 3:
        assert after.PhotometricInterpretation == "RGB"
        assert np.abs(after.pixel_array.astype(int) - COLOUR).mean() < 6
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert list(after.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert after.PatientName == before.PatientName


@pytest.mark.parametrize(
    ("syntax", "coder", "options"),
    [
        ("JPEGLSLossless", "jpegls", {}),
        ("JPEGLosslessSV1", "ljpeg", {}),
        ("JPEG2000Lossless", "jpeg2k", {"level": 0, "reversible": True, "codecformat": "j2k"}),
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_other_compressions_take_the_extra(
    syntax: str, coder: str, options: dict[str, Any], signed: bool
) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    array = SCAN.astype(np.int16) - 1000 if signed else SCAN
    # But for JPEG 2000, samples are coded as if they had no sign.
    coded = array if coder == "jpeg2k" else (array.astype(np.int32) & 4095).astype(np.uint16)
    frame = getattr(imagecodecs, f"{coder}_encode")(coded, **options)
    found = decode(encapsulated(array, getattr(pydicom.uid, syntax), frame), "a.dcm")
    np.testing.assert_array_equal(found.pixels.astype(int) - found.offset, array)


def test_twelve_bits_in_jpeg_and_deep_colours() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    frame = imagecodecs.jpeg8_encode(SCAN, level=100, bitspersample=12)
    found = decode(encapsulated(SCAN, pydicom.uid.JPEGExtended12Bit, frame), "a.dcm")
    assert np.abs(found.pixels.astype(int) - SCAN).mean() < 3
    deep = COLOUR.astype(np.uint16) * 10
    frame = imagecodecs.jpeg2k_encode(deep, level=0, reversible=True, codecformat="j2k", mct=True)
    data = encapsulated(
        deep, pydicom.uid.JPEG2000Lossless, frame, PhotometricInterpretation="YBR_RCT"
    )
    np.testing.assert_array_equal(decode(data, "a.dcm").pixels, deep)


def test_what_decodes_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encapsulated(SCAN, pydicom.uid.JPEGLosslessSV1, b"1234")
    monkeypatch.setattr(
        "unseg.extras.find_spec", lambda name: None if name == "imagecodecs" else object()
    )
    with pytest.raises(
        UnsegError,
        match=r"is compressed \(JPEG Loss.* needs imagecodecs.*pip install 'unseg\[dicom",
    ):
        decode(data, "a.dcm")


def test_other_compressions_are_named() -> None:
    data = encapsulated(GREY, pydicom.uid.MPEG2MPML, b"1234")
    with pytest.raises(
        UnsegError, match="which is not read: decompress it first, for example with"
    ):
        decode(data, "a.dcm")


@pytest.mark.parametrize("planar", [0, 1])
def test_colours_keep_their_order_in_the_file(planar: int, tmp_path: Path) -> None:
    made = dataset(COLOUR)
    made.PlanarConfiguration = planar
    made.PixelData = (COLOUR.transpose(2, 0, 1) if planar else COLOUR).tobytes()
    _, before, after = protected(saved(made), tmp_path)
    change = np.abs(after.pixel_array.astype(int) - COLOUR)
    assert 1 <= change.max() <= 8
    for one in (before, after):
        del one.PixelData, one.SOPInstanceUID, one.ImageType
    assert after == before


def test_ybr_is_written_as_rgb_within_the_bound(tmp_path: Path) -> None:
    shown = np.asarray(Image.fromarray(COLOUR).convert("YCbCr"))
    data = dicom(shown, PhotometricInterpretation="YBR_FULL")
    record, _, after = protected(data, tmp_path)
    assert record.lossless and record.within_budget
    assert after.PhotometricInterpretation == "RGB"
    assert "its colours were YBR_FULL and are written as RGB" in record.notes


@pytest.mark.parametrize("syntax", ["ImplicitVRLittleEndian", "DeflatedExplicitVRLittleEndian"])
def test_the_transfer_syntax_of_plain_pixels_stays(syntax: str, tmp_path: Path) -> None:
    made = dataset(SCAN)
    made.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    _, before, after = protected(saved(made), tmp_path)
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID


def test_big_endian_stays(tmp_path: Path) -> None:
    made = dataset(SCAN.astype(">u2"))
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    record, _, after = protected(saved(made), tmp_path, visibility="strong")
    assert np.abs(after.pixel_array.astype(int) - SCAN).max() == 8 * (record.step or 0)


def test_a_file_without_preamble_is_read_by_its_name(tmp_path: Path) -> None:
    made = dataset(SCAN)
    del made.file_meta
    data = saved(made, implicit_vr=True, little_endian=True)
    _, _, after = protected(data, tmp_path, visibility="strong")
    assert np.abs(after.pixel_array.astype(int) - SCAN).max() == 8
    with pytest.raises(UnsegError, match="is a DICOM file with no pixels: leave it out"):
        decode(b"no picture", "a.dcm")


def test_padding_may_be_a_range() -> None:
    scan = SCAN.astype(np.int16)
    scan[:, :5], scan[:, 5:9] = -2000, -1990
    data = dicom(scan, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990)
    found = with_range(decode(data, "a.dcm"))
    assert found.stated_range[0] == SCAN[:, 9:].min()
    noises = noise_stub.noises(noise_stub.WaveSource())
    made = protect_photo(found, Regions.union(GREY > 0), noises, Budget(8, 2), "strong")
    np.testing.assert_array_equal(made.pixels[:, :9], found.pixels[:, :9])
    assert (made.pixels != found.pixels).any()


def test_the_range_of_bright_low_samples_is_the_files_own(tmp_path: Path) -> None:
    for number, array in enumerate((SCAN, SCAN.astype(np.int16) - 1000)):
        shift = 1000 * number
        ends = (900 - shift, 1411 - shift)
        place = tmp_path / str(number)
        place.mkdir()
        data = dicom(array, PhotometricInterpretation="MONOCHROME1")
        record, before, after = protected(data, place, range=ends)
        assert record.range == ends and record.step == 2
        change = np.abs(after.pixel_array.astype(int) - before.pixel_array)
        assert 2 <= change.max() <= 16
        found = decode(data, "a.dcm")
        assert found.stated_range == (int(array.min()), int(array.max()))


def test_a_table_of_values_makes_the_window_useless() -> None:
    window = {"WindowCenter": 1030, "WindowWidth": 512}
    table = pydicom.Sequence([pydicom.Dataset()])
    assert decode(dicom(SCAN, **window), "a.dcm").stated_range == (774, 1285)
    found = decode(dicom(SCAN, ModalityLUTSequence=table, **window), "a.dcm")
    assert found.stated_range == (SCAN.min(), SCAN.max())


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"NumberOfFrames": 3}, "holds 3 frames: expected one; save each as its own file"),
        ({"BitsStored": 4, "HighBit": 3}, "has 4 of 16 bits"),
        ({"SamplesPerPixel": 3}, "has MONOCHROME2 pixels of 3 samples"),
        ({"Rows": 30000, "Columns": 30000}, "is 30000x30000, 900 megapixels"),
    ],
)
def test_what_is_not_read_is_named(elements: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsegError, match=message):
        decode(dicom(SCAN, **elements), "a.dcm")


def test_a_private_transfer_syntax_is_named() -> None:
    made = dataset(SCAN)
    data = saved(made).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.113619.5.2\0\0")
    with pytest.raises(
        UnsegError, match=r"transfer syntax '1.2.840.113619.5.2', which is not read"
    ):
        decode(data, "a.dcm")


def test_what_was_not_changed_is_written_with_equal_pixels() -> None:
    for data in (dicom(SCAN), run_lengths(COLOUR)):
        found = decode(data, "a.dcm")
        again = decode(encode_dicom(replace(found, pixels=found.pixels.copy()), "a.dcm"), "a.dcm")
        np.testing.assert_array_equal(again.pixels, found.pixels)


def test_slices_of_other_scales_have_ranges_of_their_own(cli: Cli, tmp_path: Path) -> None:
    """PET has a slope a slice, so that equal samples are unequal amounts."""
    folder = tmp_path / "in" / "series"
    folder.mkdir(parents=True)
    for number in range(4):
        data = dicom(SCAN + 100 * number, RescaleSlope=str(1 + number // 2), RescaleIntercept="0")
        (folder / f"{number}.dcm").write_bytes(data)
    out = tmp_path / "out"
    code, text, err = cli("dataset", tmp_path / "in", "-o", out, "--find", "whole-image")
    assert code in {0, 3}, text + err
    records, _ = unseg.protect.manifest.Manifest(out).read()
    low, high = int(SCAN.min()), int(SCAN.max())
    assert [one.range for one in records] == [(low, high + 100)] * 2 + [(low + 200, high + 300)] * 2
