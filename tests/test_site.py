"""The documentation site: it builds without a warning and without a network, and lacks nothing."""

from __future__ import annotations

import html
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import unseg

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"

RUN = """
import runpy, socket, sys
def refuse(*arguments, **options):
    raise OSError(101, "Network is unreachable")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def script(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    return script("build_site")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built in a process of its own that reaches no other machine."""
    out = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-c", RUN, SCRIPTS / "build_site.py", "-o", out],
        capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return out


def text_of(page: Path) -> str:
    found = re.search(r"<article.*?</article>", page.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"<[^>]+>", "", found[0]))


def test_what_was_asked_for_is_there(site: Path) -> None:
    for name in ("index", "photographs", "datasets", "how-it-works", "results", "limits",
                 "commands/index", "api", "questions", "notebook", "SECURITY"):  # fmt: skip
        assert (site / f"{name}.html").is_file(), name
    sidebar = (site / "index.html").read_text(encoding="utf-8")
    for path in (ROOT / "docs").rglob("*.md"):
        page = path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert (site / page).is_file(), page
        assert page == "index.html" or f'href="{page}"' in sidebar, f"{page} is not in the sidebar"


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loads = re.findall(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"([^\"]+)\"", text)
        assert loads and not [one for one in loads if "//" in one], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style


def test_every_command_and_option_is_described(site: Path, builder: ModuleType) -> None:
    found = dict(builder.commands(builder.get_command(builder.app)))
    assert {"unseg protect", "unseg weights import"} <= set(found)
    index = text_of(site / "commands" / "index.html")
    for name, command in found.items():
        page = text_of(site / "commands" / f"{name[6:].replace(' ', '-')}.html")
        assert name in index and name in page
        for parameter in command.params:
            record = parameter.get_help_record(command.context_class(command, info_name=name))
            if record is not None:
                shown = " ".join(page.split())
                assert all(" ".join(part.split()) in shown for part in record), (name, record)


def test_all_that_is_public_is_described(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in unseg.__all__:
        assert f'id="unseg.{name}"' in text, name
    for name in ("unseg.Protector.mask_of_points", "unseg.key.owner_key", "unseg.Budget.of"):
        assert f'id="{name}"' in text, name
    assert ":class:" not in text and "Args:" not in text


def test_links_out_of_docs_lead_into_the_site(site: Path, builder: ModuleType) -> None:
    text = (site / "reliability.html").read_text(encoding="utf-8")
    assert 'href="SECURITY.html"' in text
    assert builder.relinked("[a](../SECURITY.md#b) [c](../scripts/look.py)", "docs/x/../y.md") == (
        "[a](SECURITY.md#b) c"
    )
    assert builder.relinked("[a](docs/key.md) [n](docs/no.md)", "SECURITY.md") == (
        "[a](key.md) [n](no.md)"
    )
    assert builder.relinked("[a](../../SECURITY.md)", "docs/datasets/voc.md") == (
        "[a](../SECURITY.md)"
    )


def test_a_page_that_no_section_names_is_under_more(builder: ModuleType) -> None:
    trees = builder.contents(["brand-new", "datasets/voc", "index", "protect"])
    assert ":caption: More\n\n/brand-new\n" in trees["index"]
    assert "/datasets/voc" in trees["datasets"] and "/datasets/voc" not in trees["index"]


BROKEN = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("build_site", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
def stage(folder):
    folder.mkdir()
    (folder / "index.md").write_text("# A\\n\\n[sound](#a) [broken](#b) ![none](none.png)\\n")
module.stage = stage
sys.exit(module.build(Path(sys.argv[2])))
"""


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, SCRIPTS / "build_site.py", tmp_path / "out"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("WARNING") == 2, done.stderr
    assert "'b'" in done.stderr and "none.png" in done.stderr


def test_the_figure_can_be_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figure = script("figure_how")
    grey = np.full((20, 30, 3), 128, np.uint8)
    monkeypatch.setattr(figure, "pictures", lambda: [(f"picture {n}", grey) for n in range(4)])
    (tmp_path / "how.png").write_bytes(figure.draw())
    with Image.open(tmp_path / "how.png") as drawn, Image.open(ROOT / "docs/img/how.png") as stored:
        assert drawn.size == stored.size
        # The heading stands where it does in the stored figure; the pictures are others.
        row = np.s_[: drawn.size[1] // 7]
        assert np.abs(_grey(drawn)[row] - _grey(stored)[row]).mean() < 2


def _grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L"), float)
