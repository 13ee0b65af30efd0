# The two commands of a fresh machine, and what they are made of.
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.PHONY: demo test build deps test-deps bench clean

demo: build ## Build, replay the bundled captures, show the result
	@scripts/demo.sh

# One build from scratch needs no incremental state.
test: export CARGO_INCREMENTAL = 0
test: test-deps ## Install what tests need and run everything that CI runs
	@$(CARGO) xtask ci

build: deps
	@$(CARGO) build --release --package dwell

deps:
	@scripts/install-deps.sh build

test-deps:
	@scripts/install-deps.sh test

bench: deps
	@$(CARGO) bench --package dwell-benches

clean:
	@$(CARGO) clean
