"""The library door: folders, checks and masks from Python, with what a caller may hand over."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import unseg
from noise_stub import BrightMask, WaveSource, install, noises, photo
from unseg.images.photo import Photo
from unseg.masks.sources import SOURCES, Found, MaskSource
from unseg.masks.sources.whole import WholeImage
from unseg.progress import Update
from unseg.protect.manifest import FORMAT
from unseg.protect.noises import NOISES

MASK = photo()[..., 0] > 140


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photographs with masks beside them; stand-ins are loaded in place of the models."""
    install(monkeypatch)
    for i in range(3):
        image = photo(40, 60, seed=i)
        for kind, pixels in (("photos", image), ("masks", (image[..., 0] > 140) * np.uint8(255))):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / kind / f"{i}.png")
    return tmp_path


@pytest.fixture
def protector() -> unseg.Protector:
    return unseg.Protector(noises(WaveSource()), [BrightMask(), WholeImage()])


def test_what_is_public_is_listed_and_there() -> None:
    assert dir(unseg) == sorted(unseg.__all__)
    for name in unseg.__all__:
        assert getattr(unseg, name).__name__ == name


def test_folders_are_protected_checked_and_drawn_from_python(folder: Path) -> None:
    seen: list[Update] = []
    report = unseg.protect_folder(
        str(folder / "photos"), str(folder / "out"), masks=folder / "masks", progress=seen.append
    )
    assert report.ok and report.totals["protected"] == 3 and "3 of 3 protected" in repr(report)
    assert [one.done for one in seen] == [0, 1, 2, 3] and {one.total for one in seen} == {3}
    assert [one.item.source for one in seen[1:]] == ["0.png", "1.png", "2.png"]
    checks: list[Update] = []
    findings = unseg.verify_folder(folder / "out", folder / "photos", progress=checks.append)
    assert findings.ok and findings.compared == 3 and checks[-1].done == 3
    drawn = unseg.draw_masks([folder / "photos"], folder / "drawn")
    assert drawn.drawn == ["0.png", "1.png", "2.png"] and not drawn.errors
    again = unseg.protect_folder(folder / "photos", folder / "out", masks=folder / "masks",
                                 existing="resume")  # fmt: skip
    assert again.totals["kept_from_earlier_run"] == 3


def test_both_doors_have_the_same_defaults(folder: Path, cli: object) -> None:
    unseg.protect_folder(folder / "photos", folder / "python", masks=folder / "masks")
    assert cli("protect", folder / "photos", "-o", folder / "command",  # type: ignore[operator]
               "--masks", folder / "masks")[0] == 0  # fmt: skip
    runs = [json.loads((folder / d / "unseg-run.json").read_text()) for d in ("python", "command")]
    assert runs[0]["settings"] == runs[1]["settings"]
    for name in ("0.png", "1.png", "2.png"):
        assert (folder / "python" / name).read_bytes() == (folder / "command" / name).read_bytes()


def test_format_numbers_are_written_and_checked(folder: Path) -> None:
    out = folder / "out"
    unseg.protect_folder(folder / "photos", out, masks=folder / "masks")
    run = out / "unseg-run.json"
    content = json.loads(run.read_text())
    assert content["format"] == FORMAT
    lines = (out / "unseg-manifest.jsonl").read_text().splitlines()
    assert all(json.loads(line)["manifest_format"] == FORMAT for line in lines)
    run.write_text(json.dumps({**content, "format": FORMAT + 1}))
    findings = unseg.verify_folder(out)
    assert (
        f"format {FORMAT + 1}, but this version of unseg reads up to {FORMAT}"
        in findings.problems[0].text
    )
    newer = [json.dumps({**json.loads(line), "manifest_format": 9}) for line in lines]
    (out / "unseg-manifest.jsonl").write_text("\n".join(newer))
    findings = unseg.verify_folder(out)
    assert any("format 9 was written by a newer unseg" in one.text for one in findings.problems)


def test_masks_that_fit_no_image_start_nothing_and_unused_ones_are_named(folder: Path) -> None:
    (folder / "masks" / "0.png").rename(folder / "masks" / "other.png")
    report = unseg.protect_folder(folder / "photos", folder / "out", masks=folder / "masks")
    assert report.unused_masks == ["other.png"]
    for i in (1, 2):
        (folder / "masks" / f"{i}.png").rename(folder / "masks" / f"x{i}.png")
    with pytest.raises(unseg.UnsegError, match=r"no mask fits any of the 3 images .* other\.png"):
        unseg.protect_folder(folder / "photos", folder / "none", masks=folder / "masks")
    assert not (folder / "none").exists()


def test_nothing_but_negative_images_is_no_success(folder: Path, cli: object) -> None:
    for path in (folder / "masks").iterdir():
        Image.fromarray(np.zeros((40, 60), np.uint8)).save(path)
    report = unseg.protect_folder(folder / "photos", folder / "out", masks=folder / "masks")
    assert not report.ok and report.totals["unchanged"] == 3
    code, text, _ = cli("protect", folder / "photos", "-o", folder / "o",  # type: ignore[operator]
                        "--masks", folder / "masks")  # fmt: skip
    assert code == 1 and "no image was protected" in text


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(4, (4, 1)), ((6, 0), (6, 0)), (unseg.Budget(3, 3), (3, 3)), (8.0, (8, 2))],
)
def test_budgets_are_numbers_pairs_or_budgets(
    protector: unseg.Protector, budget: object, expected: tuple[float, float]
) -> None:
    result = protector.protect(photo(), MASK, budget, visibility="strong")  # type: ignore[call-overload]
    assert (result.change.inside, result.change.outside) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": "8"}, "budget='8': expected a Budget, a number"),
        ({"budget": 300}, "budget foreground is 300"),
        ({"budget": 0.5}, "is below one 8-bit step"),
        ({"budget": True}, "not bool"),
        ({"target": "klass"}, "target='klass': expected one of union, class, instance"),
        ({"visibility": "none"}, "visibility='none': expected one of low"),
        ({"background": 3}, "background=3: expected 0, or None"),
        ({"silent": "all"}, "silent='all': expected auto, first or labels"),
        ({"silent": (1,)}, "silent=1 needs target class"),
        ({"classes": ("",)}, "expected label numbers"),
        ({"classes": "person"}, "expected label numbers"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"format": "gif"}, "format='gif': expected one of png, webp, tiff, jpeg, same"),
        ({"find": ("cars",)}, "cars is not a mask source: choose from file, given"),
        ({"noises": ("fog",)}, "fog is not a noise source: choose from grey, tint, generator"),
    ],
)
def test_wrong_settings_say_what_would_work(settings: dict[str, object], message: str) -> None:
    with pytest.raises(unseg.UnsegError, match=message):
        unseg.Settings(**settings)  # type: ignore[arg-type]


