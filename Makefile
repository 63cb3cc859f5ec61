# Everything that a developer or CI runs. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ASSAY := $(BIN)/assay
SOURCES := src components pipelines manifests images tests docs tools setup.py
export PYTHONDONTWRITEBYTECODE ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

# An editable installation holds the list of stages, so a stage that comes or goes rebuilds it.
CATEGORIES := $(wildcard components/*/)

# The environment is rebuilt when a lock changes. uv itself comes hash-locked through pip. Compiled
# once here, because every step is a process of its own: MLflow's import takes 1.3 s so, 6 s else.
$(VENV)/.ready: requirements/uv.txt requirements/dev.txt src/assay/requirements.txt pyproject.toml setup.py $(CATEGORIES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "setting up $(VENV) (once; a few minutes on a slow line)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup
setup: $(VENV)/.ready ## Create .venv with everything, hash-locked

.PHONY: demo
demo: setup ## Run the main job, a release and a rollback on a real dataset
	@$(ASSAY) demo

.PHONY: test
test: setup ## Run the tests (under 10 minutes on 2 cores)
	@$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not bench"

.PHONY: test-slow
test-slow: setup ## Run the tests that `make test` leaves out
	@$(BIN)/pytest -n 2 --dist loadfile -m "slow and not bench" --durations 15

.PHONY: test-all
test-all: setup ## Run the tests, the slow ones too, with coverage
	@$(BIN)/pytest -n 2 --dist loadfile -m "not bench" --cov --cov-report=term:skip-covered

.PHONY: bench
bench: setup ## Measure against plain scripts, dvc and the bare client; write docs/performance.md
	@# The page shows a ratio that is not met, too.
	@status=0; $(BIN)/pytest -m bench -s -p no:randomly --timeout 3600 tests/benchmarks || status=$$?; \
	  $(BIN)/python docs/performance.py; exit $$status

.PHONY: reliability
reliability: setup ## Put the store under load and faults; write docs/reliability.md
	@$(BIN)/pytest -q --update-goldens -p no:randomly tests/integration/test_store_load.py

.PHONY: fmt
fmt: setup ## Format the code
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix --quiet $(SOURCES) || true

.PHONY: lint
lint: setup .typing ## Check format, lint rules and the direction of imports
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/hadolint images/Dockerfile
	@PYTHONPATH=.typing $(BIN)/lint-imports --no-cache

# Static tools do not see setuptools' import hook, so they get a tree of links.
.PHONY: .typing
.typing:
	@rm -rf .typing && mkdir -p .typing/assay/components
	@ln -s $(CURDIR)/src/assay/* $(CURDIR)/pipelines .typing/assay/
	@ln -s $(CURDIR)/components/__init__.py $(CURDIR)/components/*/*/ .typing/assay/components/

.PHONY: typecheck
typecheck: setup .typing ## Check types (strict)
	@MYPYPATH=.typing $(BIN)/mypy -p assay

STAGES = $(dir $(wildcard components/*/*/stage.yaml))

.PHONY: goldens
goldens: setup ## Rewrite what is generated: components, compiled YAML, tables, golden files
	@test -z "$$CI" || { echo "error: goldens are made by people, not in CI" >&2; exit 2; }
	@$(ASSAY) new component $(STAGES) > /dev/null
	@$(ASSAY) compile --dev > /dev/null
	@$(BIN)/python docs/generate.py
	@$(BIN)/pytest -q --update-goldens -m "not slow and not bench" tests/golden

.PHONY: check-generated
check-generated: setup ## Fail when something generated is stale
	@$(ASSAY) new component --check $(STAGES) > /dev/null
	@$(ASSAY) compile --dev --check > /dev/null
	@$(BIN)/python docs/generate.py --check

.PHONY: lock
lock: setup ## Resolve the dependencies anew into the hash-locked files
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --annotation-style split pyproject.toml -o src/assay/requirements.txt
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --no-annotate --extra dev pyproject.toml -o requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --no-emit-find-links --no-annotate requirements/bench.in -o requirements/bench.txt
	@for name in data train release deploy; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --no-emit-find-links --no-annotate --constraints src/assay/requirements.txt \
	    --overrides images/$$name/unused.txt --group $$name -o images/$$name/requirements.txt; done
	@grep '^uv==' -A 60 requirements/dev.txt | awk 'NR==1 || /^ /{print} NR>1 && !/^ /{exit}' > requirements/uv.txt

.PHONY: wheel
wheel: setup ## Build the wheel into dist/
	@rm -rf build dist
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 315532800) \
	  $(BIN)/python -m build --wheel --no-isolation --outdir dist . > /dev/null && ls dist

