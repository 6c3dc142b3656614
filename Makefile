# Needs Python 3.9 or later, make and git; everything else goes into .venv. Another interpreter:  PYTHON=python3.9 make test
#
#   make demo       a server and a client hold a conversation
#   make test       the whole test suite, in two processes; only some of it, in one:  make test T='test/net -k tls -n 0'
#   make test-pool  the tests of what is promised of listeners, with listeners on a pool
#   make free-threaded  the quick tests on a Python without the GIL, which is built if there is none, in ten minutes
#   make races      the tests of threads under ThreadSanitizer, Python and the accelerator: builds a Python for it, as above
#   make lint       ruff and mypy; and pyright knows the type of all that is public
#   make coverage   branch coverage of ws/protocol, in Python alone, by its own tests: 100 %
#   make sanitize   the quick tests, the accelerator under AddressSanitizer and UndefinedBehaviorSanitizer
#   make autobahn   the Autobahn test suite, all of it; without its longest cases:  make autobahn-quick
#   make fuzz       whatever bytes come in, only documented errors come out; longer than 60 s for each target:  make fuzz F=600;
#                   another time that others may wait, in milliseconds:  make fuzz FUZZ_BUDGET=20
#   make soak       connections with every ending there is, for 10 minutes, and nothing lost or left; longer:  make soak S=3600
#   make chaos      a network that loses, delays and reorders, links that go down, hosts that vanish; in namespaces of their own
#   make attacks    what each attack costs a server, and how long others wait; another checkout:  make attacks A='--ws ../other'
#   make pythons    the quick tests on every Python found; only some:  make pythons PYTHONS='3.9 3.13'
#   make installs   pip install on every Python found, and an import
#   make bench-threads  what threads bring and cost, with and without the GIL: on Pythons that are built if there are none
#   make bench      beside other libraries, in 25 minutes; in one:  make bench-quick; options:  make bench B='--help'
#   make clean

PYTHON ?= python3
PYTHONS ?= 3.9 3.10 3.11 3.12 3.13
VENV ?= .venv
T ?=
B ?=
F ?= 60
S ?= 600
A ?=

