# What a person types. Each target is one line of `make help`; what it takes to build a stack is in ansible/.
STACK ?= .stack
PORT_BASE ?=
SHELL := /bin/sh
.DEFAULT_GOAL := help
python := .venv/bin/python
stack := cd ansible && /usr/bin/python3 -B -m stack --stack $(STACK) $(if $(PORT_BASE),--port-base $(PORT_BASE))
manage := SAOLA_ENV_FILE=$(CURDIR)/$(STACK)/env/manage.env $(python) manage.py
# Tests run in groups side by side, each a process with a database of its own, a copy of what `make test-database` made.
# First those in the stack's Slurm, which often wait; after them the tests that kill the stack's processes, which wait even
# more, and beside those the pages in a browser. What needs only PostgreSQL takes the time that all of them leave, and lets
# everything else go first; who kills PostgreSQL runs alone.
unit := not (browser or slurm or stack or fault)
# The files that use one of these marks: to read all the others to find that none does takes 8 s of CPU a group.
marked = $(shell grep -rlE --include='test_*.py' 'pytest\.mark\.($(1))\b' tests)
scaled = $(shell grep -rl --include='test_*.py' SOAK tests)
national := tests/scheduler/clusters/test_national.py
slurm := (slurm or stack) and not (fault or browser)
# One after another: a job on all nodes, and a node that is reserved, would wait for each other for ever.
many := $(addprefix tests/scheduler/settlement/test_,fifty_mixed_jobs.py real_records.py real_places.py)
holes := $(addprefix tests/scheduler/accounts/test_,holes.py special_holes.py two_clusters.py)
records := $(addprefix tests/scheduler/settlement/test_,real_verbs.py real_ending.py real_outside.py order_faults.py)
dying := fault and not alone
waiting := test-browser-stack test-accounts test-holes test-jobs test-many test-records test-year test-others
last := test-dying-last test-pages-last test-browser-last
test_server := SAOLA_ENV_FILE=$(CURDIR)/.stack-test/env/manage.env
test_env := $(test_server) TEST_DB_TEMPLATE=test_saola_template
template := .stack-test/state/test-template
pytest := .venv/bin/pytest -q -p no:cacheprovider $(PYTEST_ARGS)

.PHONY: help run stack stop status reset test test-units test-quotas test-browser test-browser-stack test-pages test-accounts test-holes test-year test-jobs test-many test-records test-others test-dying $(last) test-scheduler test-alone test-database test-pyslurm check bench soak soak-browser soak-slurm soak-national soak-dying soak-units messages requirements

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  Variables: STACK=.stack (its directory), PORT_BASE=18400 (first of its ports)'

run: stack ## Build the one-machine stack and play the main job
	@$(manage) main_job

stack: ## Build or update the stack, without the main job
	@$(stack) up

status: ## Show the health of every process, and what lies outside the stack's directory
	@$(stack) status

stop: ## End every process of the stack
	@$(stack) stop

reset: ## Remove the stack with its data, users and everything else of it
	@$(stack) reset

.venv/.installed-dev: requirements/base.txt requirements/dev.txt requirements/ansible.txt
	@ansible/bootstrap "$$(cd ansible && /usr/bin/python3 -B -m stack home)" base dev
	@touch $@

test: ## Build the test stack beside a running one, check, and run every test (under 15 minutes)
	@$(MAKE) --no-print-directory stack STACK=.stack-test
	@$(MAKE) --no-print-directory -j2 -O check test-database
	@echo "tests: in Slurm and in a browser, those that kill, units; each group prints when it is done"
	@$(MAKE) --no-print-directory -j12 -O $(last) test-units test-scheduler test-quotas
	@$(MAKE) --no-print-directory test-alone

$(last): test-%-last: $(waiting)
	@$(MAKE) --no-print-directory test-$*

test-database: .venv/.installed-dev messages $(template)

