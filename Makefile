# Each target is one line of python or of a tool: where make is missing, type that line.
.DEFAULT_GOAL := help
.PHONY: help install course lab demo assignments book executed figures check test torture bench results lint clean

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
BIN := .venv/bin
INSTALLED := .venv/installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# PyTorch's wheels without GPU libraries, for make install TORCH=cpu: the address PyTorch documents, not tried here.
CPU_WHEELS := https://download.pytorch.org/whl/cpu
NOTEBOOKS = $(wildcard notebooks/*.ipynb assignments/source/*/*.ipynb)
PYTEST := OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 21

install: $(INSTALLED) ## make .venv and install the tested versions (2 minutes); TORCH=cpu takes 0.2 instead of 5.5 GB

course: $(INSTALLED) ## run notebooks 01 to 04 and print the results table
	$(BIN)/python -m hashlib_nb run_course

lab: $(INSTALLED) ## open the notebooks in JupyterLab, at the page that lists them
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/00_start.ipynb

demo: $(INSTALLED) ## serve the search page to this machine
	$(BIN)/python -m hashlib_nb demo

assignments: $(INSTALLED) ## check the assignments and write what students get into assignments/release
	$(BIN)/python -m hashlib_nb classroom

book: $(INSTALLED) ## build the course as a website (1 minute; notebooks whose code you have changed run first)
	$(BIN)/python -m hashlib_nb executed run
	$(BIN)/python -m sphinx -q -W --keep-going -d book/_build/doctrees book book/_build/html
	@echo "open book/_build/html/index.html in a browser"

executed: $(INSTALLED) ## keep each notebook as it ran in book/executed/; those whose code has changed run first
	$(BIN)/python -m hashlib_nb executed run
	$(BIN)/python -m hashlib_nb executed keep

figures: $(INSTALLED) ## take the figures of the last run over into figures/, which README and book show
	$(BIN)/python -m hashlib_nb figures

check: lint ## check the code and run the quick tests (2 minutes): while working
	$(PYTEST) -m "not slow and not process and not course"

test: lint ## check the code and the notebooks, then run every test (20 minutes)
	$(PYTEST) --durations 10

torture: $(INSTALLED) ## the fuzz and the kills at length: every malformed line in a process, 40 kills, 2,000 saves (an hour)
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m tests.torture

bench: $(INSTALLED) ## measure speed against other packages (4 minutes) and write benchmarks/README.md
	$(PIP) -e '.[bench]'
	$(BIN)/python -m benchmarks

results: $(INSTALLED) ## make stored results anew and write results/README.md: make results CIFAR10=folder COCO=folder LISTS=folder (hours)
	$(BIN)/python -m hashlib_nb published $(if $(CIFAR10),--cifar10 '$(CIFAR10)') $(if $(COCO),--coco '$(COCO)') $(if $(LISTS),--lists '$(LISTS)')

lint: $(INSTALLED) ## check style and formatting, and that notebooks carry no outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify --keep-id $(NOTEBOOKS)

clean: ## remove runs/, artifacts/ and the book: executed notebooks, what the stages saved, the website
	rm -rf runs artifacts book/_build book/lessons book/classroom.md book/contributing.md book/results.md book/speed.md

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, and $(PYTHON) is not: install it, or say make PYTHON=/path/to/python3.11"; exit 1; }
	@case '$(TORCH)' in ''|cpu) ;; *) echo 'TORCH is $(TORCH): say TORCH=cpu, or leave it out for the wheels of PyPI'; exit 1;; esac
	$(PYTHON) -m venv .venv
	$(if $(filter cpu,$(TORCH)),$(PIP) --no-deps --index-url $(CPU_WHEELS) torch torchvision)
	$(PIP) -e '.[test]'
	@touch $@
