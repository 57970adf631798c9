"""Run commands as if nothing but the core's dependencies were installed.

    python tests/bare_install.py '[["train", "--corpus", "x", "-o", "run"], ...]'

writes a JSON list of exit code, standard output and standard error, one for each command. Every
top-level module that no dependency of the core brings, directly or not, can neither be found nor
imported here, as after ``pip install unseg`` in an empty environment.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tomllib
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distribution,
    packages_distributions,
)
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def core_packages() -> set[str]:
    """Normalised names of the core's dependencies, and of what these depend on in turn."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(line) for line in project["dependencies"]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        # Without an extra the markers of optional dependencies are false.
        for extra in ("", *wanted.extras):
            entry = (canonicalize_name(wanted.name), extra)
            if entry in seen:
                continue
            seen.add(entry)
            with contextlib.suppress(PackageNotFoundError):
                lines = distribution(wanted.name).requires or []
                waiting += [
                    needed
                    for needed in map(Requirement, lines)
                    if needed.marker is None or needed.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in seen}


def modules_beyond_the_core() -> set[str]:
    """Top-level modules that are here but would not be after installing the core alone."""
    core = core_packages()
    return {
        module
        for module, packages in packages_distributions().items()
        if module != "unseg" and not core & set(map(canonicalize_name, packages))
    }


class Without:
    """All of Python's finders in one, blind for some modules."""

    def __init__(self, hidden: set[str]) -> None:
        self.hidden, self.finders = hidden, list(sys.meta_path)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self.hidden:
            return None
        found = (one.find_spec(name, path, target) for one in self.finders)
        return next((spec for spec in found if spec is not None), None)

    def find_distributions(self, *context: Any) -> Iterator[Distribution]:
        """Versions are still told; that is no import."""
        for finder in self.finders:
            yield from getattr(finder, "find_distributions", lambda *_: ())(*context)


def hide(modules: set[str]) -> None:
    sys.meta_path[:] = [Without(modules)]  # type: ignore[list-item]
    for name in [name for name in sys.modules if name.partition(".")[0] in modules]:
        del sys.modules[name]


def run(arguments: list[str]) -> tuple[int, str, str]:
    from unseg.cli.main import main

    sys.argv = ["unseg", *arguments]
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        except Exception as error:
            code = -1
            err.write(f"{type(error).__name__}: {error}")
    return code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    hide(modules_beyond_the_core())
    sys.stdout.write(json.dumps([run(arguments) for arguments in json.loads(sys.argv[1])]))
