"""Every layout has a page of its own, whose command is one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperOption
from typer.main import get_command

from unseg.cli.main import app
from unseg.datasets.layouts import LAYOUTS

PAGES = Path(__file__).resolve().parents[1] / "docs" / "datasets"


def test_pages_are_those_of_the_layouts() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(LAYOUTS)
    text = PAGES.with_suffix(".md").read_text(encoding="utf-8")
    for name in LAYOUTS:
        assert f"(datasets/{name}.md)" in text, name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_command_of_a_page_is_one(layout: str) -> None:
    text = (PAGES / f"{layout}.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    unseg (.*)$", text, re.MULTILINE)
    assert len(commands) == 1
    name, *arguments = shlex.split(commands[0])
    context = get_command(app).commands[name].make_context(name, arguments)
    assert str(context.params["output"]) == f"{context.params['root']}-protected"
    # The output that the page shows is of this layout and folder.
    assert re.search(rf"│ layout +│ {layout} +│", text)
    assert f"unseg dataset: {context.params['root']}" in text
    assert f"--layout {layout}" in text


def test_every_option_is_documented() -> None:
    text = PAGES.with_suffix(".md").read_text(encoding="utf-8")
    for option in get_command(app).commands["dataset"].params:
        if isinstance(option, TyperOption) and option.name != "help":
            assert any(re.search(rf"{spelling}\b", text) for spelling in option.opts), option.opts
