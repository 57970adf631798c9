"""The rules of the house that only the whole source shows: floors, circles, names and lengths."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import unseg

SOURCE = Path(unseg.__file__).parent

FLOORS = (
    {
        "errors",
        "extras",
        "files",
        "noise",
        "progress",
        "provenance",
        "registry",
        "remarks",
        "seed",
        "key",
        "ssimulacra2",
        "storage",
        "wheels",
    },
    {"images"},
    {"models"},
    {"masks"},
    {"datasets"},
    {"protect", "train"},
    {"evaluate"},
    {"report"},
    {"ui"},
    {"cli"},
    {"__main__"},
)
"""The rooms, from the ground up. A room imports from the floors below it, and those on the ground
from each other; protecting and training do not know each other."""


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(path): ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")}


def imports_of(module: str) -> Iterator[str]:
    """Modules of ours that a module imports: at its top, lazily or for types alone."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in TREES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively: write the whole name"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                if below in TREES:
                    yield below
                elif node.module in TREES:
                    yield node.module


GRAPH = {module: {found for found in imports_of(module) if found != module} for module in TREES}


def room(module: str) -> str:
    """``unseg.images.png`` is in ``images``; the package itself, the library's door, has none."""
    return module.split(".")[1] if "." in module else ""


def floor(module: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS) if room(module) in rooms)


def crossing() -> Iterator[tuple[str, str]]:
    """Imports from one room into another."""
    for module, found in GRAPH.items():
        for other in found:
            if room(module) and room(module) != room(other):
                yield module, other


def allowed(module: str, other: str) -> bool:
    if not room(other):
        # The package itself is the door that users come in by; behind it only the commands stand.
        return room(module) in ("cli", "__main__")
    return floor(other) < floor(module) or floor(module) == floor(other) == 0


def test_every_room_has_a_floor() -> None:
    rooms = {room(module) for module in TREES} - {""}
    assert rooms <= set.union(*FLOORS), "give the new room a floor"


def test_no_import_runs_upwards_or_sideways() -> None:
    wrong = [
        f"{module} imports {other}" for module, other in crossing() if not allowed(module, other)
    ]
    assert not wrong, "\n".join(sorted(wrong))


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes from each of which all others can be reached (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}
    assert circles(graph) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = circles(GRAPH)
    assert not found, "\n".join(" <-> ".join(group) for group in found)


def test_no_rooms_import_each_other_in_a_circle() -> None:
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, other in crossing():
        rooms[room(module)].add(room(other))
    assert not circles(rooms)


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    twice = {name: sorted(found) for name, found in places.items() if len(found) > 1}
    assert not twice, "\n".join(f"{name}: {', '.join(found)}" for name, found in twice.items())


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    long = [
        f"{path.relative_to(SOURCE)}: {count} lines"
        for path in SOURCE.rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 400
    ]
    assert not long, "\n".join(long)
