# Needs Python 3.9 or later, bash and make; everything else goes into .venv. Another interpreter:  PYTHON=python3.9 make test
#
#   make demo       a server and a client hold a conversation
#   make test       the whole test suite, in four processes; only some of it, in one:  make test T='test/net -k tls -n 0'
#   make test-pool  the tests of what is promised of listeners, with listeners on a pool
#   make test-selectors  the tests of what waits for sockets, as on a system without epoll
#   make free-threaded  the quick tests on a Python without the GIL, which is built if there is none, in ten minutes
#   make races      the tests of threads under ThreadSanitizer, Python and the accelerator: builds a Python for it, as above
#   make lint       ruff; mypy for Linux, Windows and macOS; and pyright knows the type of all that is public
#   make docs       the documents as a site, in build/site; a picture of each page:  make docs-look
#   make docs-publish  adds the site of this version to the branch `pages`
#   make coverage   branch coverage of ws/protocol, in Python alone, by its own tests: 100 %
#   make sanitize   the quick tests, the accelerator under AddressSanitizer and UndefinedBehaviorSanitizer
#   make autobahn   the Autobahn test suite, all of it; without its longest cases:  make autobahn-quick
#   make fuzz       whatever bytes come in, only documented errors come out; longer than 60 s for each target:  make fuzz F=600;
#                   another time that others may wait, in milliseconds:  make fuzz FUZZ_BUDGET=20
#   make soak       connections with every ending there is, for 10 minutes, and nothing lost or left; longer:  make soak S=3600
#   make chaos      a network that loses, delays and reorders, links that go down, hosts that vanish; in namespaces of their own
#   make rooms-load  rooms of four servers on two machines, with Redis between them, all of which are killed; 10 minutes
#   make rooms-load-peer  the same on Flask-SocketIO
#   make attacks    what each attack costs a server, and how long others wait; another checkout:  make attacks A='--ws ../other'
#   make pythons    the quick tests on every Python found; only some:  make pythons PYTHONS='3.9 3.13'
#   make dist       the sdist and the wheel without the accelerator, in dist; both checked, and built twice to compare
#   make wheels     the same, and wheels with the accelerator for every Python found; all of them installed and tried
#   make api        writes test/public_api.txt anew, when what is public was meant to change
#   make pictures   those of the documents, taken anew; only one:  make pictures T='-k serverstats'
#   make bench-threads  what threads bring and cost, with and without the GIL: on Pythons that are built if there are none
#   make bench      beside other libraries, in 25 minutes; in one:  make bench-quick; options:  make bench B='--help'
#   make clean

PYTHON ?= python3
PYTHONS ?= 3.9 3.10 3.11 3.12 3.13 3.14
VENV ?= .venv
T ?=
B ?=
F ?= 60
S ?= 600
R ?=
A ?=

