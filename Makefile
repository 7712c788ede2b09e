# Two commands: `make demo` and `make test`. Besides: `make soak` for the long runs, `make coverage` for the share of
# the code that tests run, `make site` for the documentation and `make pictures` for its pictures, and before a release
# `make package` and `make pictures-fresh`.
# All set up .venv from this project's own files first.
#
# PYTHON       the Python to use (3.11 or newer; found by itself)
# TORCH_INDEX  an index with another build of torch, such as the much smaller one for machines
#              without an NVIDIA card: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
# PYTHONS      the Pythons that `make package` installs into

TORCH = torch==2.13.0
VENV = .venv
PYTHONS = python3
RUN = $(VENV)/bin/
# What real windows need in tests: a screen in memory, OpenGL in software, and Qt's libraries.
WINDOWS = xvfb libegl1 libgl1 libgl1-mesa-dri libdbus-1-3 libfontconfig1 libxkbcommon-x11-0 libxcb-cursor0 \
    libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xkb1

# Tests start the command dozens of times, which would compile the package each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint windows coverage soak site pictures pictures-fresh package clean

demo: $(VENV)/ready
	$(RUN)napari-xfusion demo -o demo

test: lint
	$(RUN)python -m pytest -n auto -q -m "not slow and not soak" $(if $(CI),--durations=25)

soak: $(VENV)/ready-dev
	$(RUN)python -m pytest -m "slow or soak" --timeout 3600

pictures: $(VENV)/ready-dev
	$(RUN)napari-xfusion demo -o demo
	cp demo/comparison.png docs/images/sample.png
	$(RUN)python tools/method_picture.py docs/images/method-lite.png
	$(RUN)python -m pytest -q tests/ui/test_journey.py --pictures docs/images
	$(RUN)python tools/pictures.py record

site: $(VENV)/ready-dev
	$(RUN)python -m mkdocs build --strict

package:
	TORCH="$(TORCH)" TORCH_INDEX="$(TORCH_INDEX)" sh tools/package.sh $(PYTHONS)

pictures-fresh: $(VENV)/ready
	$(RUN)python tools/pictures.py check

lint: $(VENV)/ready-dev
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)codespell
	$(RUN)mypy

# How much of the core, the lab and the command line the quick tests run; below the floor of pyproject.toml it fails.
coverage: $(VENV)/ready-dev
	$(RUN)python -m pytest -n auto -q -m "not slow and not soak" --cov --cov-report term:skip-covered \
	    tests/core tests/lab tests/cli

# What windows of tests need, on Debian and Ubuntu.
windows:
	sh tools/packages.sh $(WINDOWS)

$(VENV)/ready: pyproject.toml tools/setup.sh tools/packages.sh
	PYTHON="$(PYTHON)" sh tools/setup.sh $(VENV)
	$(RUN)python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(RUN)python -m pip install --quiet --editable .
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	sh tools/packages.sh $(WINDOWS) || echo "tests of the window are skipped where there is no screen" >&2
	$(RUN)python -m pip install --quiet --group dev
	touch $@

clean:
	rm -rf $(VENV) demo dist site
