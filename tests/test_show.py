"""What can be looked at: ``unseg show``, ``--sheet``, ``--overlay``; what was found, in words."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noise_stub import photo
from unseg.masks.named import count_names, count_pieces, labels_of_objects, named_text
from unseg.masks.overlay import OUTLINE, overlaid
from unseg.report.sheet import SheetRow, sheet_page

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photographs of 60 x 40, one with a name that is no HTML, and a mask of each."""
    for seed, name in enumerate(("a.png", "b<i>&'.png")):
        for folder in ("photos", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(photo(seed=seed)).save(tmp_path / "photos" / name)
        mask = photo(seed=seed)[..., 0] > 140
        Image.fromarray(mask).save(tmp_path / "masks" / name)
    return tmp_path / "photos"


def test_an_overlay_keeps_the_object_and_darkens_the_rest() -> None:
    image, mask = photo(), np.zeros((40, 60), bool)
    mask[10:30, 20:40] = True
    drawn = overlaid(image, mask)
    assert np.array_equal(drawn[15:25, 25:35], image[15:25, 25:35])
    assert drawn[:, :15].mean() < 0.4 * image[:, :15].mean()
    assert tuple(drawn[10, 30]) == OUTLINE and np.array_equal(image, photo())
    whole = overlaid(image, np.ones((40, 60), bool))
    assert tuple(whole[0, 30]) == OUTLINE and np.array_equal(whole[5:-5, 5:-5], image[5:-5, 5:-5])


def test_show_draws_a_protected_image_with_the_stored_mask(
    cli: Cli, photos: Path, tmp_path: Path
) -> None:
    out, picture = tmp_path / "out", tmp_path / "look.png"
    assert cli("protect", photos, "-o", out, "--masks", tmp_path / "masks")[0] == 0
    line = ("show", out / "a.png", "--original", photos / "a.png", "-o", picture)
    code, text, err = cli(*line)
    assert code == 0, err
    assert re.search(
        r"a\.png: \w.* \(\d+ of 100\); largest change 8 steps inside the mask, 2", text
    )
    assert "(file)" in text
    drawn = np.asarray(Image.open(picture))
    assert drawn.shape[1] == 1502
    columns = [drawn[:, 16 + i * 370 : 16 + i * 370 + 360] for i in range(4)]
    assert (columns[3] == OUTLINE).all(axis=2).any() and not (columns[0] == OUTLINE).all(
        axis=2
    ).any()
    code, _, err = cli(*line)
    assert code == 2 and "exists already" in err
    assert cli(*line, "--overwrite", "--masks", tmp_path / "masks" / "a.png")[0] == 0
    # Elsewhere the mask is not known, and the whole image is judged.
    (tmp_path / "copy.png").write_bytes((out / "a.png").read_bytes())
    code, text, _ = cli(
        "show", tmp_path / "copy.png", "--original", photos / "a.png", "-o", tmp_path / "c.jpg"
    )
    assert code == 0 and "its mask is not known" in text
    code, _, err = cli("show", out / "a.png", "-o", tmp_path / "d.png")
    assert code == 2 and "say with --original what it was" in " ".join(err.split())


def test_show_previews_what_protect_would_do(cli: Cli, photos: Path, tmp_path: Path) -> None:
    picture = tmp_path / "look.png"
    code, text, err = cli("show", photos / "a.png", "--masks", tmp_path / "masks", "-o", picture)
    assert code == 0 and "(file)" in text, err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["look.png", "masks", "photos"]
    code, text, err = cli("show", photos / "a.png", "-o", tmp_path / "found.png")
    assert code == 0 and "(salient)" in text, err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "look.gif"), "expected a name ending in .png or .jpg"),
        (("-o", "look.png", "--original", "none.png"), "none.png is not a file"),
        (("-o", "look.png", "--original", "small.png"), "give the original that it was made of"),
        (("-o", "look.png", "--original", "same.png", "--point", "3,3"), "leave one of them out"),
        (("-o", "look.png", "--original", "same.png", "--masks", "masks"), "has no mask for same"),
    ],
)
def test_show_says_what_is_wrong(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name, side in (("a.png", 40), ("same.png", 40), ("small.png", 20)):
        Image.fromarray(photo(side)).save(name)
    Path("masks").mkdir()
    Image.new("1", (60, 40)).save("masks/other.png")
    code, _, err = cli("show", "a.png", *options)
    assert code == 2 and message in " ".join(err.split())


def test_the_sheet_is_one_page_that_loads_nothing(cli: Cli, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    page = tmp_path / "look.html"
    line = ("protect", photos, "-o", tmp_path / "out", "--masks", tmp_path / "masks")
    assert cli(*line, "--sheet", page)[0] == 1
    text = page.read_text("utf-8")
    names = re.findall(r"<h2>(.*?)</h2>", text)
    assert names[0] == "broken.png" and set(names[1:]) == {"a.png", "b&lt;i&gt;&amp;&#x27;.png"}
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert len(pictures) == 8
    assert all(Image.open(io.BytesIO(base64.b64decode(one))).size == (60, 40) for one in pictures)
    assert "http" not in text.replace("http-equiv", "") and "<i>" not in text
    assert "default-src 'none'" in text and text.count("<script>") == 1
    scores = re.findall(r'data-score="([\d.]+)"', text)
    assert scores[0] == "101" and sorted(map(float, scores[1:])) == list(map(float, scores[1:]))
    assert all(
        "visible" in text or "seen" in text for text in re.findall(r"<p>(.*?)<br>", text)[1:]
    )
    # With the page in the folder that is published, or of one file, nothing is started.
    for extra, message in (
        (("-o", tmp_path / "o", "--sheet", tmp_path / "o" / "x.html"), "shows the originals"),
        (("-o", tmp_path / "o", "--sheet", tmp_path / "x.txt"), "ending in .html"),
        (("-o", tmp_path / "o", "--sheet", page), "exists already"),
        (("-o", tmp_path / "o.png", "--sheet", tmp_path / "x.html"), "unseg show draws"),
    ):
        start = photos / "a.png" if str(extra[1]).endswith("o.png") else photos
        code, _, err = cli("protect", start, *extra)
        assert code == 2 and message in " ".join(err.split())
    assert not (tmp_path / "o").exists()


def test_the_sheets_script_is_the_only_one_allowed() -> None:
    import hashlib

    page = sheet_page([SheetRow("<script>x</script>\x1b\ud800", 80.0, ["a"])], title="t", more=3)
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page and "3 more images" in page
    page.encode("utf-8")


def test_masks_are_drawn_over_photographs(cli: Cli, photos: Path, tmp_path: Path) -> None:
    code, _, err = cli("masks", photos, "-o", tmp_path / "m", "--overlay", tmp_path / "look")
    assert code == 0, err
    assert sorted(p.name for p in (tmp_path / "look").iterdir()) == ["a.jpg", "b<i>&'.jpg"]
    mask = np.asarray(Image.open(tmp_path / "m" / "a.png")) > 0
    drawn = np.asarray(Image.open(tmp_path / "look" / "a.jpg").convert("L"))
    assert drawn.shape == mask.shape and drawn[~mask].mean() < 0.5 * drawn[mask].mean()
    for place in (photos / "look", tmp_path / "m2"):
        code, _, err = cli("masks", photos, "-o", tmp_path / "m2", "--overlay", place)
        assert code == 2 and "overlap" in err


def test_what_was_found_is_counted_and_named(cli: Cli, photos: Path, tmp_path: Path) -> None:
    boxes = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 7, "name": "person"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": category, "bbox": box}
            for i, (category, box) in enumerate(
                [(7, [2, 2, 20, 20]), (7, [30, 2, 20, 20]), (9, [2, 28, 20, 10])], 1
            )
        ],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    out = tmp_path / "out"
    code, text, err = cli(
        "protect", photos / "a.png", "-o", out, "--boxes", tmp_path / "boxes.json"
    )
    assert code == 0 and "2 people, 1 dog" in text, err
    record = json.loads((out / "unseg-manifest.jsonl").read_text())
    assert record["found"] == {"dog": 1, "person": 2}
    run = json.loads((out / "unseg-run.json").read_text())
    assert run["totals"]["found"] == {"dog": 1, "person": 2}
    mask = np.zeros((40, 60), np.uint8)
    mask[2:18, 2:18] = mask[20:38, 30:58] = 255
    (tmp_path / "two").mkdir()
    Image.fromarray(mask).save(tmp_path / "two" / "a.png")
    line = ("protect", photos / "a.png", "-o", tmp_path / "o2", "--masks", tmp_path / "two")
    assert "2 regions" in cli(*line)[1]


def test_counts_in_words() -> None:
    names = {1: "person", 2: "wine glass", 3: "bus", 4: "sheep", 5: "puppy", 6: "toy", 7: "猫"}
    found = count_names([1] * 9 + [2] * 8 + [3] * 7 + [4] * 6 + [5] * 5 + [6] * 4 + [7] * 3, names)
    assert named_text(found) == (
        "9 people, 8 wine glasses, 7 buses, 6 sheep, 5 puppies, 4 toys, 3 of other classes"
    )
    assert named_text({"猫": 2, "object": 1}) == "2 猫, 1 object"
    assert count_pieces(np.ones((5, 5), bool)) == {} == count_pieces(np.zeros((5, 5), bool))
    speck = np.zeros((3000, 2000), bool)
    speck[5, 5] = speck[100:900, 100:900] = True
    assert count_pieces(speck) == {"region": 1}
    labels, objects = np.array([[1, 1, 2, 0]]), np.array([[1, 2, 5, 0]])
    assert labels_of_objects(labels, objects).tolist() == [1, 1, 2]
