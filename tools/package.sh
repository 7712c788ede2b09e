#!/bin/sh
# Build the package and try it as someone who installs it: package.sh PYTHON...
# For every PYTHON a fresh environment gets the wheel, which was built from the sdist, without and then with the
# extra gui, and runs it outside the checkout. TORCH_INDEX is that of the Makefile.
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
most=15000000 # bytes of the wheel
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
for python in "$@"; do
    echo "== $("$python" --version)"
    rm -rf "$work/venv" "$work/demo"
    "$python" -m venv "$work/venv"
    run=$work/venv/bin
    "$run/python" -m pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "${TORCH:-torch}"
    "$run/python" -m pip install --quiet "$wheel"
    "$run/python" -m pip check
    "$run/python" "$checkout/tools/installed.py"
    "$run/napari-xfusion" demo -o "$work/demo"
    "$run/python" -m pip install --quiet "${wheel}[gui]"
    "$run/python" -m pip check
    "$run/python" -m npe2 validate napari-xfusion
    if command -v xvfb-run >/dev/null; then
        xvfb-run -a -s "-screen 0 1600x1000x24" "$run/python" "$checkout/tools/installed.py" --window
    else
        echo "no xvfb-run: the window was not opened" >&2
    fi
done
