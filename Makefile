# Every target sets up the virtual environment .venv first, if it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo studio reproduce test check setup

demo: $(READY)  ## a five-shot story, generated here: out/first_story/
	$(BIN)/shotstream generate stories/first_story.yaml -o out/first_story

studio: $(READY)  ## direct a story live, in a browser
	$(BIN)/shotstream studio

reproduce: $(READY)  ## the paper's tables at mini's scale, in docs/results.md: about half an hour
	$(BIN)/shotstream evaluate ablations -o out/ablations --tables docs/results.md

test: $(READY)  ## all tests that need neither a GPU nor much time
	$(BIN)/pytest -m "not slow and not gpu"

check: $(READY)  ## format, lint, types and tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/pytest -m "not slow and not gpu"

setup: $(READY)  ## only the virtual environment

# torch comes first and alone: with an exact pin pip takes the build that is at hand, not the largest one.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@
