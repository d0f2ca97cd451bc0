# Every recipe is one line; the logic sits in tools/.
PY := .venv/bin/python
SEEDS ?= 500
SEED ?= 0
ROUNDS ?= 1
BROKERS ?= 1
LANE ?= owner
MINUTES ?= 60
.DEFAULT_GOAL := help
.PHONY: help setup run demo test test-kafka test-mongo test-charts test-cluster test-images test-real test-kills test-watch watch-live soak-kills fencing chaos soak-chaos run-real check verify gates sbom licences proto locks sim sim-shrink sim-mutants sim-ci soak mutants mutants-report laws bench bench-real bench-handover bench-cold bench-backup bench-telemetry ci

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv ready, as requirements.lock pins it
	@python3 tools/setup.py

run: setup ## start the five services on one data folder (ctrl-c ends them)
	@.venv/bin/chapar up

run-real: setup ## the same on a real broker and a real database, with several processes a service
	@$(PY) -m tools.run_real

demo: setup ## play Chapar with a handful of people on a temporary folder
	@.venv/bin/chapar demo

test: setup ## all tests that need no broker, no database and no hours
	@$(PY) -m pytest -n 2 --dist loadgroup -m "not kafka and not mongo and not kills and not slow and not watch and not charts and not cluster and not images"

test-kafka: setup ## conformance and e2e tests against a real Kafka broker, which they obtain and start
	@$(PY) -m pytest -n 2 --dist loadfile -m "kafka and not kills"

test-mongo: setup ## conformance and faults against a real database of MongoDB's protocol, which they obtain and start
	@$(PY) -m pytest -n 2 --dist loadfile -m "mongo and not kafka and not kills"

test-watch: setup ## rules and queries by Prometheus' own tools, which they obtain where apt is
	@$(PY) -m pytest tests/watch tests/deploy -m watch

watch-live: setup ## ask every query of every dashboard of a Prometheus that watches the services under load
	@$(PY) -m tools.watch_live --kafka --report docs/dashboards.json

test-charts: setup ## what charts make, against strict schemas; needs Go, which builds helm the first time (minutes)
	@$(PY) -m pytest -n 2 --dist loadgroup -m charts

test-cluster: setup ## all charts on a real API server with nodes that pretend; needs Go, which builds it the first time (15 minutes)
	@$(PY) -m tools.cluster
	@$(PY) -m pytest tests/deploy/cluster -m cluster

test-images: setup ## images built and run by Debian's engine; needs root, dockerd and debootstrap
	@$(PY) -m pytest -m images

test-real: test-kafka test-mongo ## both of these

test-kills: setup ## every service killed with -9 and stopped under load, on SQLite
	@$(PY) -m pytest -n 2 -m kills

soak-kills: setup ## each service killed 20 times and stopped 10 times under load, ROUNDS rounds; docs/soak_kills.md
	@$(PY) -m tests.e2e.soak_kills --rounds $(ROUNDS)

fencing: setup ## ten owners stopped until others own what they had, and continued, under load, on a real broker and database
	@$(PY) -m tests.e2e.chaos --seed 1 --faults 10 --kinds fence

chaos: setup ## 20 faults under load: processes, brokers (BROKERS=3), database and network killed, stopped, cut; a full disk
	@$(PY) -m tests.e2e.chaos --seed 2 --faults 20 --brokers $(BROKERS)

soak-chaos: setup ## the same in ten rounds of 20, three of them with three brokers, and 100 owners fenced; docs/chaos.md, docs/fencing.md
	@$(PY) -m tests.e2e.chaos --seed 1 --rounds 7 --faults 20 --report docs/chaos.json
	@$(PY) -m tests.e2e.chaos --seed 1 --rounds 3 --faults 20 --brokers 3 --report docs/chaos.json
	@$(PY) -m tests.e2e.chaos --seed 1 --rounds 10 --faults 10 --kinds fence --report docs/fencing.json

check: setup ## ruff, mypy --strict, import-linter, bandit, buf lint
	@$(PY) -m tools.check

proto: setup ## regenerate libs/contracts from protos/
	@$(PY) -m tools.proto

locks: setup ## regenerate the hash-pinned locks
	@$(PY) -m tools.locks

gates: setup ## locks by hash, bills of what programs consist of, licences
	@$(PY) -m tools.gates

sbom: setup ## write a CycloneDX bill of each program to build/sbom
	@$(PY) -m tools.sbom

licences: setup ## under which licences run-time packages come; fails on GPL and on what nobody has judged
	@$(PY) -m tools.licences

verify: setup ## regenerate all that is generated; an empty diff passes
	@$(PY) -m tools.verify

sim: setup ## play SEEDS seeds of the simulator from SEED on; TRACE=1 prints the steps of one
	@$(PY) -m tests.simulation.seeds --lane $(LANE) --seeds $(SEEDS) --seed $(SEED) $(if $(TRACE),--trace) $(if $(ONLY),--only $(ONLY))

sim-shrink: setup ## find the shortest trace of SEED that still fails
	@$(PY) -m tests.simulation.shrink --lane $(LANE) --seed $(SEED)

sim-mutants: setup ## show that each planted bug is caught, and by which seed; LOWEST=1 looks for the lowest of all
	@$(PY) -m tests.simulation.mutants --seeds $(SEEDS) $(if $(LOWEST),--lowest)

sim-ci: setup ## CI's share: 2,000 seeds of owners, 300 of damaged logs, 200 of the whole path, 40 of members, all planted bugs
	@$(PY) -m tests.simulation.seeds --seeds 2000
	@$(PY) -m tests.simulation.seeds --lane damage --seeds 300
	@$(PY) -m tests.simulation.seeds --lane path --seed 60 --seeds 200
	@$(PY) -m tests.simulation.seeds --lane members --seed 16 --seeds 40
	@$(PY) -m tests.simulation.mutants --seeds 500

soak: SEEDS = 50000
soak: setup ## add up seeds of LANE into docs/soak.md until SEEDS were played or MINUTES have passed
	@nice -n 10 $(PY) -m tests.simulation.soak --lane $(LANE) --seeds $(SEEDS) --minutes $(MINUTES)

mutants: setup ## make small faults in FILES of the engine, one at a time, and show which ones no test notices
	@nice -n 10 $(PY) -m tools.mutate $(FILES)

mutants-report: setup ## write docs/mutants.md from what was tried and the reasons in docs/mutants.json
	@$(PY) -m tools.mutate --report

laws: setup ## play the laws over random histories at length (in `make test` they are played briefly)
	@$(PY) -m pytest -n 2 -m laws --timeout 7200 --hypothesis-profile soak

bench: setup ## figures: fold, owner in process, recovery, end to end
	@$(PY) -m bench.run

bench-real: setup ## what a message costs on a real broker and database: CPU time and bytes, with a profile
	@$(PY) -m bench.real --profile

bench-handover: setup ## how long clients wait when processes are killed, asked to end, or restarted one after the other
	@$(PY) -m bench.handover

bench-cold: setup ## how long payments take to start on a log of a million events, with and without their store
	@$(PY) -m bench.cold

bench-backup: setup ## how long a backup of a long log takes, and a restore of it
	@$(PY) -m bench.backup

bench-telemetry: setup ## what traces cost: CPU time with and without them, in ten interleaved pairs; docs/telemetry.md
	@$(PY) -m bench.telemetry --report docs/telemetry.md

ci: check verify gates test test-charts sim-ci demo test-kafka test-mongo test-watch test-kills fencing chaos ## what CI runs
