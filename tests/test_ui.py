"""The page's parts without a browser: what is chosen, who may ask, and what is left behind."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import noise_stub
import unseg
from noise_stub import photo
from unseg.errors import UnsegError
from unseg.masks.overlay import OUTLINE
from unseg.protect.settings import Settings
from unseg.ui import engine, limits, texts
from unseg.ui.actions import Actions, said
from unseg.ui.comparing import Pair, centre, viewer
from unseg.ui.engine import PageModels
from unseg.ui.folder import private_folder, remove_left_over
from unseg.ui.guard import Guard
from unseg.ui.objects import ChosenObjects, pieces
from unseg.ui.outlines import outlined, shown_copy
from unseg.ui.protecting import Choices, protect_session, zipped
from unseg.ui.session import Sessions

Cli = Callable[..., tuple[int, str, str]]


class Squares:
    """Stands in for the base: a square around every point; nothing in the left column."""

    encoded = 0

    def __init__(self, base: object, image: Tensor) -> None:
        Squares.encoded += 1
        self.height, self.width = image.shape[1:]

    def logits(self, on: Sequence[tuple[float, float]]) -> Tensor:
        [(x, y)] = on
        found = torch.full((self.height, self.width), -1.0)
        if x >= 1:
            found[max(0, int(y) - 4) : int(y) + 5, max(0, int(x) - 4) : int(x) + 5] = 1.0
        return found


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Actions:
    noise_stub.install(monkeypatch)
    monkeypatch.setattr(engine, "AskedImage", Squares)
    (tmp_path / "page").mkdir()
    return Actions(
        Sessions(tmp_path / "page", PageModels(Settings(device="cpu"), tmp_path / "page"))
    )


def dropped(folder: Path, name: str = "a.png", seed: int = 0, **options: Any) -> Path:
    """A file as the page gets it: a copy of its own that is taken over."""
    place = folder / f"upload-{name}-{seed}"
    place.mkdir(exist_ok=True)
    Image.fromarray(photo(seed=seed, **options)).save(place / name)
    return place / name


def finish(steps: Any) -> dict[str, Any]:
    """All that a run shows, the last word of each part."""
    contents: dict[str, Any] = {}
    for one in steps:
        contents |= one
    return contents


def test_found_pieces_are_objects_and_clicks_change_them() -> None:
    found = np.zeros((40, 60), bool)
    found[5:10, 5:10] = found[20:30, 20:50] = True
    objects = ChosenObjects(found)
    assert [int(one.sum()) for one in objects.masks] == [300, 25] and not objects.changed
    square = np.zeros_like(found)
    square[25:35, 45:55] = True
    assert objects.toggle(52, 32, lambda: square) == "added" and len(objects.masks) == 3
    # Where two overlap, both go.
    assert objects.toggle(47, 27, lambda: found) == "removed" and len(objects.masks) == 1
    assert objects.toggle(0, 0, lambda: np.zeros_like(found)) == "nothing"
    assert objects.union.sum() == 25
    objects.clear()
    assert not objects.masks and objects.changed and not objects.union.any()
    objects.clear()
    objects.undo()
    objects.undo()
    assert len(objects.masks) == 3
    objects.restart()
    objects.undo()
    assert (objects.union == found).all() and not objects.changed


def test_many_specks_are_removed_together() -> None:
    found = np.zeros((40, 60), bool)
    found[::2, ::2] = True
    parts = pieces(found)
    assert len(parts) == 40 and (np.logical_or.reduce(parts) == found).all()
    assert sum(int(one.sum()) for one in parts) == found.sum()


def test_outlines_are_drawn_on_a_small_copy() -> None:
    pixels = np.full((1000, 2560, 3), 100, np.uint8)
    copy = shown_copy(pixels)
    assert copy.shape == (500, 1280, 3)
    mask = np.zeros((1000, 2560), bool)
    mask[200:600, 1000:1400] = True
    drawn = outlined(copy, [mask])
    assert (drawn[100, 510:690] == OUTLINE).all(), "the upper border"
    assert (drawn[20] == 100).all() and (drawn[200, 600] != 100).any()
    assert (copy == 100).all() and (outlined(copy, []) == 100).all()


@pytest.mark.usefixtures("actions")
def test_a_page_does_what_the_library_does(actions: Actions, tmp_path: Path) -> None:
    source = dropped(tmp_path)
    original = source.read_bytes()
    shown = actions.upload("me", [str(source)])
    assert not source.exists() and "Outlined: what stands out" in shown["about"]
    contents = finish(actions.protect("me", "a.png", "feed", "normal", "png", "none"))
    session = actions.sessions.get("me")
    assert session.result is not None
    (tmp_path / "a.png").write_bytes(original)
    unseg.protect_folder(tmp_path / "a.png", tmp_path / "out", Settings(device="cpu"))
    [written] = contents["written"]["value"]
    assert Path(written).read_bytes() == (tmp_path / "out" / "a.png").read_bytes()
    # A click at a point is what mask_of_points finds there.
    actions.clear("me", "a.png")
    before = Squares.encoded
    for place in ([20.0, 20.0], [50.0, 30.0], [50.0, 30.0]):
        shown = actions.click("me", place, "a.png")
    assert Squares.encoded == before + 1, "the embedding is kept"
    assert "Removed. 1 object is chosen" in shown["about"]
    contents = finish(actions.protect("me", "a.png", "feed", "strong", "png", "none"))
    protector = unseg.Protector.from_pretrained(device="cpu")
    mask = np.zeros((40, 60), bool)
    mask[16:25, 16:25] = True
    with Image.open(tmp_path / "a.png") as image:
        protector.protect(image, mask, visibility="strong").save(tmp_path / "expected.png")
    [written] = contents["written"]["value"]
    assert Path(written).read_bytes() == (tmp_path / "expected.png").read_bytes()
    assert "1 object" in shown["about"] and "of 255 steps" in contents["figures"]


def test_a_run_can_be_stopped_and_keeps_what_is_done(actions: Actions, tmp_path: Path) -> None:
    files = [str(dropped(tmp_path, f"{i}.png", seed=i)) for i in range(5)]
    actions.upload("me", files)
    session = actions.sessions.get("me")

    def stop_at_two(update: Any) -> None:
        if update.done == 2:
            session.stop.set()

    assert protect_session(session, Choices(), stop_at_two)
    assert session.result is not None and len(session.result.records) == 2
    archive = zipped(session)
    assert archive is not None and zipfile.ZipFile(archive).namelist() == ["0.png", "1.png"]
    folder = session.result.folder
    assert not protect_session(session, Choices(format="jpeg"), lambda update: None)
    assert len(session.result.records) == 5 and not folder.exists() and not archive.exists()


def test_large_photographs_are_compared_in_parts(actions: Actions, tmp_path: Path) -> None:
    actions.upload("me", [str(dropped(tmp_path, height=1300, width=2100))])
    contents = finish(actions.protect("me", "a.png", "feed", "normal", "png", "none"))
    assert contents["moving"]["visible"] and "a part of 2100 x 1300" in contents["viewer"]
    pair = Pair(actions.sessions.get("me"), "a.png")
    part = pair.part(1.0, 0.0)
    with Image.open(part.original) as before, Image.open(part.difference) as change:
        assert (np.asarray(before) == pair.before[:1200, -1600:]).all()
        moved = pair.after[:1200, -1600:].astype(int) - np.asarray(before)
        assert (np.asarray(change) == (128 + 16 * moved).clip(0, 255)).all()
    assert 'width="1600" height="1200"' in viewer(part, str)
    assert "viewer" in actions.part("me", "a.png", "feed", 0, 100)
    figures = actions.posted("me", "a.png", "preview")["figures"]
    assert "Posted at 600 x" in figures


def test_centre_of_a_mask() -> None:
    mask = np.zeros((100, 200), bool)
    assert centre(mask) == (0.5, 0.5)
    mask[80:91, 20:41] = True
    assert centre(mask) == (0.15, 0.85)


def test_names_are_told_apart_and_cannot_lead_out(actions: Actions, tmp_path: Path) -> None:
    files = [dropped(tmp_path, name, seed) for seed, name in enumerate(["a.png", "a.png", "a.jpg"])]
    shown = actions.upload("me", [str(one) for one in files])
    names = [value for _, value in shown["photo"]["choices"]]
    assert names == ["a.png", "a-2.png", "a-3.jpg"]
    session = actions.sessions.get("me")
    with pytest.raises(UnsegError, match="no such photograph"):
        session.open("../../a.png")
    actions.drop("me", "a.png", "feed")
    assert list(session.photos) == ["a-2.png", "a-3.jpg"]
    assert [one.name for one in sorted((session.folder / "originals").iterdir())] == [
        "a-2.png", "a-3.jpg",
    ]  # fmt: skip


def test_what_is_wrong_is_a_sentence(actions: Actions, tmp_path: Path) -> None:
    bad = tmp_path / "<b>bad.png"
    bad.write_bytes(b"no image")
    shown = actions.upload("me", [str(bad), str(dropped(tmp_path))])
    assert "&lt;b&gt;bad.png is not an image that can be read" in shown["notice"]
    assert shown["choosing"]["visible"] and not bad.exists()
    actions.clear("me", "a.png")
    with pytest.raises(UnsegError, match=r"nothing is chosen in a\.png"):
        finish(actions.protect("me", "a.png", "feed", "normal", "png", "none"))
    with pytest.raises(UnsegError, match="visibility='loud'"):
        actions.restart("me", "a.png")
        finish(actions.protect("me", "a.png", "feed", "loud", "png", "none"))
    assert said(UnsegError("a.png is empty: copy it")) == "a.png is empty: copy it."
    assert "not enough memory" in said(MemoryError())
    assert said(KeyError("x")) == "something failed (KeyError: 'x'): please report this."
    shown = actions.click("me", [0.0, 0.0], "a.png")
    assert "No object was found there" in shown["about"] or "Removed" in shown["about"]


def test_limits_name_themselves(
    monkeypatch: pytest.MonkeyPatch, actions: Actions, tmp_path: Path
) -> None:
    with pytest.raises(
        UnsegError, match=r"a\.png has 201 MB, and this page takes files of up to 200"
    ):
        limits.check_file(201_000_000, "a.png")
    with pytest.raises(UnsegError, match="takes 100 photographs at a time"):
        limits.check_all([1] * 101, "a.png")
    with pytest.raises(UnsegError, match="takes 1000 MB at a time"):
        limits.check_all([190_000_000] * 6, "a.png")
    monkeypatch.setattr("unseg.protect.memory.available", lambda: 1000)
    shown = actions.upload("me", [str(dropped(tmp_path))])
    assert "of memory, but" in shown["notice"] and not shown["choosing"]["visible"]


def test_nothing_is_left_of_a_session(actions: Actions, tmp_path: Path) -> None:
    actions.upload("me", [str(dropped(tmp_path))])
    finish(actions.protect("me", "a.png", "feed", "normal", "png", "none"))
    other = actions.sessions.get("other")
    session = actions.sessions.get("me")
    assert session.folder.stat().st_mode & 0o777 == 0o700 and session.folder != other.folder
    actions.forget("me")
    assert [one.name for one in session.folder.rglob("*")] == ["originals"]
    actions.upload("me", [str(dropped(tmp_path))])
    actions.sessions.close("me")
    assert not session.folder.exists() and other.folder.exists()
    with pytest.raises(UnsegError, match="its photographs were deleted: load it again"):
        actions.upload("me", [])
    with pytest.raises(UnsegError, match="load it again"):
        actions.sessions.get(None)


def test_the_folder_is_private_and_a_killed_pages_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    dead, alive = tmp_path / f"unseg-ui-{done.pid}-abc", tmp_path / f"unseg-ui-{os.getppid()}-abc"
    other = tmp_path / "unseg-ui-notes"
    for folder in (dead, alive, other):
        folder.mkdir()
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not dead.exists() and alive.exists() and other.exists()
        (folder / "photo.png").write_bytes(b"x")
    assert not folder.exists()
    remove_left_over(tmp_path / "none")


def answer(guard: Guard, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict]:
    """What is answered to a request: status, body, headers."""
    named = {"host": "127.0.0.1:7860", **{k.replace("_", "-"): v for k, v in headers.items()}}
    scope = {"type": "http", "path": path, "method": method,
             "headers": [(k.encode(), v.encode()) for k, v in named.items()]}  # fmt: skip
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


async def open_to_all(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"access-control-allow-origin", b"*"), (b"cache-control", b"max-age=99")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"done"})


def test_only_this_computers_page_is_answered(tmp_path: Path) -> None:
    inside, outside = tmp_path / "page", tmp_path / "secret.png"
    inside.mkdir()
    outside.write_bytes(b"secret")
    (inside / "own.png").write_bytes(b"own")
    (inside / "link.png").symlink_to(outside)
    guard = Guard(open_to_all, 7860, inside)
    file = "/gradio_api/file="
    event = "/gradio_api/queue/join"
    for path, headers, status in (
        ("/", {}, 200),
        ("/", {"host": "localhost:7860"}, 200),
        ("/", {"host": "evil.example:7860"}, 421),
        ("/", {"host": "127.0.0.1:80"}, 421),
        ("/", {"origin": "http://evil.example"}, 403),
        ("/", {"sec_fetch_site": "cross-site"}, 200),
        ("/config", {"sec_fetch_site": "cross-site"}, 403),
        ("/config", {"sec_fetch_site": "same-origin"}, 200),
        ("/config", {"origin": "http://localhost:7860"}, 200),
        ("/config", {"origin": "null"}, 403),
        ("/gradio_api/vibe-edit", {}, 404),
        ("/gradio_api/info", {}, 404),
        (f"{file}{inside}/own.png", {}, 200),
        (f"{file}{inside}/../secret.png", {}, 403),
        (f"{file}{inside}/link.png", {}, 403),
        (f"{file}{outside}", {}, 403),
        (f"{file}own.png", {}, 403),
        (f"{file}http://127.0.0.1/own.png", {}, 403),
        (f"{file}{inside}/\0", {}, 403),
    ):
        found = answer(guard, path, **headers)
        assert found[0] == status, (path, headers, found)
        assert b"access-control-allow-origin" not in found[2]
        assert b"frame-ancestors 'none'" in found[2][b"content-security-policy"]
        assert found[2][b"cache-control"] == b"no-store"
    assert answer(guard, "/assets/a.js")[2][b"cache-control"] == b"max-age=99"
    for path, headers, status in (
        (event, {"content_length": "100"}, 200),
        (event, {}, 411),
        (event, {"content_length": "-1"}, 411),
        (event, {"content_length": "9000000"}, 413),
        ("/gradio_api/upload", {"content_length": "9000000"}, 200),
        ("/gradio_api/upload", {"content_length": "1500000000"}, 413),
        (event, {"content_length": "100", "origin": "http://evil.example"}, 403),
    ):
        assert answer(guard, path, "POST", **headers)[0] == status, (path, headers)


def test_errors_of_the_command_are_one_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("gradio", reason="the extra ui is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = cli("ui", "--no-browser", "--port", port)
    assert code == 2 and f"--port {port} cannot be used" in err and "give another" in err
    code, _, err = cli("ui", "--no-browser", "--port", "0", "--device", "cuda:99")
    assert code == 2 and "--device" in err
    monkeypatch.setattr("unseg.extras.find_spec", lambda name: None)
    code, _, err = cli("ui", "--no-browser")
    assert code == 2 and "unseg ui needs gradio" in err and "pip install 'unseg[ui]'" in err


def test_text_of_others_is_escaped() -> None:
    assert "<b>" not in texts.notice(["<b>"]) + texts.figures([("<b>", "<b>")]) + texts.bar(
        1, 2, "<b>"
    )
    assert texts.notice([]) == ""
    assert texts.about_click("removed", 0, 0.0) == "Removed. Nothing is chosen now."
    assert "nearly the whole" in texts.about_click("added", 1, 0.9)


def test_two_first_visitors_load_the_models_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    noise_stub.install(monkeypatch)
    loaded: list[int] = []
    real = engine.load_noises

    def slow(*arguments: Any) -> Any:
        loaded.append(1)
        time.sleep(0.1)
        return real(*arguments)

    monkeypatch.setattr(engine, "load_noises", slow)
    made = PageModels(Settings(device="cpu"), tmp_path)
    threads = [threading.Thread(target=lambda: made.tools) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(loaded) == 1
