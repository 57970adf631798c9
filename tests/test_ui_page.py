"""The page in a browser: drop, click, protect, compare, download, stop, and what it refuses."""

from __future__ import annotations

import http.client
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import ExifTags, Image

import unseg
from page_driver import Browser, chromium, page, wait
from unseg.images.reader import decode

GPS = ExifTags.IFD.GPSInfo


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    chromium()
    folder = tmp_path_factory.mktemp("page")
    with page(folder) as found:
        yield found
    # Ended, it leaves nothing; torch makes an empty folder of its own.
    assert not [one for one in found[1].rglob("*") if "torchinductor" not in one.name]


@pytest.fixture(scope="module")
def window(
    served: tuple[str, Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    opened = Browser(served[0], tmp_path_factory.mktemp("downloads"))
    yield opened
    opened.close()


@pytest.fixture
def browser(
    served: tuple[str, Path, Path], window: Browser, request: pytest.FixtureRequest
) -> Iterator[Browser]:
    """A page nobody has used; in the end nothing was asked of others, and nothing complained."""
    window.load(getattr(request, "param", 1400))
    yield window
    own = urlsplit(served[0]).netloc
    asked = [urlsplit(one) for one in window.requests()]
    others = [one for one in asked if one.scheme not in {"data", "blob"} and one.netloc != own]
    assert any(one.netloc == own for one in asked) and not others
    assert not window.complaints()
    assert not served[2].exists(), served[2].read_text()


@pytest.fixture
def astronaut(tmp_path: Path) -> Path:
    """A photograph of 384 x 384, in the public domain, as a JPEG that says where it was taken."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        pytest.skip("scikit-image is not installed")
    with Image.open(Path(spec.origin).parent / "data" / "astronaut.png") as image:
        small = image.convert("RGB").resize((384, 384))
    exif = small.getexif()
    exif[ExifTags.Base.Artist] = "NASA"
    exif.get_ifd(GPS)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    small.save(tmp_path / "astronaut.jpg", quality=95, exif=exif)
    return tmp_path / "astronaut.jpg"


def disc(path: Path, width: int = 320, height: int = 240, seed: int = 0) -> Path:
    """A bright disc on a dark ground."""
    rows, columns = np.mgrid[:height, :width]
    inside = (columns - 0.7 * width) ** 2 + (rows - height / 2) ** 2 < (height / 4) ** 2
    image = np.where(inside[..., None], (220, 190, 60), (40, 60, 90))
    image = image + np.random.default_rng(seed).normal(0, 4, image.shape)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
    return path


def session_folders(served: tuple[str, Path, Path]) -> list[Path]:
    return list(served[1].glob("unseg-ui-*/session-*"))


FIRST_FILE = "#unseg-written a"


def test_what_is_found_is_protected_as_the_command_does_it(
    served: tuple[str, Path, Path], browser: Browser, astronaut: Path, tmp_path: Path
) -> None:
    browser.drop([astronaut])
    assert "what stands out" in browser.says("#unseg-about", "384 x 384")
    browser.protect()
    figures = browser.text("#unseg-figures")
    report = unseg.protect_folder(astronaut, tmp_path / "out", unseg.Settings(device="cpu"))
    [record] = report.records
    assert f"{record.visibility_score:.1f} of 100" in figures
    assert f"{record.psnr:.1f} dB" in figures
    assert "of the noise inside the mask is left" in figures
    written = browser.download(FIRST_FILE)
    assert written == (tmp_path / "out" / record.output).read_bytes()
    # At 100 %, a pixel of the photograph is one of the screen.
    sides = browser.chrome.execute_script(
        "return [...document.querySelectorAll('#unseg-viewer img')].map(one => "
        "[one.naturalWidth, one.naturalHeight, one.clientWidth, one.clientHeight])"
    )
    assert sides == [[384, 384, 384, 384]] * 3
    [folder] = session_folders(served)
    assert oct(folder.stat().st_mode)[-3:] == "700" == oct(folder.parent.stat().st_mode)[-3:]
    browser.chrome.get("about:blank")
    wait(lambda: not session_folders(served), "the session's folder is gone", 30)
    wait(lambda: not [one for one in served[1].rglob("*") if one.is_file()], "no file is left", 30)


def test_clicks_add_and_remove_and_metadata_is_a_choice(
    browser: Browser, astronaut: Path, tmp_path: Path
) -> None:
    browser.drop([disc(tmp_path / "disc.png")])
    browser.says("#unseg-about", "320 x 240")
    browser.press("clear")
    browser.says("#unseg-about", "0 objects are chosen")
    browser.press("protect")
    browser.says("#unseg-notice", "nothing is chosen in disc.png")
    browser.click_at(222, 118)
    assert "1 object is chosen" in browser.says("#unseg-about", "Added")
    browser.click_at(230, 130)
    browser.says("#unseg-about", "Removed. Nothing is chosen now")
    browser.press("undo")
    browser.says("#unseg-about", "1 object is chosen")
    browser.protect()
    written = browser.download(FIRST_FILE)
    protector = unseg.Protector.from_pretrained(device="cpu")
    with Image.open(tmp_path / "disc.png") as image:
        mask = protector.mask_of_points(image, [(222, 118)], [1])
        protector.protect(image, mask).save(tmp_path / "expected.png")
    assert written == (tmp_path / "expected.png").read_bytes()

    browser.press("forget")
    wait(lambda: not browser.text("#unseg-choosing"), "all is deleted")
    browser.drop([astronaut])
    browser.says("#unseg-about", "astronaut.jpg")
    browser.choose("format", "jpeg")
    browser.choose("strip", "gps")
    browser.choose("visibility", "low")
    browser.protect()
    written = browser.download(FIRST_FILE)
    settings = unseg.Settings(device="cpu", format="jpeg", strip="gps", visibility="low")
    unseg.protect_folder(astronaut, tmp_path / "out", settings)
    assert written == (tmp_path / "out" / "astronaut.jpg").read_bytes()
    with Image.open(io.BytesIO(written)) as image:
        assert image.format == "JPEG" and image.getexif()[ExifTags.Base.Artist] == "NASA"
        assert not image.getexif().get_ifd(GPS)


def test_a_batch_is_zipped_and_can_be_stopped(browser: Browser, tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(10)]
    (tmp_path / "photos").mkdir()
    photos = [disc(tmp_path / "photos" / one, 640, 480, seed=int(one[0])) for one in names]
    broken = tmp_path / "photos" / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    browser.drop([*photos, broken])
    browser.says("#unseg-about", "640 x 480")
    assert "broken.jpg" in browser.says("#unseg-notice", "copy it again")
    browser.press("protect")
    browser.says("#unseg-progress", "1 of 10")
    browser.press("stop")
    said = browser.says("#unseg-progress", "Stopped: ")
    done = int(said.split()[1])
    assert 0 < done < 10 and f"{done} of 10 photographs are protected" in said
    browser.protect()
    assert "10 of 10 photographs are protected" in browser.text("#unseg-progress")
    assert browser.text("#unseg-listed").count("dB") == 10
    archive = zipfile.ZipFile(io.BytesIO(browser.download("#unseg-zip")))
    unseg.protect_folder(tmp_path / "photos", tmp_path / "out", unseg.Settings(device="cpu"))
    assert sorted(archive.namelist()) == names
    for name in names:
        assert archive.read(name) == (tmp_path / "out" / name).read_bytes()


def test_files_that_cannot_be_used_are_told_in_sentences(browser: Browser, tmp_path: Path) -> None:
    whole = disc(tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.txt").write_text("no picture")
    Image.new("1", (10_000, 7_000)).save(tmp_path / "vast.png")
    for name, said in (
        ("cut.png", "expected a complete image"),
        ("notes.txt", "is not an image that can be read"),
        ("vast.png", "70 megapixels: expected at most 64"),
    ):
        browser.drop([tmp_path / name])
        text = browser.says("#unseg-notice", said)
        assert text.startswith(name) and text.strip().endswith(".")
        assert not browser.text("#unseg-choosing")
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(201_000_000)
    browser.drop([tmp_path / "large.png"])
    wait(lambda: "maximum" in browser.text("body") and "200" in browser.text("body"),
         "the size limit is told")  # fmt: skip
    # The browser, too, says that the file was refused.
    assert all("413" in one for one in browser.complaints())


def test_sixty_megapixels(browser: Browser, tmp_path: Path) -> None:
    row = np.linspace(30, 90, 10_000, dtype=np.float32)
    image = np.broadcast_to(row[None, :, None], (6_000, 10_000, 3)).astype(np.uint8).copy()
    image[2_000:4_500, 3_000:6_000] = (210, 180, 70)
    Image.fromarray(image).save(tmp_path / "large.jpg", quality=90)
    browser.drop([tmp_path / "large.jpg"])
    browser.says("#unseg-about", "10000 x 6000")
    browser.press("clear")
    browser.says("#unseg-about", "0 objects are chosen")
    browser.click_at(576, 420)  # in the copy of 1280 pixels
    browser.says("#unseg-about", "1 object is chosen")
    browser.protect()
    assert "a part of 10000 x 6000 pixels" in browser.text("#unseg-viewer")
    written = decode(browser.download(FIRST_FILE), "large.png").pixels
    changed = np.abs(written.astype(np.int16) - np.asarray(Image.open(tmp_path / "large.jpg")))
    assert written.shape == (6_000, 10_000, 3)
    assert 0 < changed[2_500:4_000, 3_500:5_500].max() <= 8
    assert changed[5_000:, 7_000:].max() <= 2


@pytest.mark.parametrize(
    ("browser", "width"), [(1400, 1400), (400, 400)], indirect=["browser"], ids=["1400", "400"]
)
def test_nothing_is_cut_off(browser: Browser, astronaut: Path, tmp_path: Path, width: int) -> None:
    browser.drop([astronaut, disc(tmp_path / "disc.png")])
    browser.says("#unseg-about", "384 x 384")
    browser.protect()
    run = browser.chrome.execute_script
    wide, shown = run(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= shown <= width
    # The slider shows more of the original, and the difference in place of the protected.
    moved = run(
        "const box = document.querySelector('.unseg-compare'), top = "
        "box.querySelector('.unseg-protected'), slider = box.querySelector('.unseg-slider');"
        "const read = value => { slider.value = value; slider.dispatchEvent(new Event('input', "
        "{bubbles: true})); return parseFloat(getComputedStyle(top).clipPath.split(' ')[3]); };"
        "const found = [read(200), read(800)];"
        "box.querySelector('[data-show=difference]').click();"
        "const seen = getComputedStyle(top).visibility;"
        "box.querySelector('[data-show=protected]').click();"
        "return [...found, seen, getComputedStyle(top).visibility]"
    )
    assert 0 < moved[0] < moved[1] and moved[2:] == ["hidden", "visible"]
    if folder := os.environ.get("UNSEG_SCREENSHOTS"):
        browser.resize(width, run("return document.documentElement.scrollHeight"))
        browser.chrome.save_screenshot(str(Path(folder) / f"page-{width}.png"))


def test_other_origins_and_paths_are_refused(
    served: tuple[str, Path, Path], tmp_path: Path
) -> None:
    own = urlsplit(served[0]).netloc
    (tmp_path / "secret.txt").write_text("secret")

    def asked(path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection(own, timeout=60)) as connection:
            connection.request(method, path, headers=named)
            with connection.getresponse() as answer:
                return answer.status, answer.read().decode(errors="replace")

    assert asked("/")[0] == 200
    for path, headers, status in (
        ("/", {"Host": "evil.example"}, 421),
        ("/config", {"Origin": "http://evil.example"}, 403),
        ("/config", {"Sec_Fetch_Site": "cross-site"}, 403),
        (f"/gradio_api/file={tmp_path}/secret.txt", {}, 403),
        ("/gradio_api/file=/etc/passwd", {}, 403),
        ("/gradio_api/file=http://127.0.0.1/", {}, 403),
        ("/gradio_api/proxy=http://127.0.0.1/", {}, 404),
        ("/gradio_api/openapi.json", {}, 404),
    ):
        found = asked(path, **headers)
        assert found[0] == status and "secret" not in found[1], (path, found)
    found = asked("/gradio_api/upload", "POST", Content_Length="2000000000")
    assert found[0] == 413 and "this page takes 1000 MB at a time" in found[1]