SHELL := /bin/bash
BIN := $(VENV)/bin
PACKAGING := setup.cfg setup.py
EXTENSION := $(wildcard ws/_native/*.[ch])
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
NODE_PEERS := test/interop/node

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Containers often set it. Each process of the tests would then compile them anew: 18 s instead of 6 before the first one.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-quick test-pool test-selectors free-threaded races lint coverage sanitize autobahn autobahn-quick fuzz soak \
	chaos rooms-load rooms-load-peer attacks pythons dist wheels api pictures bench bench-quick bench-threads clean node-peers

demo: $(VENV)/installed
	$(BIN)/python examples/demo.py

# For two cores: most tests wait most of the time.
PARALLEL := -n 4 --dist worksteal

test: $(VENV)/installed-test $(VENV)/hosts node-peers
	$(BIN)/python -m pytest $(PARALLEL) $(T)

# What needs neither long nor anybody else.
test-quick: $(VENV)/installed-test
	$(BIN)/python -m pytest -m 'not slow and not interop and not browser and not hosts' $(T)

# That of the tests which listeners on a pool have to pass, too.
POOL_TESTS := $(addprefix test/,test_executor.py test_threads.py test_late_listeners.py test_raising_listeners.py test_websocket.py \
	websocket_server test_closing.py test_sending.py test_pinging.py test_receiving.py test_not_open.py test_peer_gone.py \
	test_endings.py test_heartbeat.py test_event_target.py test_streams.py test_buffered_amount.py test_metrics.py client server \
	rooms)

test-pool: $(VENV)/installed-test
	WS_TEST_EXECUTOR=4 $(BIN)/python -m pytest $(PARALLEL) $(POOL_TESTS) $(T)

# As on systems without epoll, and as on Windows. Of the tests in test/net, most ask every poller there is in any case.
SELECTOR_TESTS = $(BIN)/python -m pytest $(PARALLEL) -m 'not slow' test/net
test-selectors: export PYTHONPATH := $(CURDIR)/test/without_epoll
test-selectors: $(VENV)/installed-test
	WS_TEST_SELECTOR=PollSelector $(SELECTOR_TESTS) $(T)
	WS_TEST_SELECTOR=SelectSelector $(SELECTOR_TESTS) $(POOL_TESTS) $(T)

# On a Python without the GIL: see .ci/find-free-threaded.
free-threaded:
	python=$$(.ci/find-free-threaded --build) && $(MAKE) --no-print-directory test-free-threaded PYTHON="$$python" VENV=.venv-free-threaded

test-free-threaded: $(VENV)/installed-some
	PYTHON_GIL=0 $(BIN)/python -m pytest $(PARALLEL) -m 'not slow and not interop and not browser and not hosts' $(T)

# What threads do to each other. The races in Python itself that are known are those which its own tests leave out.
RACES := build/races
RACE_TESTS := $(addprefix test/,test_threads.py test_late_listeners.py test_raising_listeners.py test_executor.py test_timers.py \
	test_timers_lifetime.py native rooms/test_rooms.py net/loop net/test_workers.py net/stream net/tls net/test_resolver.py)
races:
	python=$$(.ci/find-free-threaded --build) && $(MAKE) --no-print-directory PYTHON="$$python" VENV=.venv-free-threaded \
	    .venv-free-threaded/installed-some
	python=$$(.ci/find-free-threaded --build --sanitized) && $(MAKE) --no-print-directory test-races SANITIZED="$$python"

# The packages are those of the other Python without the GIL: with this one, pip takes minutes. ThreadSanitizer does not
# survive a fork in a process with threads; and 1,500 sockets that are always ready take it minutes.
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
	clang -std=c11 -O0 -Wall -Wextra -fsanitize=thread -shared -fPIC test/native/racy.c -o $(RACES)/racy.so
	TSAN_OPTIONS="log_path=$(CURDIR)/$(RACES)/racy exitcode=0" PYTHON_GIL=0 \
	    .venv-races/bin/python test/native/racy.py $(CURDIR)/$(RACES)/racy.so
	@grep -qs 'racy\.so+' $(RACES)/racy.* || { echo 'ThreadSanitizer does not see the race in racy.c'; exit 1; }
	known=$$(dirname "$$(dirname $(SANITIZED))")/known-races; \
	TSAN_OPTIONS="suppressions=$$known log_path=$(CURDIR)/$(RACES)/report exitcode=0" PYTHON_GIL=0 \
	    PYTHONPATH="$(CURDIR)/$(RACES)" .venv-races/bin/python -P -m pytest -p no:cacheprovider --timeout 600 \
	    -m 'not slow and not interop' -k 'not fork and not always_ready' $(RACE_TESTS) $(T) || touch $(RACES)/failed
	@if cat $(RACES)/report.* 2>/dev/null; then exit 1; else echo 'No races were reported.'; fi
	@! test -e $(RACES)/failed

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin
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

# Fails if a page, a link or an anchor is missing.
.PHONY: docs docs-look docs-publish
DOCS := .venv-docs/bin
docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 $(DOCS)/mkdocs build --clean

docs-look: docs $(VENV)/installed-test
	rm -rf build/look
	PYTHONPATH=test $(BIN)/python doc/site/look.py build/site build/look

docs-publish: .venv-docs/installed
	PATH="$(CURDIR)/$(DOCS):$$PATH" mike deploy --branch pages --update-aliases \
	    "$$(sed -n "s/^__version__ = '\(.*\)'/\1/p" ws/__init__.py)" latest
	PATH="$(CURDIR)/$(DOCS):$$PATH" mike set-default --branch pages latest

coverage: $(VENV)/installed-test
	WS_NO_SPEEDUPS=1 $(BIN)/coverage run -m pytest test/protocol
	$(BIN)/coverage report --fail-under=100

# What Python itself never gives back is no leak of ours.
SANITIZED := $(CURDIR)/build/sanitized
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
	    PYTHONMALLOC=malloc PYTHONPATH=$(SANITIZED) $(BIN)/pytest -p no:cacheprovider $(PARALLEL) \
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

# Other numbers:  make rooms-load S=60 R='--clients 500 --rooms 50'
rooms-load: $(VENV)/installed-test
	$(LOAD) load.rooms $(S) $(R)

rooms-load-peer: $(VENV)/installed-test bench/.venv-rooms/installed
	$(LOAD) load.rooms --flask-socketio $(S) $(R)

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

dist: $(VENV)/installed-dist
	$(BIN)/python .ci/make_dist.py dist

# See .ci/make-wheel and .ci/check-install.
wheels: dist
	$(call on-each-python,wheel=$$(AUDITWHEEL=$(CURDIR)/$(BIN)/auditwheel .ci/make-wheel "$$python" dist/*.tar.gz dist) \
	    && .ci/check-install "$$python" "$$wheel" dist/*-none-any.whl)

api: $(VENV)/installed-test
	PYTHONPATH=test $(BIN)/python -m public_api

pictures: $(VENV)/installed-test
	WS_TEST_PICTURES=anew $(BIN)/python -m pytest test/examples/test_pictures.py $(T)

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
	rm -rf bench/.venv bench/.venv-rooms bench/build bench/node_modules $(NODE_PEERS)/node_modules
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

.venv-docs/installed: doc/site/requirements.txt
	rm -rf .venv-docs
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install -qq -r $<

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
	    $(BIN)/python -m pip install -qq "$$host" || echo "$$host cannot be installed"; \
	done < $(HOSTS)
	touch $@

# Where they can't be installed, the tests that need them say so.
node-peers:
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
	    $(MAKE) --no-print-directory $(NODE_PEERS)/node_modules/installed || true; \
	fi

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

bench/.venv-rooms/installed: bench/rooms-requirements.txt
	rm -rf bench/.venv-rooms
	$(PYTHON) -m venv bench/.venv-rooms
	bench/.venv-rooms/bin/python -m pip install -qq -r $<
	touch $@

bench/.venv/ours: bench/.venv/installed $(PACKAGING) $(EXTENSION)
	bench/.venv/bin/python -m pip install -qq --editable .
	touch $@

bench/node_modules/installed: bench/package.json
	mkdir -p $(@D)
	cd bench && npm install --ignore-scripts --no-package-lock --no-audit --no-fund || echo 'SKIPPED: Node, as npm install failed'
	touch $@
