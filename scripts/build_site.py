"""Build the documentation site from docs/, the code and the pages beside docs/.

    python scripts/build_site.py -o build/site

The pages in docs/ are written for a code host and for the site alike. The rest is made here, so
that the code stays the only source: a page for every command, one for all that is public in Python,
and the notebook. A warning is an error. It needs the extra ``docs`` and no network.
"""

from __future__ import annotations

import argparse
import base64
import json
import posixpath
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from typer.core import TyperGroup
from typer.main import get_command

import unseg
from unseg.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"
#: Pages beside docs/ that the site has as well.
BESIDE = ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
NOTEBOOK = "notebook.ipynb"

#: The pages by section. Those that neither this nor BELOW names come last, under "More".
SECTIONS = {
    "Photographs": [
        "photographs", "ui", "protect", "masks", "finding/README", "mask-files", "visibility",
        "formats", "key", "manifest", "reliability", "performance", "scale",
    ],
    "Data sets": ["datasets", "labels"],
    "How it works": ["how-it-works"],
    "What it does to a model": [
        "results", "evaluate", "reproduce", "train", "model/README", "salience/README",
        "results/README", "experiments/README",
    ],
    "What it cannot do": ["limits"],
    "Questions": ["questions"],
    "Reference": ["commands/index", "python", "export", "notebook", "api"],
    "Project": [Path(name).stem for name in BESIDE],
}  # fmt: skip
#: Pages that others come below.
BELOW = {
    "datasets": "datasets/*",
    "model/README": "model/*",
    "experiments/README": "experiments/*",
    "commands/index": "commands/*",
}
#: Public in Python beyond ``unseg.__all__``: the key, and what sources of one's own derive from.
FURTHER = (
    "unseg.protect.result.ProtectedBatch",
    "unseg.key.Key",
    "unseg.key.owner_key",
    "unseg.protect.noises.base.NoiseSource",
    "unseg.masks.sources.base.MaskSource",
)

CONFIGURATION: dict[str, Any] = {
    "project": "unseg",
    "copyright": "The unseg authors, Apache-2.0",
    "language": "en",
    "extensions": ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"],
    # Anchors as code hosts make them, so that links work in both places.
    "myst_heading_anchors": 4,
    # Options begin with two hyphens, which would become a dash.
    "smartquotes": False,
    "napoleon_numpy_docstring": False,
    "autodoc_member_order": "bysource",
    "autodoc_typehints_format": "short",
    "autodoc_preserve_defaults": True,
    "python_maximum_signature_line_length": 88,
    "html_theme": "furo",
    "html_title": "unseg",
    "html_copy_source": False,
    "html_show_sphinx": False,
}

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^()\s]+)\)")


# ---------------------------------------------------------------------------------- commands


def commands(command: Any, name: str = "unseg") -> Iterator[tuple[str, Any]]:
    """(full name, command) of every command, those of groups too, without the groups."""
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    for key, one in command.commands.items():
        yield from commands(one, f"{name} {key}")


def command_page(name: str, command: Any) -> str:
    """The page of a command, from what its ``--help`` is made of."""
    context = command.context_class(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [f"# {name}", "", f"    {usage}", ""]
    for paragraph in _paragraphs(command.help):
        is_line = paragraph.startswith(("unseg ", "accelerate launch ", "npm "))
        lines += [f"    {paragraph}" if is_line else _escaped(paragraph), ""]
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        records = [
            parameter.get_help_record(context)
            for parameter in command.params
            if parameter.param_type_name == kind
        ]
        shown = [record for record in records if record is not None]
        if shown:
            lines += [f"## {title}", "", "| | |", "|---|---|"]
            lines += [f"| `{_cell(a)}` | {_cell(_escaped(b))} |" for a, b in shown]
            lines.append("")
    return "\n".join(lines)


def command_index(found: dict[str, Any]) -> str:
    """The page that lists the commands, with what each is for."""
    lines = [
        "# Commands", "",
        "Made from the commands themselves: `unseg COMMAND --help` says the same.", "",
        "| command | what it does |", "|---|---|",
    ]  # fmt: skip
    for name, command in found.items():
        first = next(iter(_paragraphs(command.help)), "")
        lines.append(f"| [{name}]({_stem(name)}.md) | {_cell(_escaped(first))} |")
    return "\n".join([*lines, ""])


def _paragraphs(text: str | None) -> list[str]:
    found = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text or ""))
    return [part for part in found if part]