SHELL := /bin/bash
BIN := $(VENV)/bin
PACKAGING := setup.cfg setup.py
EXTENSION := $(wildcard ws/_native/*.[ch])
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
NODE_PEERS := test/interop/node

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-quick test-pool free-threaded races lint coverage sanitize autobahn autobahn-quick fuzz soak chaos attacks pythons installs bench bench-quick bench-threads clean node-peers chromium

demo: $(VENV)/installed
	$(BIN)/python examples/demo.py

test: $(VENV)/installed-test $(VENV)/hosts node-peers chromium
	$(BIN)/python -m pytest -n 2 --dist worksteal $(T)

# What needs neither long nor anybody else.
test-quick: $(VENV)/installed-test
	$(BIN)/python -m pytest -m 'not slow and not interop and not browser and not hosts' $(T)

# That of the tests which listeners on a pool have to pass, too.
POOL_TESTS := $(addprefix test/,test_executor.py test_threads.py test_websocket.py test_websocket_server.py test_closing.py \
	test_sending.py test_receiving.py test_not_open.py test_peer_gone.py test_endings.py test_heartbeat.py \
	test_event_target.py test_streams.py test_buffered_amount.py test_metrics.py client server rooms)

test-pool: $(VENV)/installed-test
	WS_TEST_EXECUTOR=4 $(BIN)/python -m pytest -n 2 --dist worksteal $(POOL_TESTS) $(T)

# On a Python without the GIL: see .ci/find-free-threaded.
free-threaded:
	python=$$(.ci/find-free-threaded --build) && $(MAKE) --no-print-directory test-free-threaded PYTHON="$$python" VENV=.venv-free-threaded

test-free-threaded: $(VENV)/installed-some
	PYTHON_GIL=0 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not interop and not browser and not hosts' $(T)

# What threads do to each other. The races in Python itself that are known are those which its own tests leave out.
RACES := build/races
RACE_TESTS := $(addprefix test/,test_threads.py test_executor.py test_timers.py native rooms/test_rooms.py net/test_loop.py \
	net/test_workers.py net/test_stream.py net/test_tls.py net/test_resolver.py)
races:
	python=$$(.ci/find-free-threaded --build) && $(MAKE) --no-print-directory PYTHON="$$python" VENV=.venv-free-threaded \
	    .venv-free-threaded/installed-some
	python=$$(.ci/find-free-threaded --build --sanitized) && $(MAKE) --no-print-directory test-races SANITIZED="$$python"

# The packages are those of the other Python without the GIL: with this one, pip takes minutes. ThreadSanitizer does not
# survive a fork in a process with threads.
test-races:
	rm -rf $(RACES)
	mkdir -p $(RACES)
	cp -r ws $(RACES)/ws
	rm -f $(RACES)/ws/_native/*.so
	clang -std=c11 -O1 -g -Wall -Wextra -fsanitize=thread -shared -fPIC \
	    -I$$($(SANITIZED) -c 'import sysconfig; print(sysconfig.get_path("include"))') \
	    $(filter %.c,$(EXTENSION)) -o $(RACES)/ws/_native/speedups.so
	$(SANITIZED) -m venv --without-pip .venv-races
	.venv-free-threaded/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	    >$$(.venv-races/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth
	known=$$(dirname "$$(dirname $(SANITIZED))")/known-races; \
	TSAN_OPTIONS="suppressions=$$known log_path=$(CURDIR)/$(RACES)/report exitcode=0" PYTHON_GIL=0 \
	    PYTHONPATH="$(CURDIR)/$(RACES)" .venv-races/bin/python -P -m pytest -p no:cacheprovider --timeout 600 \
	    -m 'not slow and not interop' -k 'not fork' $(RACE_TESTS) $(T)
	@if cat $(RACES)/report.* 2>/dev/null; then exit 1; else echo 'No races were reported.'; fi

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v node >/dev/null; then \
	    $(verify-types); \
	else \
	    echo 'SKIPPED: pyright, as node was not found'; \
	fi

# Where pyright finds both: it does not look for packages in folders that begin with a dot. Fails below 100 %.
TYPED := build/typed
define verify-types
rm -rf $(TYPED) && mkdir -p $(TYPED) && ln -s ../../ws $(TYPED)/ws \
    && ln -s "$$($(BIN)/python -c 'import os, pyee; print(os.path.dirname(pyee.__file__))')" $(TYPED)/pyee \
    && PYTHONPATH=$(TYPED) $(BIN)/pyright --pythonpath $(BIN)/python --verifytypes ws --ignoreexternal >$(TYPED)/report \
    && grep -h completeness $(TYPED)/report || { cat $(TYPED)/report; exit 1; }
endef

coverage: $(VENV)/installed-test
	WS_NO_SPEEDUPS=1 $(BIN)/coverage run -m pytest test/protocol
	$(BIN)/coverage report --fail-under=100

# What Python itself never gives back is no leak of ours.
SANITIZED := build/sanitized
sanitize: $(VENV)/installed-test
	rm -rf $(SANITIZED)
	mkdir -p $(SANITIZED)
	cp -r ws $(SANITIZED)/ws
	rm -f $(SANITIZED)/ws/_native/*.so
	$(CC) -std=c11 -O1 -g -Wall -Wextra -Wconversion -Werror -fno-omit-frame-pointer \
	    -fsanitize=address,undefined -fno-sanitize-recover=all -shared -fPIC \
	    -I$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))') \
	    $(filter %.c,$(EXTENSION)) -o $(SANITIZED)/ws/_native/speedups.so
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
	    PYTHONMALLOC=malloc PYTHONPATH=$(SANITIZED) $(BIN)/pytest -p no:cacheprovider -n 2 --dist worksteal \
	    -m 'not slow and not interop and not browser and not hosts' $(T)

autobahn: $(VENV)/installed
	$(BIN)/python test/autobahn/run.py .venv-autobahn

autobahn-quick: $(VENV)/installed
	$(BIN)/python test/autobahn/run.py .venv-autobahn --quick

# Atheris has no packages for some Pythons and systems.
fuzz: $(VENV)/installed-test
	$(BIN)/python -m pip install -qq --only-binary :all: atheris || echo 'atheris cannot be installed'
	PYTHONPATH=test $(BIN)/python test/fuzz/run.py $(F)

LOAD := PYTHONPATH=test:bench $(BIN)/python -m

soak: $(VENV)/installed-test
	$(LOAD) load.soak $(S)

chaos: $(VENV)/installed-test
	$(LOAD) load.chaos

attacks: $(VENV)/installed-test
	ulimit -n 16384 && $(LOAD) load.attacks $(A)

# Runs $(1) for each of PYTHONS, with $$python its path and $$version its number; fails if one fails, says which are missing.
define on-each-python
@status=0; \
for version in $(PYTHONS); do \
    if python=$$(.ci/find-python $$version); then \
        echo "== Python $$version: $$python"; \
        $(1) || { echo "FAILED on Python $$version"; status=1; }; \
    else \
        echo "SKIPPED: Python $$version, which was not found"; \
    fi; \
done; \
exit $$status
endef

pythons:
	$(call on-each-python,$(MAKE) --no-print-directory test-quick PYTHON="$$python" VENV=.venv-$$version)

installs:
	$(call on-each-python,.ci/check-install "$$python")

BENCH_PARTS := bench/build/load bench/build/optional bench/build/echo bench/.venv/ours bench/node_modules/installed

bench: $(BENCH_PARTS)
	bench/.venv/bin/python bench/run.py $(B)

bench-quick: $(BENCH_PARTS)
	bench/.venv/bin/python bench/run.py --quick $(B)

bench-threads: bench/build/load
	for kind in --with-gil ''; do \
	    python=$$(.ci/find-free-threaded --build $$kind) && $(MAKE) --no-print-directory PYTHON="$$python" \
	        VENV=.venv-threads$$kind .venv-threads$$kind/installed || exit 1; \
	done
	PYTHONPATH=bench .venv-threads/bin/python bench/threads.py $(B) .venv-threads--with-gil/bin/python .venv-threads/bin/python

clean:
	rm -rf .venv .venv-* .fuzz build dist *.egg-info ws/_native/*.so .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf bench/.venv bench/build bench/node_modules $(NODE_PEERS)/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The virtual environment is made anew when the packaging or the interpreter's version changes.
$(VENV)/python-$(VERSION): $(PACKAGING)
	@$(PYTHON) -c 'import ensurepip, venv' || { echo '$(PYTHON) cannot make virtual environments'; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/installed: $(VENV)/python-$(VERSION) $(EXTENSION)
	$(BIN)/python -m pip install -qq --editable .
	touch $@

$(VENV)/installed-%: $(VENV)/python-$(VERSION) $(EXTENSION)
	$(BIN)/python -m pip install -qq --editable '.[$*]'
	touch $@

# What has no package for this Python is left out of the tests, or there is a stand-in for it.
define EXTRA_TEST
import importlib.metadata as metadata
print(*(one.partition(';')[0].strip() for one in metadata.requires('node-ws') if '"test"' in one), sep='\n')
endef
export EXTRA_TEST

define install-some
$(1) -c "$$EXTRA_TEST" >$(VENV)/requirements
$(1) -m pip install -qq --only-binary :all: -r $(VENV)/requirements 2>/dev/null || while read -r package; do \
    $(1) -m pip install -qq --only-binary :all: "$$package" 2>/dev/null \
        || echo "SKIPPED: what needs $$package and has no stand-in, as it cannot be installed on $$($(1) -VV | cut -d'(' -f1)"; \
done < $(VENV)/requirements
endef

$(VENV)/installed-some: $(VENV)/installed
	$(call install-some,$(BIN)/python)
	touch $@

# A host that cannot be installed is left out of the tests.
HOSTS := test/hosts/requirements.txt
$(VENV)/hosts: $(HOSTS) $(VENV)/python-$(VERSION)
	$(BIN)/python -m pip install -qq -r $(HOSTS) || while read -r host; do \
	    $(BIN)/python -m pip install -qq "$$host" || echo "SKIPPED: the tests in $$host, which cannot be installed"; \
	done < $(HOSTS)
	touch $@

node-peers:
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
	    echo 'SKIPPED: the tests with Node peers, as node or npm was not found'; \
	elif [ ! -e $(NODE_PEERS)/package.json ]; then \
	    echo 'SKIPPED: the tests with Node peers, as $(NODE_PEERS)/package.json is missing'; \
	else \
	    $(MAKE) --no-print-directory $(NODE_PEERS)/node_modules/installed \
	        || echo 'SKIPPED: the tests with Node peers, as npm ci failed'; \
	fi

chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null \
	    || echo 'SKIPPED: the tests in the browser, as chromium was not found'

$(NODE_PEERS)/node_modules/installed: $(NODE_PEERS)/package.json $(NODE_PEERS)/package-lock.json
	cd $(NODE_PEERS) && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

CFLAGS ?= -O3

bench/build/load bench/build/echo: bench/build/%: bench/%.c
	mkdir -p $(@D)
	$(CC) $(CFLAGS) -std=gnu11 -Wall -Wextra -o $@ $<

# The load generator with what needs a library: $(call build-load,SUFFIX,HEADER,FLAGS)
define build-load
@rm -f $(@D)/load-$(1)
@if echo '#include <$(2)>' | $(CC) -E - >/dev/null 2>&1; then \
    $(CC) $(CFLAGS) -std=gnu11 -Wall -Wextra -o $(@D)/load-$(1) $< $(3); \
else \
    echo 'SKIPPED: load-$(1), as <$(2)> was not found'; \
fi
endef

bench/build/optional: bench/load.c
	mkdir -p $(@D)
	$(call build-load,tls,openssl/ssl.h,-DWITH_TLS -lssl -lcrypto)
	$(call build-load,deflate,zlib.h,-DWITH_DEFLATE -lz)
	touch $@

# A peer that cannot be installed is left out of the benchmark.
bench/.venv/installed: bench/requirements.txt
	rm -rf bench/.venv
	$(PYTHON) -m venv bench/.venv
	while read -r peer; do \
	    bench/.venv/bin/python -m pip install -qq "$$peer" || echo "SKIPPED: $$peer, which cannot be installed"; \
	done < bench/requirements.txt
	touch $@

bench/.venv/ours: bench/.venv/installed $(PACKAGING) $(EXTENSION)
	bench/.venv/bin/python -m pip install -qq --editable .
	touch $@

bench/node_modules/installed: bench/package.json
	mkdir -p $(@D)
	cd bench && npm install --ignore-scripts --no-package-lock --no-audit --no-fund || echo 'SKIPPED: Node, as npm install failed'
	touch $@