.PHONY: images
images: wheel ## Build the container images; BASE_IMAGE=... takes another base
	@$(BIN)/python images/build.py build $(if $(BASE_IMAGE),--base '$(BASE_IMAGE)')

.PHONY: push
push: setup ## Push the images to REGISTRY=... and write images/digests.json
	@test -n '$(REGISTRY)' || { echo "error: give REGISTRY=host/path" >&2; exit 2; }
	@$(BIN)/python images/build.py push --registry '$(REGISTRY)'

.PHONY: pin-base
pin-base: setup ## Pin the base image's tag to the digest that it has now
	@$(BIN)/python images/build.py pin-base

.PHONY: sbom
sbom: wheel ## Write an SBOM per image into dist/sbom
	@$(BIN)/python images/build.py sbom

.PHONY: minio
minio: ## Install a MinIO server for the tests (needs Go)
	@command -v minio > /dev/null || test -x "$$(go env GOPATH)/bin/minio" || \
	  go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c

.PHONY: gitea
gitea: ## Install a Gitea server for one more test (needs Go and a C compiler; long)
	@command -v gitea > /dev/null || test -x "$$(go env GOPATH)/bin/gitea" || { \
	  source=$$(go mod download -json code.gitea.io/gitea@v1.26.0 | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'); \
	  scratch=$$(mktemp -d); cp -r "$$source/." "$$scratch" && chmod -R u+w "$$scratch" && cd "$$scratch" && \
	  go build -mod=mod -tags 'sqlite sqlite_unlock_notify' -o "$$(go env GOPATH)/bin/gitea" . ; \
	  rm -rf "$$scratch"; }

# Each stands in GOPATH/bin under its own name; what is there already is not built again.
GO_BIN = $$(go env GOPATH)/bin
.PHONY: cluster-tools
cluster-tools: ## Install kustomize, mc and actionlint for the tests of manifests (needs Go)
	@test -x "$(GO_BIN)/kustomize" || go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.1
	@test -x "$(GO_BIN)/mc" || go install github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9
	@test -x "$(GO_BIN)/actionlint" || go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

.PHONY: kube-apiserver
kube-apiserver: ## Build a Kubernetes API server for the tests of manifests (needs Go; minutes, once)
	@test -x "$(GO_BIN)/kube-apiserver" || (cd tests/manifests/apiserver && go build -trimpath \
	  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4" -o "$(GO_BIN)/kube-apiserver" .)

.PHONY: kind-up
kind-up: setup ## Create a kind cluster with KFP, MinIO, MLflow and the images (needs Docker)
	@manifests/kind/kind.sh up

.PHONY: smoke
smoke: setup ## Run the pipeline on the kind cluster and check its verdicts
	@manifests/kind/kind.sh smoke

.PHONY: kind-down
kind-down: ## Delete the kind cluster
	@manifests/kind/kind.sh down

.PHONY: kind-smoke
kind-smoke: kind-up smoke kind-down ## All three: create, run, delete

.PHONY: ci
ci: lint typecheck structure check-generated docs test-slow ## What CI demands beside `make test` and `make demo`

.PHONY: structure
structure: setup .typing ## Print rooms and imports; fails where modules import each other in a circle
	@$(BIN)/python tools/structure.py

.PHONY: docs
docs: setup .typing ## Build the documentation site into dist/site; fails on a broken link
	@# Not --quiet: with it, strict mode does not see the warnings about links.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build > .mkdocs.log 2>&1 || { cat .mkdocs.log; exit 1; }

.PHONY: clean
clean: ## Remove what was built; keeps .venv
	@rm -rf build dist .mkdocs.log .typing .mypy_cache .ruff_cache .pytest_cache .hypothesis .bench .coverage
