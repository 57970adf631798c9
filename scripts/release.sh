#!/usr/bin/env bash
# Builds a release into dist/: wheel and source, a list of what is in them (CycloneDX), and the
# sha256 of each and of the weights inside. PYTHON is the environment that the tests passed in.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
rm -rf dist build
(cd src/unseg/assets && sha256sum --check --quiet SHA256SUMS)
"$PYTHON" -m pip --disable-pip-version-check wheel --quiet --no-deps -w dist .
git archive --format=tar.gz --prefix=unseg/ -o dist/unseg-source.tar.gz HEAD
"$PYTHON" scripts/sbom.py -o dist/unseg.cdx.json
(cd dist && sha256sum -- *.whl *.tar.gz *.json > SHA256SUMS)
sed 's,  ,  unseg/assets/,' src/unseg/assets/SHA256SUMS >> dist/SHA256SUMS
cat dist/SHA256SUMS
