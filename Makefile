# Plain targets: demo, test, check, slow, clean. Everything runs in .venv with the tested versions.
PY := .venv/bin/python
export OMP_NUM_THREADS := 1

.PHONY: demo test check slow consumers clean

demo: .venv/installed
	$(PY) examples/demo.py demo

test: .venv/installed
	$(PY) -m pytest -n 2 -m "not slow" tests mixopt proxies cli

check: .venv/installed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m basedpyright --level error

slow: .venv/installed
	$(PY) -m pytest -n 2 -m slow tests

# What other projects write files with, beside the environment: `make slow` then reads such files.
consumers: .consumers/fetched

.consumers/fetched: .venv/installed Makefile
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .consumers/megatron megatron-core==0.16.1
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .consumers/datatrove datatrove==0.10.1 humanize loguru
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .consumers/olmo ai2-olmo-core==3.0.0 cached-path dataclass-extensions bettermap
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .consumers/streaming mosaicml-streaming==0.13.0 Brotli python-snappy cramjam zstd \
		catalogue pillow
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .consumers/litdata litdata==0.2.76 lightning-utilities
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .consumers/torchtitan torchtitan==0.3.0
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .consumers/llamafactory llamafactory==0.9.5
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .consumers/axolotl axolotl==0.19.0
	touch $@

.venv/installed: pyproject.toml constraints.txt
	test -x $(PY) || python3 -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[proxies,data,bo,dev]"
	touch $@

clean:
	rm -rf .venv .consumers build dist *.egg-info demo
