# The course's commands; `make help` lists them. Everything is installed into .venv.
SHELL := /bin/sh
PYTHON ?= python3
COLAB ?= ../shared/colab/colab-2026-08-gpu.txt
COLAB_PYTHON ?= $(PYTHON)
PORT ?= 8000
BRANCH ?= main

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
HTML := _build/html
BUILT := _build/built
CODE := ntk_course tests benchmarks book

# What `test` compiles for the lectures it finds again when it runs them a second time. JAX writes an
# entry in place: so each lecture has a folder of its own below this one, that no killed run has left.
COMPILED := _build/.jax_cache
COMPILE := JAX_COMPILATION_CACHE_DIR="$(CURDIR)/$(COMPILED)" JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

.DEFAULT_GOAL := help
.PHONY: help book test notebooks solutions serve lint bench colab-test configure new-chapter counts pdf slides clean

help:  ## list these targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): requirements.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo '`PYTHON` must name a Python; got PYTHON=$(PYTHON). Install Python 3.11 or newer, or call make PYTHON=/path/to/python.'; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = "%d.%d" % sys.version_info[:2]; sys.version_info >= (3, 11) or sys.exit("`PYTHON` must be 3.11 or newer; got %s. Call make PYTHON=/path/to/python3.11." % v)'
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo '`$(PYTHON)` must have the modules venv and ensurepip; got none. On Debian: apt-get install python3-venv.'; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps neural-tangents==0.6.5
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $(STAMP)

book: $(STAMP)  ## execute the lectures and build the HTML (no network but the package index)
	$(BIN)/python book/tools/equations.py
	$(BIN)/python book/tools/lectures.py execute
	@test -e $(BUILT) || rm -rf _build/.doctrees
	@rm -f $(BUILT)
	$(BIN)/jupyter-book build . --config _config.yml --toc book/_toc.yml -q -W -n --keep-going
	@touch $(BUILT)
	@$(BIN)/python book/tools/lectures.py page

notebooks: $(STAMP)  ## write lectures/*.ipynb from the lectures/*.md, executed (ONLY="04 05": these)
	$(BIN)/python book/tools/lectures.py execute $(ONLY)
	$(BIN)/python book/tools/lectures.py export $(ONLY)

solutions: book  ## write the instructor's notebooks, exercises solved, into _build/solutions
	$(BIN)/python book/tools/lectures.py solutions

lint: $(STAMP)  ## rules and format of the code, spelling of everything
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/codespell

test: lint  ## everything: lint, unit tests, every notebook, the built book in a browser
	$(BIN)/python -m pytest tests -n 2 -m "not browser and not book"
	@rm -rf $(COMPILED)
	$(COMPILE) JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 $(MAKE) book
	$(BIN)/python book/tools/lectures.py again
	$(COMPILE) JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=3600 NTK_COURSE_STATIC=1 $(BIN)/python -m pytest -c book/tools/nbval.ini --nbval _build/notebooks -n 2 --dist loadscope
	$(BIN)/python -m pytest tests -n 2 --dist loadgroup -m "browser or book"

serve: book  ## build the book and serve it on localhost, PORT=8000
	$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(HTML)

$(PEERS)/.installed: $(STAMP) benchmarks/peers.txt
	"$(PYTHON)" -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -r benchmarks/peers.txt
	$(PEERS)/bin/python -m pip install --quiet --no-deps torchattacks==3.5.1 foolbox==3.3.4 \
		eagerpy==0.30.0 adversarial-robustness-toolbox==1.20.1
	$(PEERS)/bin/python -m pip install --quiet -e . -c requirements.txt
	@touch $@

bench: $(PEERS)/.installed  ## ours side by side with the libraries that people use
	$(BIN)/python -m benchmarks

colab-test: $(STAMP)  ## notebooks, unit tests and table of numbers under Colab's versions: COLAB=list.txt
	$(BIN)/python book/tools/colab.py --list "$(COLAB)" --python "$(COLAB_PYTHON)"

configure: $(STAMP)  ## set the repository everywhere: REPO=https://github.com/owner/name [BRANCH=main]
	$(BIN)/python book/tools/configure.py "$(REPO)" "$(BRANCH)"

new-chapter: $(STAMP)  ## write the skeleton of a chapter: NAME=17_my_topic
	$(BIN)/python book/tools/new_chapter.py "$(NAME)"

counts: $(STAMP)  ## count chapters, exercises, equations, references, figures that move
	$(BIN)/python book/tools/counts.py

pdf: book  ## print every page as a PDF (needs Chromium)
	$(BIN)/python book/tools/pdf.py

slides: book  ## write a deck of slides of each chapter into _build/slides
	$(BIN)/python book/tools/slides.py

clean:  ## remove the built book, its cache and the environments
	rm -rf _build $(VENV) $(PEERS) .venv-colab build *.egg-info .pytest_cache .ruff_cache .hypothesis
