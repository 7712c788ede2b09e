#!/bin/sh
# Build the package and try it as someone who installs it: package.sh PYTHON...
# For every PYTHON a fresh environment gets the wheel, which was built from the sdist, without and then with the
# extra gui, and runs it outside the checkout: with the newest versions of what it needs, and for the first PYTHON also
# with the lowest, those of lowest.txt. TORCH and TORCH_INDEX are those of the Makefile.
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
most=20000000 # bytes of the wheel
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$checkout"
rm -rf dist
"$1" -m venv "$work/build"
"$work/build/bin/python" -m pip install --quiet 'build>=1.2' 'twine>=6.1'
"$work/build/bin/python" -m build --outdir dist .
"$work/build/bin/python" -m twine check --strict dist/*
wheel=$(echo "$checkout"/dist/*.whl)
size=$(wc -c <"$wheel")
echo "$(basename "$wheel"): $size bytes"
if [ "$size" -gt "$most" ]; then echo "the wheel is larger than $most bytes" >&2; exit 1; fi

cd "$work" # nothing of the checkout is importable from here

install() { # what is left to pip: the arguments and the constraints, if there are any
    "$run/python" -m pip install --quiet ${constraints:+--constraint "$constraints"} "$@"
    "$run/python" -m pip check
}

try() { # try PYTHON TORCH [CONSTRAINTS]
    constraints=${3:-}
    echo "== $("$1" --version), ${constraints:-newest versions}"
    rm -rf "$work/venv" "$work/demo"
    "$1" -m venv "$work/venv"
    run=$work/venv/bin
    install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$2"
    install "$wheel"
    "$run/python" "$checkout/tools/installed.py"
    "$run/napari-xfusion" demo -o "$work/demo"
    install "${wheel}[gui]"
    "$run/python" -m npe2 validate napari-xfusion
    if command -v xvfb-run >/dev/null; then
        xvfb-run -a -s "-screen 0 1600x1000x24" "$run/python" "$checkout/tools/installed.py" --window
    else
        echo "no xvfb-run: the window was not opened" >&2
    fi
}

for python in "$@"; do try "$python" "${TORCH:-torch}"; done
try "$1" torch "$checkout/tools/lowest.txt"
