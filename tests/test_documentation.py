"""The documentation: short paragraphs, links that resolve, every option and extra named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.core import TyperOption
from typer.main import get_command

from unseg.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
GENERATED = {"docs/results.md"}
"""Pages that a command writes: their links are checked, their paragraphs are not."""

TABLE = re.compile(r"<!-- table: [^>]* -->\n(.*?)<!-- /table -->", re.DOTALL)
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
ITEM = re.compile(r"\s*([-*+]|\d+[.)])\s")
CELL = re.compile(r"(?<!\\)\|")
LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")

WRITTEN = sorted(
    path
    for path in [README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    if path.relative_to(ROOT).as_posix() not in GENERATED
    and path.relative_to(ROOT).parts[1:2] not in {("model",), ("salience",), ("results",)}
)
EVERY = [ROOT / "CONTRIBUTING.md", README, *sorted((ROOT / "docs").rglob("*.md"))]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(text: str) -> str:
    """The text without code blocks, whether fenced or indented by four spaces."""
    lines = FENCE.sub("", text).splitlines()
    return "\n".join("" if line.startswith("    ") else line for line in lines)


def paragraphs(text: str) -> list[str]:
    """What a reader takes in at once: paragraphs, list items and table cells."""
    found: list[str] = []
    fresh = True
    for line in prose(text).splitlines():
        if line.startswith("|"):
            found += CELL.split(line.strip().strip("|"))
            fresh = True
        elif not line.strip() or line.startswith(("#", "<!--")):
            fresh = True
        elif fresh or ITEM.match(line):
            found.append(line)
            fresh = False
        else:
            found[-1] += f" {line}"
    return found


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(kept.replace(" ", "-"))
    return found


def test_the_readme_is_short_and_begins_with_its_commands() -> None:
    text = README.read_text(encoding="utf-8")
    words = [part for part in text.split() if re.search(r"\w", part)]
    assert len(words) <= 700
    demo, test = re.findall(r"^    (make \w+)", text, re.MULTILINE)[:2]
    assert (demo, test) == ("make demo", "make test")
    assert text.index("make demo") < 50
    [_] = TABLE.findall(text)


@pytest.mark.parametrize("path", WRITTEN, ids=named)
def test_no_paragraph_is_long(path: Path) -> None:
    for paragraph in paragraphs(path.read_text(encoding="utf-8")):
        assert len(paragraph.split()) <= 120, paragraph


def test_long_paragraphs_items_and_cells_would_be_found() -> None:
    text = (
        f"# A\n\none\ntwo\n- {'three ' * 121}\n- four\n\n| a | b {'c ' * 121}|\n\n    {'d ' * 200}"
    )
    assert [len(part.split()) for part in paragraphs(text)] == [2, 122, 2, 1, 122]


@pytest.mark.parametrize("path", EVERY, ids=named)
def test_every_link_resolves(path: Path) -> None:
    for link in LINK.findall(prose(path.read_text(encoding="utf-8"))):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_page_is_linked_from_the_readme_or_a_page_that_is() -> None:
    reached, queue = set(), [README]
    while queue:
        page = queue.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for link in LINK.findall(prose(page.read_text(encoding="utf-8"))):
            if "://" not in link and link.partition("#")[0]:
                queue.append((page.parent / link.partition("#")[0]).resolve())
    pages = {path for path in EVERY if path.relative_to(ROOT).parts[1:2] != ("results",)}
    assert not {named(path) for path in pages - reached}


def test_the_readme_names_every_extra_with_its_install_line() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = README.read_text(encoding="utf-8")
    for extra in settings["project"]["optional-dependencies"]:
        assert f"pip install '.[{extra}]'" in text, extra


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("protect", "protect.md"),
        ("masks", "masks.md"),
        ("show", "protect.md"),
        ("verify", "manifest.md"),
        ("ui", "ui.md"),
        ("evaluate", "evaluate.md"),
        ("report", "evaluate.md"),
        ("benchmark", "protect.md"),
        ("export", "export.md"),
    ],
)
def test_every_option_is_documented(name: str, page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    command = get_command(app).commands[name]
    for option in command.params:
        if isinstance(option, TyperOption) and option.name != "help":
            assert any(re.search(rf"{spelling}\b", text) for spelling in option.opts), option.opts


def test_named_result_folders_exist_or_say_where_they_went() -> None:
    for path in WRITTEN:
        for paragraph in paragraphs(path.read_text(encoding="utf-8")):
            for folder in re.findall(r"`(docs/results/[\w.-]+)", paragraph):
                assert (ROOT / folder).exists() or "v0.10.0" in paragraph, (named(path), folder)