def _stem(name: str) -> str:
    return name.removeprefix("unseg ").replace(" ", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Help text as Markdown shows it unchanged."""
    return re.sub(r"([*_<>`\[\]\\])", r"\\\1", text)


# ------------------------------------------------------------------------------------ Python


def api_page() -> str:
    """The page of all that is public, which autodoc fills from docstrings."""
    lines = [
        "# All that is public in Python", "",
        "Made from the docstrings. `unseg.NAME` is imported as such, the rest from its module.", "",
        "```{eval-rst}",
    ]  # fmt: skip
    for name in [*(f"unseg.{name}" for name in unseg.__all__), *FURTHER]:
        module, _, last = name.rpartition(".")
        kind = _directive(getattr(import_module(module), last))
        lines += [f".. {kind}:: {name}", *(["   :members:"] if kind == "autoclass" else []), ""]
    return "\n".join([*lines, "```", ""])


def _directive(found: object) -> str:
    if isinstance(found, type):
        return "autoexception" if issubclass(found, Exception) else "autoclass"
    return "autofunction"


def notebook_page(text: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown.

    Returns:
        The page, and its pictures by name, which lie beside it.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            said = "".join(output.get("text") or data.get("text/plain", []))
            if "image/png" in data:
                name = f"notebook-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![What the cell above shows]({name})")
            elif said:
                parts.append(f"```text\n{said.rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures


# ------------------------------------------------------------------------------------- pages


def relinked(markdown: str, path: str) -> str:
    """Links of a page as the site needs them.

    Args:
        markdown: the page.
        path: where it lies in the repository.

    Links to files that the site does not have, such as scripts, become their text. Those that lead
    nowhere stay, for Sphinx to complain of.
    """
    here = posixpath.dirname(_uri(path))

    def link(match: re.Match[str]) -> str:
        picture, text, target = match.groups()
        name, _, anchor = target.partition("#")
        if "://" in name or name.startswith("mailto:") or not name:
            return match[0]
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
        if meant == f"{DOCS}/{NOTEBOOK}":
            meant = f"{DOCS}/{Path(NOTEBOOK).stem}.md"
        elif meant not in BESIDE and not meant.startswith(f"{DOCS}/"):
            return text if (ROOT / meant).exists() else match[0]
        there = posixpath.relpath(_uri(meant), here or ".")
        return f"{picture}[{text}]({there}{'#' if anchor else ''}{anchor})"

    return _LINK.sub(link, markdown)


def _uri(path: str) -> str:
    return path.removeprefix(f"{DOCS}/")


def generated() -> dict[str, str | bytes]:
    """What the site has beyond docs/, by name."""
    found = dict(commands(get_command(app)))
    made: dict[str, str | bytes] = {"commands/index.md": command_index(found)}
    made |= {f"commands/{_stem(name)}.md": command_page(name, one) for name, one in found.items()}
    made["api.md"] = api_page()
    notebook, pictures = notebook_page((ROOT / DOCS / NOTEBOOK).read_text(encoding="utf-8"))
    made[f"{Path(NOTEBOOK).stem}.md"] = relinked(notebook, f"{DOCS}/{NOTEBOOK}")
    for name in BESIDE:
        made[name] = relinked((ROOT / name).read_text(encoding="utf-8"), name)
    return made | pictures


def toctree(pages: list[str], caption: str = "") -> str:
    """A hidden table of contents, as Sphinx reads it."""
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *options, "", *(f"/{page}" for page in pages), "```", ""])


def contents(pages: list[str]) -> dict[str, str]:
    """Tables of contents, by the page that they are added to.

    Args:
        pages: names of all pages, without suffix, sorted.
    """
    named = {"index", *(page for section in SECTIONS.values() for page in section)}
    trees = {}
    for page, pattern in BELOW.items():
        found = [one for one in pages if fnmatch(one, pattern) and one not in named]
        named |= set(found)
        trees[page] = toctree(found)
    sections = SECTIONS | {"More": [one for one in pages if one not in named]}
    trees["index"] = "".join(toctree(found, name) for name, found in sections.items() if found)
    return trees


def stage(folder: Path) -> None:
    """Write the sources of the site into a new folder."""
    shutil.copytree(
        ROOT / DOCS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(NOTEBOOK)
    )
    for path in folder.rglob("*.md"):
        name = f"{DOCS}/{path.relative_to(folder).as_posix()}"
        path.write_text(relinked(path.read_text(encoding="utf-8"), name), encoding="utf-8")
    for name, content in generated().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    pages = sorted(
        path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.md")
    )
    for page, tree in contents(pages).items():
        with (folder / f"{page}.md").open("a", encoding="utf-8") as file:
            file.write(tree)


def build(out: Path) -> int:
    """Build the site.

    Args:
        out: folder to write to.

    Returns:
        0, or 1 when there was a warning or an error.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        stage(source)
        made = Sphinx(
            source, None, out, Path(scratch) / "doctrees", "html",
            confoverrides=CONFIGURATION | {"release": version("unseg")},
            status=None, warningiserror=True,
        )  # fmt: skip
        made.build()
        return int(made.statuscode)


def main() -> None:
    """Build the site, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    sys.exit(build(parser.parse_args().output))


if __name__ == "__main__":
    main()