def test_soft_masks_are_cut_at_one_half_in_every_form(protector: unseg.Protector) -> None:
    disc = cv2.circle(np.zeros((40, 60)), (30, 20), 14, 1.0, -1)
    soft = cv2.GaussianBlur(disc, (0, 0), 1.0)
    expected = soft > 0.5
    shades = np.rint(soft * 255).astype(np.uint8)
    floats = (soft, soft.astype(np.float32), torch.from_numpy(soft))
    for mask in (*floats, shades, Image.fromarray(shades)):
        found = protector.protect(photo(), mask).mask
        assert (found != expected).mean() < 0.01
    whole = np.where(MASK, 3.0, 0.0)  # labels that a float array holds
    assert np.array_equal(protector.protect(photo(), whole).mask, MASK)


def test_lists_and_batches_give_what_single_images_give(protector: unseg.Protector) -> None:
    images = [photo(seed=i) for i in range(3)]
    masks = [image[..., 0] > 140 for image in images]
    single = [protector.protect(*pair).image for pair in zip(images, masks, strict=True)]
    several = protector.protect(images, masks)
    assert isinstance(several, list) and len(several) == 3
    assert all(np.array_equal(a, b) for a, b in zip(several.images, single, strict=True))
    stacked = protector.protect(np.stack(images), np.stack(masks))
    assert np.array_equal(stacked.images, np.stack(single))
    tensor = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    batch = protector.protect(tensor, torch.from_numpy(np.stack(masks))[:, None])
    assert batch.images.shape == (3, 3, 40, 60) and batch.images.dtype == torch.uint8
    assert np.array_equal(batch.images.permute(0, 2, 3, 1).numpy(), np.stack(single))
    assert repr(batch) == "ProtectedBatch(3 images, 3 protected)"
    found = protector.protect(images)
    assert {one.mask_source for one in found} == {"salient"}
    with pytest.raises(unseg.UnsegError, match="3 images and 2 masks"):
        protector.protect(images, masks[:2])


def test_a_result_is_short_to_print_and_drawn_in_a_notebook(protector: unseg.Protector) -> None:
    result = protector.protect(photo(), MASK)
    assert repr(result).startswith("Protected(ndarray 60x40, mask ") and len(repr(result)) < 120
    page = result._repr_html_()
    assert page.count("data:image/png;base64,") == 2 and "dB" in page and len(page) < 60_000
    left = protector.protect(photo(), np.zeros_like(MASK))
    assert "left as it is" in repr(left) and "left as it is" in left._repr_html_()
    many = protector.protect([photo(), photo(seed=1)])
    assert many._repr_html_().count("<img") == 4


class Corner(MaskSource):
    """A user's own source: the upper left quarter."""

    name, summary, nothing = "corner", "the upper left quarter", ""

    @classmethod
    def load(cls, models: object) -> Corner:
        return cls()

    def find(self, photo: Photo, name: str) -> Found | None:
        from unseg.masks.labels import LabelMap

        width, height = photo.size
        mask = np.zeros((height, width), np.uint8)
        mask[: height // 2, : width // 2] = 1
        return Found(LabelMap(mask))


def test_a_source_of_ones_own_is_asked_in_the_order_given(folder: Path) -> None:
    settings = unseg.Settings(find=(f"{__name__}:Corner", "whole-image"))
    report = unseg.protect_folder(folder / "photos", folder / "out", settings)
    assert report.totals["mask_sources"] == {"corner": 3}
    assert {record.foreground_share for record in report.records} == {0.25}
    settings = unseg.Settings(find=("whole-image", f"{__name__}:Corner"))
    report = unseg.protect_folder(folder / "photos", folder / "other", settings)
    assert report.totals["mask_sources"] == {"whole-image": 3}


def test_every_source_and_noise_has_one_interface() -> None:
    for registry in (SOURCES, NOISES):
        for name in registry:
            kind = registry.load(name)
            assert issubclass(kind, registry.base) and kind.name == name and kind.summary
            assert not kind.__abstractmethods__


def test_boxes_are_a_source_of_the_run_as_well(folder: Path) -> None:
    boxes = {
        "images": [{"id": 0, "file_name": "0.png"}],
        "annotations": [{"image_id": 0, "category_id": 1, "bbox": [6, 4, 12, 8]}],
    }
    (folder / "boxes.json").write_text(json.dumps(boxes))
    report = unseg.protect_folder(folder / "photos", folder / "out", boxes=folder / "boxes.json")
    assert report.totals["mask_sources"] == {"boxes": 1, "salient": 2}
    again = unseg.protect_folder(
        folder / "photos", folder / "out", boxes=folder / "boxes.json", existing="resume"
    )
    assert again.totals["kept_from_earlier_run"] == 3
