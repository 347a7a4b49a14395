# Short names for the commands of the README.
PYTHON ?= python

.PHONY: install demo test lint bench check

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
