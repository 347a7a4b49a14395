# Short names for the commands of the README.
PYTHON ?= python

.PHONY: install demo test lint bench check site

install:
	$(PYTHON) -m pip install -e ".[test]"

demo:
	$(PYTHON) -m fastsig demo

test:
	$(PYTHON) -m pytest

lint:
	ruff check .
	ruff format --check .
	mypy

bench:
	$(PYTHON) -m fastsig bench

check:
	$(PYTHON) -m fastsig check

site:
	sphinx-build -W --keep-going docs build/site
	$(PYTHON) tools/site_links.py build/site
