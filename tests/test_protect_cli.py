"""``unseg protect`` from the command line, with stand-ins for the models."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from noise_stub import install, photo
from unseg.protect import core, pipeline

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A tree of five images with masks beside it."""
    folder = tmp_path / "photos"
    for i, name in enumerate(["a.jpg", "b.png", "sub/c.webp", "sub/deep/d.jpeg", "sub/e.bmp"]):
        save(folder / name, photo(40 + i, 60, seed=i))
        mask = photo(40 + i, 60, seed=i)[..., 0] > 140
        save(tmp_path / "masks" / Path(name).with_suffix(".png"), mask.astype(np.uint8) * 255)
    return folder


def save(path: Path, array: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def records(out: Path) -> dict[str, dict[str, Any]]:
    lines = (out / "unseg-manifest.jsonl").read_text().splitlines()
    return {record["source"]: record for record in map(json.loads, lines)}


def files(out: Path) -> list[str]:
    """Images in an output folder, stored masks left out."""
    found = (p.relative_to(out) for p in out.rglob("*") if p.is_file())
    return sorted(p.as_posix() for p in found if not p.name.startswith("unseg-")
                  and p.parts[0] != "unseg-masks")  # fmt: skip


def test_version(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = command("--version")
    assert done.returncode == 0 and done.stdout == f"unseg {version('unseg')}\n"


def test_a_tree_is_mirrored_and_the_bound_holds_on_disk(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    before = {p: p.read_bytes() for p in photos.rglob("*") if p.is_file()}
    out = tmp_path / "out"
    code, text, _ = cli("protect", photos, "-o", out, "--masks", tmp_path / "masks")
    assert code == 0 and "5 of 5" in text
    assert files(out) == ["a.png", "b.png", "sub/c.png", "sub/deep/d.png", "sub/e.png"]
    assert before == {p: p.read_bytes() for p in photos.rglob("*") if p.is_file()}
    for name, record in records(out).items():
        original = np.asarray(Image.open(photos / name).convert("RGB")).astype(int)
        written = np.asarray(Image.open(out / record["output"])).astype(int)
        mask = np.asarray(Image.open(tmp_path / "masks" / Path(name).with_suffix(".png"))) > 0
        change = np.abs(written - original).max(axis=2)
        assert record["change"] == {"inside": change[mask].max(), "outside": change[~mask].max()}
        assert change[mask].max() == 8 and change[~mask].max() == 2
        assert record["mask_source"] == "file" and record["within_budget"] is True
        assert record["foreground_share"] == pytest.approx(mask.mean(), abs=1e-6)
        stored = np.asarray(Image.open(out / record["mask"]))
        assert stored.dtype == bool and np.array_equal(stored, mask)
        assert (record["width"], record["height"]) == (60, len(mask))
        assert record["model"] == "waves" and record["model_sha256"] == "ab" * 32
        assert 30 < record["psnr"] < 60 and record["ssim"] < 1 and record["seconds"] > 0
    run = json.loads((out / "unseg-run.json").read_text())
    assert run["status"] == "finished" and run["totals"]["protected"] == 5
    assert run["settings"]["budget"] == {"foreground": 8, "background": 2}
    assert {"command", "versions", "git_revision", "data_sha256"} <= run.keys()


def test_flat_masks_come_after_the_mirrored_tree(cli: Cli, photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    shutil.move(masks / "sub" / "c.png", masks / "c.png")
    save(masks / "e.png", np.zeros((9, 9), np.uint8))  # of another size, but the mirrored one wins
    assert cli("protect", photos, "-o", tmp_path / "out", "--masks", masks)[0] == 0
    found = records(tmp_path / "out")
    assert found["sub/c.webp"]["mask_file"] == "c.png"
    assert found["sub/e.bmp"]["mask_file"] == "sub/e.png"


def test_nothing_passes_unprotected(cli: Cli, photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    (masks / "a.png").unlink()
    save(masks / "b.png", np.zeros((41, 60), np.uint8))
    save(photos / "flat.png", np.full((20, 20, 3), 90, np.uint8))
    save(masks / "sub" / "c.png", np.where(np.arange(60) < 4, 1, 255)[None].repeat(42, 0)
         .astype(np.uint8))  # fmt: skip
    (photos / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    line = ("protect", photos, "-o", out, "--masks", masks, "--visibility", "strong", "--json")
    code, text, _ = cli(*line)
    assert code == 3  # a mask that is mostly void is worth a look
    found = records(out)
    assert found["a.jpg"]["mask_source"] == "salient"
    assert found["a.jpg"]["mask_note"] == "no mask file for this image: expected a.png"
    # The owner says that there is nothing in it: a negative image of a data set stays as it is.
    negative = found.pop("b.png")
    assert negative["status"] == "unchanged" and negative["mask_source"] == "file"
    assert negative["mask_note"] == "the mask has no foreground, so there is nothing to protect"
    assert negative["foreground_share"] == 0 and negative["noise"] is None
    assert np.array_equal(Image.open(out / "b.png"), Image.open(photos / "b.png"))
    assert found["flat.png"]["mask_source"] == "whole-image"
    assert (
        found["flat.png"]["mask_note"]
        == "no mask file for this image: expected flat.png; nothing stands out"
    )
    assert found["sub/c.webp"]["mask_note"].startswith("93% of the mask is void")
    totals = json.loads(text)["totals"]
    assert totals["mask_sources"] == {"file": 4, "salient": 1, "whole-image": 1}
    assert totals["without_mask_file"] == 2 and totals["ignored_files"] == 1
    assert totals["protected"] == 5 and totals["unchanged"] == 1
    for record in found.values():
        assert (
            record["change"]["inside"] == 8 and record["source_sha256"] != record["output_sha256"]
        )


def test_without_masks_they_are_proposed(cli: Cli, photos: Path, tmp_path: Path) -> None:
    assert cli("protect", photos / "a.jpg", photos / "b.png", "-o", tmp_path / "out")[0] == 0
    found = records(tmp_path / "out")
    assert set(found) == {"a.jpg", "b.png"}
    assert {r["mask_source"] for r in found.values()} == {"salient"}
    assert all(r["mask_note"] is None for r in found.values())


@pytest.mark.parametrize(
    ("options", "share", "prompts"),
    [
        ((), 0.5, 1),
        (("--target", "class"), 0.5, 3),
        (("--target", "instance"), 0.5, 4),
        (("--classes", "6"), 0.25, 1),
        (("--classes", "6,15", "--target", "class"), 0.5, 3),
        (("--background", "none"), 0.75, 1),
        (("--background", "none", "--target", "class"), 0.75, 4),
        (("--void", "none"), 0.75, 1),
        (("--void", "15"), 0.5, 1),
    ],
)
def test_label_options(
    cli: Cli, tmp_path: Path, options: tuple[str, ...], share: float, prompts: int
) -> None:
    save(tmp_path / "in" / "a.png", photo(40, 40))
    labels = np.zeros((40, 40), np.uint8)
    labels[:10], labels[10:20], labels[20:30] = 6, 15, 255
    labels[10:20, 19:21] = 255  # parts the 15 in two
    out = tmp_path / "out"
    masks = save(tmp_path / "masks" / "a.png", labels).parent
    options = (*options, "--visibility", "strong")
    code, _, err = cli("protect", tmp_path / "in", "-o", out, "--masks", masks, *options)
    record = records(out)["a.png"]
    assert code == 0, err
    assert record["foreground_share"] == pytest.approx(share, abs=0.02)
    assert record["prompts"] == prompts
    assert record["change"] == {"inside": 8, "outside": 2}


def test_budget_options(cli: Cli, photos: Path, tmp_path: Path) -> None:
    arguments = ["--masks", tmp_path / "masks", "--eps", "4.6", "--eps-bg", "0"]
    assert cli("protect", photos, "-o", tmp_path / "out", *arguments)[0] == 0
    for record in records(tmp_path / "out").values():
        assert record["change"] == {"inside": 4, "outside": 0}
        assert record["budget"] == {"foreground": 4.6, "background": 0}


def test_grey_alpha_and_16_bit_stay(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    save(folder / "grey.png", photo()[..., 0])
    rgba = np.dstack([photo(), photo()[..., 1]])
    save(folder / "alpha.png", rgba)
    wide = photo().astype(np.uint16) * 257 - 100
    cv2.imwrite(str(folder / "wide.png"), wide[..., ::-1])
    save(folder / "wide_grey.png", wide[..., 0])
    out = tmp_path / "out"
    assert cli("protect", folder, "-o", out)[0] == 0
    modes = {name: record["mode"] for name, record in records(out).items()}
    assert modes == {"grey.png": "L8", "alpha.png": "RGBA8", "wide.png": "RGB16",
                     "wide_grey.png": "L16"}  # fmt: skip
    with Image.open(out / "grey.png") as grey:
        assert grey.mode == "L"
    assert np.array_equal(np.asarray(Image.open(out / "alpha.png"))[..., 3], rgba[..., 3])
    for name, before in (("wide", wide), ("wide_grey", wide[..., 0])):
        after = cv2.imread(str(out / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        after = after[..., ::-1] if after.ndim == 3 else after
        assert after.dtype == np.uint16 and after.shape == before.shape
        change = np.abs(after.astype(int) - before).max()
        assert 257 <= change <= 8 * 257
    assert np.ptp(cv2.imread(str(out / "grey.png")), axis=2).max() == 0


def test_formats(cli: Cli, photos: Path, tmp_path: Path) -> None:
    masks = ["--masks", tmp_path / "masks"]
    assert cli("protect", photos, "-o", tmp_path / "webp", "--format", "webp", *masks)[0] == 0
    for record in records(tmp_path / "webp").values():
        assert record["format"] == "WEBP" and record["lossless"] and record["survival"] is None
        assert record["change"] == {"inside": 8, "outside": 2}
    out = tmp_path / "same"
    code, _, err = cli("protect", photos, "-o", out, "--format", "same", *masks)
    assert code == 1 and "e.bmp: --format same writes JPEG, PNG, WebP and TIFF" in err
    assert files(out) == ["a.jpg", "b.png", "sub/c.webp", "sub/deep/d.jpeg"]
    for name, record in records(out).items():
        lossy = name.endswith(("jpg", "jpeg"))
        if record["status"] == "protected":
            assert record["lossless"] is not lossy and (record["survival"] is not None) == lossy
            if lossy:
                assert 0.8 < record["survival"]["correlation"] <= 1
                assert 0.5 < record["survival"]["energy"] < 1.5


def test_png_and_webp_give_the_same_pixels(cli: Cli, photos: Path, tmp_path: Path) -> None:
    for kind in ("png", "webp"):
        cli("protect", photos, "-o", tmp_path / kind, "--format", kind)
    for path in (tmp_path / "png").rglob("*.png"):
        name = path.relative_to(tmp_path / "png")
        if name.parts[0] != "unseg-masks":
            other = Image.open(tmp_path / "webp" / name.with_suffix(".webp"))
            assert np.array_equal(np.asarray(Image.open(path)), np.asarray(other))


def test_bad_images_are_named_and_the_others_go_on(cli: Cli, photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    (photos / "empty.png").touch()
    (photos / "text.png").write_text("hello there")
    (photos / "phone.cr3").write_bytes(b"x")
    whole = save(photos / "cut.jpg", photo()).read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    save(photos / "twin.jpg", photo())
    save(photos / "twin.png", photo())
    save(photos / "masked.png", photo())
    save(masks / "masked.png", np.ones((60, 40), np.uint8))
    save(photos / "badmask.png", photo())
    (masks / "badmask.png").write_text("no mask")
    out = tmp_path / "out"
    before = {p: p.read_bytes() for p in photos.rglob("*") if p.is_file()}
    code, _, err = cli("protect", photos, "-o", out, "--masks", masks)
    assert code == 1
    lines = {line for line in err.splitlines() if line.startswith("unseg: ")}
    expected = {
        "empty.png is empty (0 bytes): expected an image",
        "text.png is not an image that can be read",
        "phone.cr3 is of a kind that is not read",
        "cut.jpg is damaged or truncated",
        "twin.jpg and ",
        "masked.png is 40x60 but masked.png is 60x40: masks must have the image's size",
        "badmask.png cannot be read as a mask (not an image)",
    }
    for text in expected:
        assert any(text in line for line in lines), (text, lines)
    assert files(out) == ["a.png", "b.png", "sub/c.png", "sub/deep/d.png", "sub/e.png"]
    assert len(list((out / "unseg-masks").rglob("*.png"))) == 5
    bad = [record for record in records(out).values() if record["status"] == "error"]
    assert len(bad) == 8 and all(r["error"] and r["output_sha256"] is None for r in bad)
    assert json.loads((out / "unseg-run.json").read_text())["totals"]["errors"] == 8
    assert before == {p: p.read_bytes() for p in photos.rglob("*") if p.is_file()}
    assert not list(out.rglob(".unseg-*"))


def test_a_violated_bound_leaves_no_file(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(item_photo: Any, *_: object) -> np.ndarray:
        return item_photo.pixels ^ 16

    monkeypatch.setattr(core, "add_noise", too_much)
    out = tmp_path / "out"
    code, _, err = cli("protect", photos, "-o", out)
    assert code == 1 and "changed by 16 inside and 16 outside the mask, over the budget" in err
    assert files(out) == [] and not list((out / "unseg-masks").rglob("*.png"))


def test_an_unchanged_image_is_an_error(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, amplitude=0.0)
    code, _, err = cli("protect", photos / "a.jpg", "-o", tmp_path / "out")
    assert code == 1 and "a.jpg came out unchanged, so it would be unprotected" in err
    assert files(tmp_path / "out") == []


def test_a_defect_is_reported_for_its_image(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(photo: Any, *_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(core, "add_noise", broken)
    code, _, err = cli("protect", photos / "a.jpg", "-o", tmp_path / "out")
    assert (
        code == 1 and "a.jpg failed in protect (ZeroDivisionError: oh): please report this" in err
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{photos}", "-o", "{photos}/out"], "is inside the input"),
        (["{photos}", "-o", "{photos}"], "is inside the input"),
        (["{photos}/sub", "-o", "{photos}"], "is inside the output folder"),
        (["{photos}/a.jpg", "-o", "{photos}"], "originals are never touched"),
        (["{photos}/nosuch", "-o", "{tmp}/out"], "nosuch does not exist"),
        (["{tmp}/empty", "-o", "{tmp}/out"], "found no image in"),
        (["{photos}", "-o", "{photos}/a.jpg"], "is inside the input"),
        (["{photos}", "-o", "{tmp}/file"], "cannot be written"),
        (["{photos}", "-o", "{tmp}/file/out"], "cannot be written"),
        (["{photos}", "-o", "{tmp}/o", "--masks", "{tmp}/nosuch"], "is not a folder"),
        (["{photos}", "-o", "{tmp}/o", "--masks", "{photos}"], "is the input folder itself"),
        (["{photos}", "-o", "{tmp}", "--masks", "{tmp}/masks"], "is inside the output folder"),
        (
            ["{photos}", "-o", "{tmp}/o", "--eps", "256"],
            "--eps 256: expected 8-bit steps in 0..255",
        ),
        (["{photos}", "-o", "{tmp}/o", "--eps-bg", "nan"], "--eps-bg nan: expected"),
        (
            ["{photos}", "-o", "{tmp}/o", "--eps", "0.5", "--eps-bg", "0"],
            "both below one 8-bit step",
        ),
        (["{photos}", "-o", "{tmp}/o", "--classes", "a"], "--classes a: expected label numbers"),
        (["{photos}", "-o", "{tmp}/o", "--void", "-1"], "--void -1: expected label numbers"),
        (["{photos}", "-o", "{tmp}/o", "--background", "3"], "--background 3: expected 0 or none"),
        (["{photos}", "-o", "{tmp}/o", "--overwrite", "--resume"], "cannot be combined"),
        (["{photos}", "-o", "{tmp}/o", "--device", "tpu9"], "--device tpu9 is not known"),
        (["{photos}", "-o", "{tmp}/o", "--batch", "0"], "--batch"),
        (["{photos}", "-o", "{tmp}/o", "--format", "gif"], "gif"),
        (["{photos}"], "--output"),
    ],
)
def test_a_run_that_cannot_start_says_why(
    cli: Cli, photos: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    filled = [text.format(photos=photos, tmp=tmp_path) for text in arguments]
    code, out, err = cli("protect", *filled)
    assert code == 2 and message in " ".join(err.split()), err
    assert out == "" and sorted(tmp_path.rglob("*")) == before, "nothing may be left"


def test_a_blocked_subfolder_fails_only_its_images(cli: Cli, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").write_text("in the way")
    code, _, err = cli("protect", photos, "-o", tmp_path / "out")
    assert code == 1 and "cannot be written" in err
    assert files(tmp_path / "out") == ["a.png", "b.png", "sub"]


def test_a_full_disk_ends_the_run_in_one_line(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    genuine = pipeline.Pipeline.write

    def write(self: pipeline.Pipeline, item: pipeline.ImageInWork) -> None:
        genuine(self, item)
        monkeypatch.setattr(os, "fsync", full)

    monkeypatch.setattr(pipeline.Pipeline, "write", write)
    code, out, err = cli("protect", photos, "-o", tmp_path / "out")
    assert code == 2 and "cannot be written (No space left on device)" in " ".join(err.split())
    assert out == "" and not list((tmp_path / "out").rglob(".unseg-*"))


def test_folders_in_an_input_that_are_no_images(cli: Cli, photos: Path, tmp_path: Path) -> None:
    """Hidden files, the masks folder and a result's stored masks are not protected."""
    save(photos / "masks" / "a.png", np.tri(40, 60, dtype=np.uint8))
    save(photos / ".cache" / "x.png", photo())
    save(photos / "unseg-masks" / "x.png", photo())
    assert cli("protect", photos, "-o", tmp_path / "o", "--masks", photos / "masks")[0] == 0
    assert len(files(tmp_path / "o")) == 5


def test_one_file_named_twice_is_protected_once(cli: Cli, photos: Path, tmp_path: Path) -> None:
    assert cli("protect", photos, photos / "a.jpg", "-o", tmp_path / "out")[0] == 0
    assert len(records(tmp_path / "out")) == 5


def test_suffix_and_content_must_agree_for_same(cli: Cli, tmp_path: Path) -> None:
    path = save(tmp_path / "in" / "a.png", photo(), format="JPEG")
    code, _, err = cli("protect", path, "-o", tmp_path / "out", "--format", "same")
    assert code == 1 and "a.png is a JPEG file named .png: rename it, or use --format png" in err
    assert cli("protect", path, "-o", tmp_path / "png")[0] == 0


def test_json_is_all_that_is_printed(cli: Cli, photos: Path, tmp_path: Path) -> None:
    (photos / "empty.png").touch()
    code, text, err = cli("protect", photos, "-o", tmp_path / "out", "--json")
    content = json.loads(text)
    assert code == 1 and content["totals"]["protected"] == 5
    assert content["errors"][0]["source"] == "empty.png"
    assert err.splitlines() == [f"unseg: {content['errors'][0]['error']}"]


def test_an_earlier_run_is_not_touched_unasked(cli: Cli, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cli("protect", photos / "a.jpg", "-o", out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    code, _, err = cli("protect", photos / "a.jpg", "-o", out)
    assert code == 2 and "holds an earlier run: use --resume" in " ".join(err.split())
    assert before == {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    foreign = save(tmp_path / "other" / "a.png", photo())
    kept = foreign.read_bytes()
    code, _, err = cli("protect", photos / "a.jpg", "-o", foreign.parent)
    assert code == 1 and "exists already: use --overwrite" in err and foreign.read_bytes() == kept


def test_overwrite_replaces_its_images_and_keeps_others(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    out, strong = tmp_path / "out", ("--visibility", "strong")
    cli("protect", photos, "-o", out, *strong)
    line = ("protect", photos / "a.jpg", "-o", out, *strong, "--overwrite", "--eps", "3")
    assert cli(*line)[0] == 0
    found = records(out)
    assert len(found) == 5 and found["a.jpg"]["change"]["inside"] == 3
    assert found["b.png"]["change"]["inside"] == 8
    assert cli("verify", out)[0] == 0
    (photos / "a.jpg").write_bytes(b"")
    assert cli("protect", photos / "a.jpg", "-o", out, "--overwrite")[0] == 1
    assert "a.png" not in files(out) and cli("verify", out)[0] == 0


def test_nothing_is_written_through_a_link_out_of_the_folder(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    cli("protect", photos, "-o", out)
    shutil.rmtree(out / "sub")
    (out / "sub").symlink_to(photos / "sub")
    before = {p: p.read_bytes() for p in photos.rglob("*") if p.is_file()}
    for option in ("--overwrite", "--resume"):
        code, _, err = cli("protect", photos, "-o", out, option)
        assert code == 1 and "is a link" in err
    assert {p: p.read_bytes() for p in photos.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("name", ["a.png", "unseg-masks/a.png"])
def test_files_that_no_run_wrote_are_never_replaced(
    cli: Cli, photos: Path, tmp_path: Path, name: str
) -> None:
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"precious")
    for options in ([], ["--resume"], ["--overwrite"]):
        shutil.rmtree(tmp_path / "again", ignore_errors=True)
        shutil.copytree(tmp_path / "out", tmp_path / "again")
        code, _, err = cli("protect", photos / "a.jpg", "-o", tmp_path / "again", *options)
        assert code == 1 and "exists already" in err
        assert (tmp_path / "again" / name).read_bytes() == b"precious"


def test_linked_folders_are_followed_once_and_pipes_refused(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(photos / "b.png", other / "o.png")
    (photos / "link").symlink_to(other)
    (photos / "loop").symlink_to(photos)
    os.mkfifo(photos / "pipe.png")
    code, _, err = cli("protect", photos, "-o", tmp_path / "out")
    assert code == 1 and "pipe.png is a pipe or a device, not a file" in err
    found = records(tmp_path / "out")
    assert found["link/o.png"]["status"] == "protected"
    assert not any(name.startswith("loop") for name in found)


def test_a_folder_that_cannot_be_listed_is_named(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = os.scandir

    def refuse(place: Any) -> Any:
        if Path(place).name == "deep":
            raise PermissionError(13, "Permission denied", str(place))
        return listing(place)

    monkeypatch.setattr(os, "scandir", refuse)
    code, _, err = cli("protect", photos, "-o", tmp_path / "out")
    assert code == 2 and "deep cannot be read" in err


def contents(out: Path) -> dict[str, Any]:
    """All files but the run's; of records all but the seconds."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file() and p.name != "unseg-run.json"):
        found[path.relative_to(out).as_posix()] = path.read_bytes()
    lines = found.pop("unseg-manifest.jsonl").decode().splitlines()
    found["manifest"] = [{**json.loads(line), "seconds": 0} for line in lines]
    return found


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_resume_completes_whatever_state_a_run_was_left_in(
    cli: Cli, photos: Path, tmp_path: Path, batch: int
) -> None:
    masks, whole, out = tmp_path / "masks", tmp_path / "whole", tmp_path / "out"
    (photos / "bad.png").write_text("bad")
    options = ["--masks", masks, "--batch", batch]
    cli("protect", photos, "-o", whole, *options)
    expected = contents(whole)
    damages: list[Callable[[], object]] = [
        lambda: (out / "b.png").unlink(),
        lambda: (out / "b.png").write_bytes(b"half"),
        lambda: (out / "unseg-masks" / "a.png").unlink(),
        lambda: os.truncate(out / "unseg-manifest.jsonl", 1500),
        lambda: (out / "unseg-manifest.jsonl").unlink(),
        lambda: (out / "sub" / ".unseg-1-ab.tmp").write_bytes(b"half"),
        lambda: (out / "unseg-run.json").unlink(),
        lambda: (out / "unseg-manifest.jsonl").write_text("\n\nnonsense\n"),
    ]
    for damage in damages:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(whole, out)
        damage()
        assert cli("protect", photos, "-o", out, *options, "--resume")[0] == 1  # bad.png
        assert contents(out) == expected
        assert cli("verify", out, "--originals", photos)[0] == 0


def test_resume_does_only_what_is_left_or_has_changed(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    masks, out = tmp_path / "masks", tmp_path / "out"

    def resume(*options: object) -> int:
        code, text, _ = cli("protect", photos, "-o", out, "--masks", masks, "--resume", "--json",
                            *options)  # fmt: skip
        assert code == 0 and len(records(out)) == 5
        return int(json.loads(text)["totals"]["kept_from_earlier_run"])

    assert resume() == 0
    stamp = (out / "a.png").stat().st_mtime_ns
    assert resume() == 5 and (out / "a.png").stat().st_mtime_ns == stamp
    save(photos / "b.png", photo(41, 60, seed=9))
    assert resume() == 4
    save(masks / "a.png", np.eye(40, 60, dtype=np.uint8))
    assert resume() == 4 and resume() == 5
    assert resume("--eps", "5") == 0 and resume("--eps", "5") == 5
    assert resume("--target", "class", "--eps", "5") == 0


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
import noise_stub
noise_stub.install()
slow = noise_stub.BatchSource.noise
noise_stub.BatchSource.noise = lambda *a: (time.sleep(0.05), slow(*a))[1]
sys.argv = ["unseg", *{arguments!r}]
from unseg.cli.main import main
main()
"""


def test_kill_9_and_resume_give_an_uninterrupted_runs_files(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for i in range(40):
        save(folder / f"{i % 3}" / f"{i:02d}.png", photo(50, 50, seed=i))
    cli("protect", folder, "-o", tmp_path / "whole")
    out = tmp_path / "out"
    arguments = ["protect", str(folder), "-o", str(out), "--resume"]
    code = KILLED.format(tests=str(Path(__file__).parent), arguments=arguments)
    manifest = out / "unseg-manifest.jsonl"
    for wanted in (3, 15):
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and process.poll() is None:
            if manifest.exists() and manifest.read_bytes().count(b"\n") >= wanted:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run was over before it was killed"
        assert cli("verify", out)[0] == 1  # it did not finish
        with manifest.open("ab") as stream:
            stream.write(b'{"source": "0/12.p')
    assert wanted <= len(files(out)) < 40
    assert cli("protect", folder, "-o", out, "--resume")[0] == 0
    assert contents(out) == contents(tmp_path / "whole")
    assert cli("verify", out, "--originals", folder)[0] == 0


def test_memory_does_not_grow_with_the_folder(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count the photos that are held at once while a folder passes through."""
    held: set[int] = set()
    most = 0
    genuine = pipeline.decode

    def counted(*arguments: Any) -> Any:
        nonlocal most
        found = genuine(*arguments)
        held.add(id(found))
        weakref.finalize(found, held.discard, id(found))
        most = max(most, len(held))
        return found

    monkeypatch.setattr(pipeline, "decode", counted)
    for i in range(30):
        save(tmp_path / "in" / f"{i:02d}.png", photo(30, 30, seed=i))
    code, _, err = cli("protect", tmp_path / "in", "-o", tmp_path / "out")
    assert code == 0, err
    assert 1 < most <= 10
