"""What is in a release, as a CycloneDX 1.6 list: the package, what it needs, and its weights.

    python scripts/sbom.py -o dist/unseg.cdx.json

Versions and licences are those of the installed packages, so it is run in the environment that the
release was tested in. Of equal environments the list is equal to the byte; its time is
``SOURCE_DATE_EPOCH``, where that is set.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

WEIGHTS = Path(__file__).resolve().parents[1] / "src" / "unseg" / "assets"


def named(name: str) -> str:
    """A package's name as registries write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needs_of(name: str, extras: frozenset[str]) -> dict[str, frozenset[str]]:
    """Packages that an installed one needs here, each with the extras that it is asked for."""
    found: dict[str, frozenset[str]] = {}
    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": one}) for one in (extras or {""})):
            key = named(requirement.name)
            found[key] = found.get(key, frozenset()) | frozenset(requirement.extras)
    return found


def closure(extras: frozenset[str]) -> tuple[dict[str, str], dict[str, list[str]], list[str]]:
    """All that ``unseg`` needs: versions, what needs what, and what is not installed."""
    versions: dict[str, str] = {}
    edges: dict[str, list[str]] = {}
    missing: list[str] = []
    queue = [("unseg", extras | {""})]
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        name, wanted = queue.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        needs = needs_of(name, wanted)
        edges[name] = sorted({*edges.get(name, []), *needs})
        queue += [(one, asked | {""}) for one, asked in needs.items()]
    known = {name: [one for one in needs if one in versions] for name, needs in edges.items()}
    return versions, known, sorted(set(missing))


def licence_of(name: str) -> list[dict[str, Any]]:
    """The licence that a package states, as an expression or a name; empty where it states none."""
    about = metadata.metadata(name)
    if expression := about.get("License-Expression"):
        return [{"expression": expression}]
    stated = (about.get("License") or "").strip()
    if stated and "\n" not in stated and len(stated) < 80:
        return [{"license": {"name": stated}}]
    classified = [line for line in about.get_all("Classifier") or () if line.startswith("License")]
    return [{"license": {"name": line.rpartition(" :: ")[2]}} for line in classified]


def weights() -> list[dict[str, Any]]:
    """The shipped weights with their checksums."""
    found = []
    for line in (WEIGHTS / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        found.append({
            "type": "machine-learning-model", "bom-ref": f"weights/{name}", "name": name,
            "hashes": [{"alg": "SHA-256", "content": digest}],
        })  # fmt: skip
    return found


def sbom(extras: frozenset[str]) -> dict[str, Any]:
    """The list.

    Args:
        extras: of unseg, that it is made for.

    Raises:
        SystemExit: when a package that is needed is not installed.
    """
    versions, edges, missing = closure(extras)
    if missing:
        raise SystemExit(f"not installed, so not known: {', '.join(missing)}")
    refs = {name: f"pkg:pypi/{name}@{version}" for name, version in versions.items()}
    components = [
        {
            "type": "library", "bom-ref": refs[name], "name": name, "version": versions[name],
            "purl": refs[name].replace("+", "%2B"),
            **({"licenses": found} if (found := licence_of(name)) else {}),
        }
        for name in sorted(versions) if name != "unseg"
    ]  # fmt: skip
    content: dict[str, Any] = {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": refs["unseg"], "name": "unseg",
                "version": versions["unseg"], "purl": refs["unseg"],
                "licenses": licence_of("unseg"),
            },
        },
        "components": [*components, *weights()],
        "dependencies": [
            {"ref": refs[name], "dependsOn": sorted(refs[one] for one in needs)}
            for name, needs in sorted(edges.items())
        ],
    }  # fmt: skip
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    moment = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
    content["serialNumber"] = f"urn:uuid:{serial}"
    if "SOURCE_DATE_EPOCH" in os.environ:
        content["metadata"]["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return content


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--extras", default="", help="of unseg, with commas between them")
    given = parser.parse_args()
    extras = frozenset(filter(None, given.extras.split(",")))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(sbom(extras), indent=2) + "\n")


if __name__ == "__main__":
    main()
