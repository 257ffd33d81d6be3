# What a person types. Each target is one line of `make help`; what it takes to build a stack is in ansible/.
STACK ?= .stack
PORT_BASE ?=
SHELL := /bin/sh
.DEFAULT_GOAL := help
python := .venv/bin/python
stack := cd ansible && /usr/bin/python3 -B -m stack --stack $(STACK) $(if $(PORT_BASE),--port-base $(PORT_BASE))
manage := SAOLA_ENV_FILE=$(CURDIR)/$(STACK)/env/manage.env $(python) manage.py
# Tests run in groups side by side, each a process with a database of its own, a copy of what `make test-database` made.
# First those in Slurm and in a browser, which often wait, and quotas', which take what they leave of the processors. Then
# the tests that kill the stack's processes, beside others that need none of it but PostgreSQL; who kills that runs alone.
unit := not (browser or slurm or stack or fault)
# The files that use one of these marks: to read all the others to find that none does takes 8 s of CPU a group.
marked = $(shell grep -rlE --include='test_*.py' 'pytest\.mark\.($(1))\b' tests)
slurm := slurm and not (stack or fault)
# One after another: a job on all nodes, and a node that is reserved, would wait for each other for ever.
many := $(addprefix tests/scheduler/settlement/test_,fifty_mixed_jobs.py real_records.py real_places.py)
long := tests/year $(addprefix tests/scheduler/accounts/test_,holes.py special_holes.py two_clusters.py)
dying := (stack or fault) and not (browser or alone)
test_server := SAOLA_ENV_FILE=$(CURDIR)/.stack-test/env/manage.env
test_env := $(test_server) TEST_DB_TEMPLATE=test_saola_template
pytest := .venv/bin/pytest -q -p no:cacheprovider $(PYTEST_ARGS)

.PHONY: help run stack stop status reset test test-units test-quotas test-browser test-accounts test-long test-jobs test-records test-dying test-scheduler test-alone test-database test-pyslurm check bench soak messages requirements

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
	@echo "tests: browser, accounts, jobs and records in Slurm, units beside what dies; each group prints when it is done"
	@$(MAKE) --no-print-directory -j6 -O test-browser test-accounts test-long test-jobs test-records test-quotas
	@$(MAKE) --no-print-directory -j3 -O test-dying test-units test-scheduler
	@$(MAKE) --no-print-directory test-alone

test-database: .venv/.installed-dev messages  # migrated once, in 20 s of CPU, and copied by each group
	@$(test_server) TEST_DB_SUFFIX=_template $(pytest) --create-db --reuse-db tests/portal/outbox/test_relay.py >/dev/null

test-units:
	@$(test_env) $(pytest) -m "$(unit)" --ignore=tests/quotas --ignore=tests/scheduler

test-scheduler:
	@$(test_env) TEST_DB_SUFFIX=_scheduler $(pytest) -m "$(unit)" tests/scheduler

test-quotas:  # while the others wait for Slurm
	@$(test_env) TEST_DB_SUFFIX=_quotas nice -n 10 $(pytest) -m "$(unit)" tests/quotas

test-browser:
	@$(test_env) TEST_DB_SUFFIX=_browser $(pytest) -m browser $(call marked,browser)  # never with others: the browser's event loop stays in it

test-accounts:
	@$(test_env) TEST_DB_SUFFIX=_accounts $(pytest) -m "$(slurm)" tests/scheduler/accounts $(addprefix --ignore=,$(long))

test-long:
	@$(test_env) TEST_DB_SUFFIX=_long $(pytest) -m "$(slurm)" $(long)

test-dying:
	@$(test_env) TEST_DB_SUFFIX=_dying $(pytest) -m "$(dying)" $(call marked,stack|fault)

test-alone:
	@$(test_env) $(pytest) -m alone $(call marked,alone)

test-jobs:
	@$(test_env) TEST_DB_SUFFIX=_jobs $(pytest) -m "$(slurm)" tests/scheduler/jobs tests/scheduler/clusters $(many)

test-records:
	@$(test_env) TEST_DB_SUFFIX=_records $(pytest) -m "$(slurm)" $(filter-out tests/year/% $(addprefix tests/scheduler/,accounts/% jobs/% clusters/%) $(many),$(call marked,slurm))

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

soak: ## The same tests at a larger scale, as long as that takes
	@SOAK=1 $(MAKE) --no-print-directory test

messages: ## Compile the translations
	@find . -path './.*' -prune -o -path '*/LC_MESSAGES/*.po' -print | while read -r po; do \
	  [ "$${po%.po}.mo" -nt "$$po" ] || msgfmt --check-format -o "$${po%.po}.mo" "$$po" || exit 1; done

requirements: ## Compile requirements/*.in to *.txt, with hashes
	@cd requirements && for set in base dev ansible pyslurm; do \
	  ../.venv/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
	    --no-header --output-file $$set.txt $$set.in || exit 1; done
