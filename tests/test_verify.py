"""``unseg verify``: every kind of mismatch is found and named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noise_stub import photo

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for i, name in enumerate(["a.jpg", "sub/b.png", "c.png"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(seed=i)).save(folder / name)
    return folder


@pytest.fixture
def out(cli: Cli, photos: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    assert cli("protect", photos, "-o", folder, "--visibility", "strong")[0] == 0
    return folder


def edit(out: Path, source: str, **changes: Any) -> None:
    """Change a record, and the run's checksum of the manifest with it."""
    path = out / "unseg-manifest.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for record in lines:
        if record["source"] == source:
            record.update(changes)
    write_manifest(out, "".join(json.dumps(record) + "\n" for record in lines))


def write_manifest(out: Path, text: str) -> None:
    (out / "unseg-manifest.jsonl").write_text(text)
    run = json.loads((out / "unseg-run.json").read_text())
    run["manifest_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (out / "unseg-run.json").write_text(json.dumps(run))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["png", "webp", "same"])
def test_a_fresh_folder_is_fine(cli: Cli, photos: Path, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / kind
    cli("protect", photos, "-o", folder, "--format", kind)
    code, text, _ = cli("verify", folder, "--originals", photos)
    assert code == 0 and "3 images checked, 3 compared with their originals; 0 problems" in text
    code, text, _ = cli("verify", folder)
    assert code == 0 and "the bound was not measured: give --originals" in text


def test_originals_may_be_in_several_places(cli: Cli, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert cli("protect", photos / "sub", photos / "a.jpg", "-o", folder)[0] == 0
    assert cli("verify", folder, "--originals", photos / "sub")[0] == 1
    originals = ["--originals", photos / "sub", "--originals", photos / "a.jpg"]
    assert cli("verify", folder, *originals)[0] == 0


Damage = Callable[[Path], object]


def flip_pixel(path: Path, amount: int = 30) -> None:
    pixels = np.array(Image.open(path))
    pixels[5, 5, 0] = (int(pixels[5, 5, 0]) + amount) % 256
    Image.fromarray(pixels).save(path)


def rewrite(out: Path, name: str, amount: int) -> None:
    """A changed image whose record was made to match."""
    flip_pixel(out / name, amount)
    edit(out, "c.png", output_sha256=sha256(out / name))


def fake_mask(out: Path) -> None:
    path = out / "unseg-masks" / "c.png"
    Image.fromarray(np.ones((40, 60), bool)).save(path)
    edit(out, "c.png", mask_sha256=sha256(path))


DAMAGES: dict[str, tuple[Damage, str]] = {
    "changed file": (lambda o: flip_pixel(o / "c.png"), "c.png: the file was changed: its sha256"),
    "other bytes": (lambda o: (o / "c.png").write_bytes(b"x"), "c.png: the file was changed"),
    "empty file": (lambda o: (o / "c.png").write_bytes(b""), "c.png: is empty (0 bytes)"),
    "missing file": (lambda o: (o / "sub/b.png").unlink(), "sub/b.png: the file is missing"),
    "extra file": (
        lambda o: Image.new("L", (3, 3)).save(o / "sub/new.jpg"),
        "sub/new.jpg: is not listed in the manifest",
    ),
    "extra mask": (
        lambda o: Image.new("1", (3, 3)).save(o / "unseg-masks/new.png"),
        "unseg-masks/new.png: is not listed",
    ),
    "temporary": (lambda o: (o / ".unseg-1-a.tmp").touch(), "left over from a killed run"),
    "missing mask": (
        lambda o: (o / "unseg-masks/c.png").unlink(),
        "c.png: the stored mask unseg-masks/c.png is missing",
    ),
    "changed mask": (
        lambda o: Image.new("1", (60, 40)).save(o / "unseg-masks/c.png"),
        "c.png: the stored mask unseg-masks/c.png was changed",
    ),
    "replaced mask": (fake_mask, "c.png: the stored mask covers 1, but the manifest says"),
    "edited record": (
        lambda o: (o / "unseg-manifest.jsonl").write_text(
            (o / "unseg-manifest.jsonl").read_text().replace('"psnr": ', '"psnr": 1')
        ),
        "unseg-manifest.jsonl: differs from the one that unseg-run.json describes",
    ),
    "removed record": (
        lambda o: (
            (o / "c.png").unlink(),
            (o / "unseg-masks/c.png").unlink(),
            (o / "unseg-manifest.jsonl").write_text(
                "".join(
                    line
                    for line in (o / "unseg-manifest.jsonl").read_text().splitlines(keepends=True)
                    if '"source": "c.png"' not in line
                )
            ),
        ),
        "differs from the one that unseg-run.json describes",
    ),
    "damaged line": (
        lambda o: write_manifest(o, (o / "unseg-manifest.jsonl").read_text() + '{"source": "x'),
        "unseg-manifest.jsonl: line 4 is damaged",
    ),
    "two records": (
        lambda o: write_manifest(o, (o / "unseg-manifest.jsonl").read_text() * 2),
        "c.png: has 2 records in the manifest: expected one",
    ),
    "size": (lambda o: edit(o, "c.png", width=61), "c.png: is 60x40, but the manifest says 61x40"),
    "no mask": (lambda o: edit(o, "c.png", mask=None), "the manifest names no stored mask"),
    "leading out": (lambda o: edit(o, "c.png", output="../c.png"), "line 2 is damaged (output: "),
    "unfinished": (
        lambda o: (o / "unseg-run.json").write_text('{"status": "running"}'),
        "unseg-run.json: the run did not finish",
    ),
    "no run": (lambda o: (o / "unseg-run.json").unlink(), "unseg-run.json cannot be read"),
    "bad run": (lambda o: (o / "unseg-run.json").write_text("[]"), "is not a JSON object"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_without_the_originals(cli: Cli, out: Path, name: str) -> None:
    damage, message = DAMAGES[name]
    damage(out)
    code, text, _ = cli("verify", out)
    assert code == 1 and message in text


WITH_ORIGINALS: dict[str, tuple[Damage, str]] = {
    "outside the bound": (lambda o: rewrite(o, "c.png", 60), "c.png: changed by "),
    "over the budget": (lambda o: rewrite(o, "c.png", 60), "over the budget of 8 and 2"),
    "psnr": (lambda o: edit(o, "c.png", psnr=20.0), "the manifest says 20.0"),
    "ssim": (lambda o: edit(o, "c.png", ssim=0.5), "the manifest says 0.5"),
    "visibility": (lambda o: edit(o, "c.png", visibility_score=99.9), "manifest says 99.9"),
    "no visibility": (
        lambda o: edit(o, "c.png", visibility_score=None),
        "c.png: visibility score is ",
    ),
    "no psnr": (lambda o: edit(o, "c.png", psnr=None), "the manifest says None"),
    "change": (
        lambda o: edit(o, "c.png", change={"inside": 7.0, "outside": 2.0}),
        "changed by 8 inside and 2 outside the mask, but the manifest says 7 inside",
    ),
    "original changed": (
        lambda o: flip_pixel(o.parent / "photos" / "c.png"),
        "c.png: the original c.png is not the file that was protected",
    ),
    "original missing": (
        lambda o: (o.parent / "photos" / "sub" / "b.png").unlink(),
        "sub/b.png: the original sub/b.png is not in --originals",
    ),
}


@pytest.mark.parametrize("name", WITH_ORIGINALS)
def test_damage_is_found_with_the_originals(cli: Cli, out: Path, photos: Path, name: str) -> None:
    damage, message = WITH_ORIGINALS[name]
    damage(out)
    code, text, _ = cli("verify", out, "--originals", photos)
    assert code == 1 and message in text


def test_manifests_from_before_the_score_are_verified(cli: Cli, out: Path, photos: Path) -> None:
    for name in ("a.jpg", "sub/b.png", "c.png"):
        edit(out, name, manifest_format=2, visibility_score=None)
    code, text, _ = cli("verify", out, "--originals", photos)
    assert code == 0, text


def test_a_budget_that_was_lowered_in_the_manifest_is_found(
    cli: Cli, out: Path, photos: Path
) -> None:
    edit(out, "c.png", budget={"foreground": 4, "background": 1})
    code, text, _ = cli("verify", out, "--originals", photos)
    assert code == 1 and "over the budget of 4 and 1" in text


def test_images_that_were_not_protected_are_listed(cli: Cli, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").write_text("bad")
    cli("protect", photos, "-o", tmp_path / "out")
    code, text, _ = cli("verify", tmp_path / "out", "--originals", photos)
    assert code == 0 and "not protected: bad.png is not an image that can be read" in text


def test_originals_without_a_record_are_named(cli: Cli, out: Path, photos: Path) -> None:
    Image.fromarray(photo()).save(photos / "sub" / "late.png")
    code, text, _ = cli("verify", out, "--originals", photos)
    assert code == 0 and "1 images in --originals are not in the manifest" in text
    assert "sub/late.png" in text
    code, text, _ = cli("verify", out, "--originals", photos, "--json")
    assert code == 0 and json.loads(text)["not_in_manifest"] == ["sub/late.png"]


def test_json(cli: Cli, out: Path, photos: Path) -> None:
    code, text, _ = cli("verify", out, "--originals", photos, "--json")
    assert code == 0 and json.loads(text)["problems"] == []
    assert json.loads(text)["compared_with_originals"] == 3
    (out / "c.png").unlink()
    code, text, _ = cli("verify", out, "--json")
    problems = json.loads(text)["problems"]
    assert code == 1 and [problem["file"] for problem in problems] == ["c.png"]


def test_nothing_to_verify(cli: Cli, out: Path, tmp_path: Path) -> None:
    code, _, text = cli("verify", tmp_path / "nosuch")
    assert code == 2 and "expected a folder that unseg protect wrote" in " ".join(text.split())
    code, _, text = cli("verify", out, "--originals", tmp_path / "nosuch")
    assert code == 2 and "nosuch does not exist" in " ".join(text.split())
