# Every target sets up the virtual environment .venv first, if it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo studio docs notebook reproduce test check setup page page-check kill-test load-test fuzz test-torch-2.11

demo: $(READY)  ## a five-shot story, generated here: out/first_story/
	$(BIN)/shotstream generate first_story -o out/first_story --overwrite

studio: $(READY)  ## direct a story live, in a browser
	$(BIN)/shotstream studio

notebook: $(READY)  ## the notebook anew from its script
	$(BIN)/jupytext --to ipynb examples/paper_on_mini.py

docs: $(READY)  ## the documentation as a site: build/site/index.html
	$(BIN)/python docs/build_site.py

reproduce: $(READY)  ## the ablations that need no other weights, at mini's scale: about half an hour
	$(BIN)/shotstream evaluate ablations -o out/ablations

test: $(READY)  ## all tests that need neither a GPU nor much time
	$(BIN)/pytest -n 2 --dist loadfile -m "unit or law or system"

check: $(READY)  ## format, lint, types and tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/pytest -n 2 --dist loadfile -m "unit or law or system"

page:  ## build the studio's page from studio/ (needs Node 20)
	cd studio && npm ci --no-audit --no-fund && npm run build

page-check:  ## format, types and tests of the page (needs Node 20)
	cd studio && npm ci --no-audit --no-fund && npm run check && npm test

TORCH_2_11 := torch==2.11.0 diffusers==0.42.1 transformers==5.17.0 huggingface_hub==1.33.0 tokenizers==0.23.2

test-torch-2.11:  ## networks, samplers and streaming on an older torch, to be run by hand: an environment of 5 GB
	$(PYTHON) -m venv .venv-torch-2.11
	.venv-torch-2.11/bin/pip install --quiet $(TORCH_2_11) accelerate pydantic PyYAML typer rich pytest pytest-rerunfailures hypothesis pillow
	PYTHONPATH=src .venv-torch-2.11/bin/python -m pytest -m "unit or law or system" tests/models tests/diffusion tests/streaming

kill-test: $(READY)  ## the studio is ended 50 times while a story is told, by KILL, TERM and HUP, and copied: nothing is lost
	SHOTSTREAM_LONG=1 $(BIN)/pytest -s tests/serving/endurance/test_kill.py

load-test: $(READY)  ## 8 viewers of 4 stories for 15 minutes, some of them badly behaved
	$(BIN)/python benchmarks/studio_load.py --minutes 15 --stories 4 --viewers 8

fuzz: $(READY)  ## more than 10,000 requests and messages that make no sense
	SHOTSTREAM_LONG=1 $(BIN)/pytest -s tests/serving/web/test_fuzz.py

setup: $(READY)  ## only the virtual environment

# torch comes first and alone: with an exact pin pip takes the build that is at hand, not the largest one.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@
