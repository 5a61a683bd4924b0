#!/bin/sh
# Resolves the locked versions again, for every Python that the project supports.
set -eu
uv=$(mktemp -d)
trap 'rm -rf "$uv"' EXIT
.venv/bin/python -m venv "$uv"
"$uv/bin/pip" install --quiet --disable-pip-version-check uv

# lock WHAT SOURCE…: the versions of SOURCE in requirements-WHAT.lock
lock() {
    file=requirements-$1.lock
    shift
    "$uv/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-emit-index-url \
        --custom-compile-command "make lock" --output-file "$file" "$@"
}

lock dev pyproject.toml --group dev
echo mitmproxy | lock lab -
echo nfstream | lock bench -