$(template): requirements/base.txt tests/conftest.py $(wildcard */*/migrations/*.py */*/migrations/*.sql)  # migrated in 40 s of CPU, copied by each group
	@$(test_server) TEST_DB_TEMPLATE= TEST_DB_SUFFIX=_template $(pytest) --create-db --reuse-db tests/portal/outbox/test_relay.py >/dev/null
	@touch $@

test-units:
	@$(test_env) nice $(pytest) -m "$(unit)" --ignore=tests/quotas --ignore=tests/scheduler

test-scheduler:
	@$(test_env) TEST_DB_SUFFIX=_scheduler nice $(pytest) -m "$(unit)" tests/scheduler

test-quotas:
	@$(test_env) TEST_DB_SUFFIX=_quotas nice $(pytest) -m "$(unit)" tests/quotas

test-browser:
	@$(test_env) TEST_DB_SUFFIX=_browser $(pytest) -m browser $(filter-out tests/pages/% tests/stack/%,$(call marked,browser))  # never with others: the browser's event loop stays in it

test-browser-stack:
	@$(test_env) TEST_DB_SUFFIX=_browser_stack $(pytest) -m browser tests/stack

test-pages:
	@$(test_env) TEST_DB_SUFFIX=_pages $(pytest) -m browser tests/pages

test-accounts:
	@$(test_env) TEST_DB_SUFFIX=_accounts $(pytest) -m "$(slurm)" tests/scheduler/accounts $(addprefix --ignore=,$(holes))

test-holes:
	@$(test_env) TEST_DB_SUFFIX=_holes $(pytest) -m "$(slurm)" $(holes)

test-year:
	@$(test_env) TEST_DB_SUFFIX=_year $(pytest) -m "$(slurm)" tests/year

test-dying:
	@$(test_env) TEST_DB_SUFFIX=_dying $(pytest) -m "$(dying)" $(call marked,fault)

test-alone:
	@$(test_env) $(pytest) -m alone $(call marked,alone)

test-jobs:
	@$(test_env) TEST_DB_SUFFIX=_jobs $(pytest) -m "$(slurm)" tests/scheduler/jobs tests/scheduler/clusters

test-many:
	@$(test_env) TEST_DB_SUFFIX=_many $(pytest) -m "$(slurm)" $(many)

test-records:
	@$(test_env) TEST_DB_SUFFIX=_records $(pytest) -m "$(slurm)" $(records)

test-others:
	@$(test_env) TEST_DB_SUFFIX=_others $(pytest) -m "$(slurm)" $(filter-out tests/year/% $(addprefix tests/scheduler/,accounts/% jobs/% clusters/%) $(many) $(records),$(call marked,slurm|stack))

test-pyslurm: ## Both adapters against a Slurm of their own: SLURM_PREFIX=, PYSLURM= (see CONTRIBUTING.md)
	@test -x "$(SLURM_PREFIX)/sbin/slurmctld" || { echo "make: SLURM_PREFIX names no Slurm (SLURM_PREFIX/sbin/slurmctld)"; exit 1; }
	@$(MAKE) --no-print-directory stack STACK=.stack-test
	@$(test_server) SLURM_PREFIX=$(SLURM_PREFIX) PYTHONPATH=$(PYSLURM) $(pytest) tests/scheduler/clusters/contract

check: .venv/.installed-dev messages ## Lint, types, layers and migrations: what needs no stack (under 60 s)
	@.venv/bin/ruff check --quiet . && .venv/bin/ruff format --quiet --check .
	@.venv/bin/djlint templates --quiet --lint
	@said=$$(.venv/bin/lint-imports) || { echo "$$said"; exit 1; }
	@.venv/bin/mypy --no-error-summary
	@.venv/bin/mypy --no-error-summary --strict ansible/stack
	@$(python) -W ignore manage.py makemigrations --check --dry-run >/dev/null || $(python) -W ignore manage.py makemigrations --check --dry-run
	@cd ansible && $(realpath .venv)/../tools/bin/ansible-playbook one-machine.yml --syntax-check >/dev/null
	@command -v promtool >/dev/null || { echo "make: promtool is missing: apt-get install -y prometheus"; exit 1; }
	@cd ansible/roles/prometheus/files && said=$$(promtool check rules gpu.rules.yml && promtool test rules gpu.rules.test.yml) || { echo "$$said"; exit 1; }
	@echo "check ok"

bench: ## Measure: one line a figure, `name value unit aim`
	@$(MAKE) --no-print-directory stack STACK=.stack-test >&2
	@$(test_server) $(python) -m benchmarks

soak: .venv/.installed-dev messages ## The tests that know a larger scale, at that scale, as long as it takes
	@$(MAKE) --no-print-directory stack STACK=.stack-test
	@$(MAKE) --no-print-directory test-database
	@SOAK=1 $(MAKE) --no-print-directory -j3 -O soak-browser soak-slurm soak-units
	@SOAK=1 $(MAKE) --no-print-directory soak-dying
	@SOAK=1 $(MAKE) --no-print-directory soak-national

soak-browser:
	@$(test_env) TEST_DB_SUFFIX=_browser $(pytest) -m browser $(scaled)

soak-slurm:
	@$(test_env) TEST_DB_SUFFIX=_year $(pytest) -m "$(slurm)" $(scaled)

soak-national:  # has a Slurm of its own, and aims
	@$(test_env) TEST_DB_SUFFIX=_national $(pytest) -m "$(dying)" $(national)

soak-dying:
	@$(test_env) TEST_DB_SUFFIX=_dying $(pytest) -m "$(dying)" $(filter-out $(national),$(scaled))

soak-units:
	@$(test_env) $(pytest) -m "$(unit)" $(scaled)

messages: ## Compile the translations
	@find . -path './.*' -prune -o -path '*/LC_MESSAGES/*.po' -print | while read -r po; do \
	  [ "$${po%.po}.mo" -nt "$$po" ] || msgfmt --check-format -o "$${po%.po}.mo" "$$po" || exit 1; done

requirements: ## Compile requirements/*.in to *.txt, with hashes
	@cd requirements && for set in base dev ansible pyslurm; do \
	  ../.venv/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
	    --no-header --output-file $$set.txt $$set.in || exit 1; done
