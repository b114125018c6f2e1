# GNU make 4.3+. Needs Python 3.11 or newer and nothing else; what it installs stays in this folder.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: audit docs flaky test-oldest help install mutants quickstart test test-all test-near check fix bench lock openapi gui clean debian

unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV
# What this machine trusts, for uv, pip and npm, which have certificates of their own.
CERTIFICATES := $(or $(SSL_CERT_FILE),$(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt \
	/etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem)))
ifneq ($(CERTIFICATES),)
export UV_SYSTEM_CERTS ?= 1
export REQUESTS_CA_BUNDLE ?= $(CERTIFICATES)
export NODE_EXTRA_CA_CERTS ?= $(CERTIFICATES)
endif
ifneq ($(PIP_INDEX_URL),)
export UV_DEFAULT_INDEX ?= $(or $(UV_INDEX_URL),$(PIP_INDEX_URL))
endif
POSTGRES := $(lastword $(sort $(wildcard /usr/lib/postgresql/*/bin)))
export PATH := $(PATH):$(POSTGRES)

NEWEST = for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done
PYTHON ?= $(shell $(NEWEST))
UV := .tools/bin/uv
BIN := .venv/bin

help:  ## Show this
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/make \1\t\2/p' Makefile | expand -t 18

install:  ## Install Prism and its tools into .venv
	@$(SANDBOX)
	@$(MAKE) --no-print-directory -j2 .venv/installed gui-if-possible

# First of all, before anything is downloaded.
SANDBOX := scripts/debian.sh --optional bwrap bubblewrap pasta passt

# It needs nothing of ours: npm installs and builds while uv does.
.PHONY: gui-if-possible
gui-if-possible: $(UV)
	@nice $(PYTHON) scripts/gui.py --if-possible

gui: .venv/installed  ## Build the web GUI, unless it is built
	@$(BIN)/python scripts/gui.py

# The GUI is built beside it, in a process group of its own: a Ctrl-C ends all of it at once. A
# running daemon finds what was built. The address is said at once, and again after a late failure.
GUI_LOG := .tools/gui.log
quickstart:  ## Launch a first workspace; the last line is its address
	@$(SANDBOX)
	@$(MAKE) --no-print-directory $(UV)
	@echo "Building the web GUI in the background; its output: $(GUI_LOG)"; \
	trap 'kill %1 2>/dev/null || :' EXIT; \
	set -m; nice $(PYTHON) scripts/gui.py </dev/null >$(GUI_LOG) 2>&1 & build=$$!; set +m; \
	$(MAKE) --no-print-directory .venv/installed; \
	address=$$($(BIN)/prism quickstart); \
	if kill -0 %1 2>/dev/null; then \
		echo "The web GUI is still being built, and make waits for it. You can work already:"; \
		echo "$$address"; told=yes; \
	fi; \
	if ! wait $$build; then \
		tail -n 2 $(GUI_LOG); told=; \
		echo "The web GUI was not built, see $(GUI_LOG). All else works without it; retry: make gui"; \
	fi; \
	[ "$${told:-}" ] || echo "$$address"

# What `make check` runs is left out. CI sets PYTEST, to repeat the tests that failed.
PYTEST := $(BIN)/pytest
test: install debian  ## Run the tests
	$(PYTEST) -q -n 4 --dist loadgroup $(RULES:%=--ignore=%)

# As many arguments of pytest as you like: make test-near NEAR=--list, or NEAR="-x -k name".
test-near: .venv/installed  ## Run the tests near what has changed since BASE=main, in seconds
	$(BIN)/python scripts/near.py --base $(or $(BASE),main) $(NEAR)

test-all: install debian  ## Run the tests and the proofs that take minutes; see also `make mutants`
	$(BIN)/pytest -q -n 3 --dist loadgroup -m ""

test-oldest: debian  ## Try the oldest Python: the real quickstart, and each test once
	scripts/oldest.sh

flaky: install debian  ## Repeat the tests of docs/flaky.md N=20 times, beside load
	$(BIN)/python scripts/flaky.py repeat $(or $(N),20)

mutants: install debian  ## Make mistakes in money, access, plans and the agent; show those that no test notices
	nice $(BIN)/python scripts/mutants.py $(MUTANTS)

# In order of cost: `check-gui` is before them because npm installs while uv does.
CHECKS := check-gui check-style check-project check-types
RULES := $(addprefix tests/project/test_,rules.py words.py cold_start.py routes.py)
.PHONY: $(CHECKS)
check: $(UV)  ## Read the rules: style, types, imports, the rules of the project
	@$(MAKE) --no-print-directory -j2 --output-sync=target $(CHECKS)

# It needs nothing of ours: npm installs and reads while uv does.
check-gui: $(UV)
	$(PYTHON) scripts/gui.py --check

# The last of them, so that two cores are free, also after many files have changed.
check-types: export MYPY_NUM_WORKERS = 2
check-types: .venv/installed
	$(BIN)/mypy

check-project: .venv/installed
	$(BIN)/pytest -q $(RULES)

check-style: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

fix: .venv/installed  ## Put the code into its one style, and mend what ruff can mend
	$(BIN)/ruff format -q .
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format -q .
	$(BIN)/python scripts/gui.py --format

bench: install  ## Measure, on this machine, what the README says
	$(BIN)/python bench/measure.py

.PHONY: bench-gui
bench-gui: .bench/jupyterhub/installed .bench/proxy/installed
bench-gui: install gui  ## Compare the web GUI with JupyterHub's pages: clicks and seconds
	$(BIN)/python bench/side_by_side.py

# What cannot be installed is named and left out of the table.
.PHONY: bench-peers
bench-peers: install  ## Measure Prism beside JupyterHub, dstack, SkyPilot and nginx
	@for peer in $(PEERS); do $(MAKE) --no-print-directory .bench/$$peer/installed || \
		echo "$$peer was not installed and is left out"; done
	@scripts/debian.sh /usr/sbin/nginx nginx || echo "nginx was not installed and is left out"
	$(BIN)/python bench/peers.py

.PHONY: aws-proof aws-proof-clean aws-proof-verify
aws-proof: install  ## Try a real AWS account: PROFILE=lab [REGION=us-west-2] [BUDGET=5]
	$(BIN)/python scripts/aws/aws_proof.py --profile "$(PROFILE)" --region "$(REGION)" \
		--budget "$(or $(BUDGET),5)"

aws-proof-clean: install  ## Destroy what killed proofs have left in the account
	$(BIN)/python scripts/aws/aws_proof_clean.py

aws-proof-verify: install  ## Verify the signature of a report: FILE=docs/aws-proof.json
	$(BIN)/python scripts/aws/aws_proof_report.py "$(FILE)"

openapi: install  ## Write docs/openapi.json from the routes
	$(BIN)/python -m tests.project.openapi > docs/openapi.json.new
	mv docs/openapi.json.new docs/openapi.json

docs: .tools/docs/installed  ## Build the documentation's site into dist/docs; every link is checked
	@.tools/docs/bin/python -m scripts.site

audit: .tools/audit/installed  ## Ask for known vulnerabilities of the lock; ADVISORIES=FOLDER asks a copy
	@.tools/audit/bin/python scripts/audit.py requirements.lock $(ADVISORIES)

lock: $(UV)  ## Choose the newest versions; hashes, no addresses
	$(UV) pip compile --quiet --universal --upgrade --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --group dev pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --group audit -o audit.lock
	$(UV) pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --group docs -o docs.lock
	$(UV) pip compile --quiet --universal --upgrade --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --group pyproject.toml:node -o web/node.lock
	for peer in $(filter-out proxy,$(PEERS)); do \
		$(UV) pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --no-header \
			--no-annotate --no-emit-index-url --no-emit-find-links --group peer-$$peer \
			-o bench/locks/$$peer.lock; done

clean:  ## Remove what make has made here
	rm -rf web/node_modules web/src/api/schema.d.ts src/prism/web
	rm -rf .venv .tools .bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
	find src tests -name __pycache__ -prune -exec rm -rf {} +

# ------------------------------------------------------------------ how
# uv comes as a package like any other, pinned by the lock's own hashes. Debian's Python has no
# pip without python3-venv; then a script unpacks Debian's package of pip.
$(UV): requirements.lock
	@test -n "$(PYTHON)" || { echo "error: Prism needs Python 3.11 or newer" >&2; exit 1; }
	@rm -rf .tools
	@mkdir .tools
	@echo "Installing uv into .tools …"
	@awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements.lock > .tools/uv.txt
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		$(PYTHON) -m venv .tools; \
		.tools/bin/python -m pip install --progress-bar off --disable-pip-version-check \
			--require-hashes --requirement .tools/uv.txt | sed -nE 's/^ *(Downloading )/\1/p'; \
	else \
		scripts/uv.sh $(PYTHON) .tools/uv.txt .tools; \
	fi
	@touch $@

# Bytecode of what the commands and the daemon import, which may not be written later (a variable
# of Python's can forbid it); compiling every package would take many times as long.
STARTED := import compileall, importlib.util as it; \
	import prism.daemon.app, prism.daemon.main, aiohttp, asyncssh, boto3, psycopg; \
	[compileall.compile_dir(it.find_spec(name).submodule_search_locations[0], quiet=1) \
	for name in ("alembic", "mako", "litestar", "sqlalchemy.dialects.sqlite", "uvicorn")]

.venv/installed: pyproject.toml requirements.lock $(UV)
	@echo "Installing Prism into .venv …"
	@$(BIN)/python -c '' 2>/dev/null || $(UV) venv --quiet --clear --python "$$(command -v $(PYTHON))" .venv
	@$(UV) pip sync --no-progress --color never --require-hashes --python .venv \
		requirements.lock 2>&1 | sed -E '/^( [-+~] | Downloaded )/d'
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python .venv --editable .
	@$(BIN)/python -m compileall -q src/prism src/aws_double
	@$(BIN)/python -c '$(STARTED)'
	@[ "$$(id -u)" != 0 ] || chmod -R go+rX .venv src/prism  # workspaces of root are other users
	@touch $@

# pip-audit has dependencies of its own, which are none of ours.
.tools/audit/installed: audit.lock $(UV)
	@$(UV) venv --quiet --clear --python "$$(command -v $(PYTHON))" .tools/audit
	@$(UV) pip sync --quiet --require-hashes --python .tools/audit audit.lock
	@touch $@

# So have MkDocs and its theme.
.tools/docs/installed: docs.lock $(UV)
	@$(UV) venv --quiet --clear --python "$$(command -v $(PYTHON))" .tools/docs
	@$(UV) pip sync --quiet --require-hashes --python .tools/docs docs.lock
	@touch $@

# The programs beside which Prism is measured.
PEERS := jupyterhub proxy dstack skypilot

.bench/proxy/installed: $(wildcard bench/locks/proxy/*.json)
	@rm -rf .bench/proxy
	@mkdir -p .bench/proxy
	@cp bench/locks/proxy/*.json bench/locks/proxy/.npmrc .bench/proxy
	@cd .bench/proxy && npm ci --no-progress --loglevel=error
	@touch $@

.bench/%/installed: bench/locks/%.lock $(UV)
	@echo "Installing $* into .bench …"
	@$(UV) venv --quiet --clear --python "$$(command -v $(PYTHON))" .bench/$*
	@$(UV) pip sync --quiet --require-hashes --compile-bytecode --python .bench/$* $<
	@touch $@

# Root installs them. Anybody else tests what can be tested without them.
debian:
	@scripts/debian.sh initdb postgresql ssh openssh-client bwrap bubblewrap pasta passt ip iproute2 rsync rsync restic restic \
		'chromium-headless-shell|chromium' 'chromium-headless-shell|chromium' \
		cloud-init cloud-init /usr/sbin/debootstrap debootstrap /usr/sbin/sshd openssh-server \
		/usr/sbin/mkfs.ext4 e2fsprogs /usr/sbin/mkfs.xfs xfsprogs btrfs btrfs-progs tmux tmux /usr/sbin/setquota quota caddy caddy /usr/sbin/nginx nginx gcc build-essential crontab cron || \
		{ [ "$$(id -u)" != 0 ] && echo "Tests that need them are skipped; a table at the end counts them."; }
	@scripts/debian.sh /usr/sbin/slapd slapd ldapmodify ldap-utils glewlwyd glewlwyd firefox-esr firefox-esr prometheus prometheus docker-compose docker-compose buildah buildah || \
		echo "Tests of logins with a directory and of the container need them, and are skipped."
