# The two commands that matter: `make demo` and `make test`. Both install what they need, or say what to install.

CARGO ?= cargo
PREFIX ?= $(HOME)/.local
FUZZ_SECONDS ?= 300
# Debian's zsh does not look into /usr/share/zsh/site-functions.
ZSH_FUNCTIONS ?= $(PREFIX)/share/zsh/$(if $(and $(filter /usr,$(PREFIX)),$(wildcard /etc/debian_version)),vendor-completions,site-functions)

.PHONY: all demo test check bench bench-build ratios ratios-write soak fuzz install aarch64

all:
	$(CARGO) build --release --locked

# Builds the lab: a Dockerfile, a base image made on this machine, no registry, no root.
demo:
	tests/setup demo
	tests/bases demo
	$(CARGO) build --release --locked
	tests/demo

# Runs everything: as the caller; and, if that is root, as a plain user with id ranges and as one without.
test:
	tests/setup test
	tests/apt-repository
	tests/bases test
	tests/everywhere

# What a change must pass before anything runs.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --document-private-items
	for crate in layerfs builder; do \
		$(CARGO) metadata --locked --format-version 1 --manifest-path $$crate/fuzz/Cargo.toml > /dev/null || exit; done

aarch64:
	tests/check-aarch64

# Times beside those of the peers and the floors of this machine, as a plain user with id ranges; on a journaled ext4 and
# on tmpfs if the caller is root. BENCH="w1 w2 --runs 3 --json FILE" says what else.
bench: bench-build
	tests/bench $(if $(filter 0,$(shell id -u)),--as with) $(BENCH)

# Fails if a quick row takes a share of its bound that grew by half against tests/benchmark/ratios.json; without peers.
ratios: bench-build
	tests/bench $(if $(filter 0,$(shell id -u)),--as with) --ratios check

ratios-write: bench-build
	tests/bench $(if $(filter 0,$(shell id -u)),--as with) --ratios write

bench-build:
	tests/setup bench
	tests/bases demo
	$(CARGO) build --release --locked
	$(CARGO) build --release --locked -p layerfs --example floors

# The tests that take long: 100 seeded kills, full disks, two builds beside a prune, 200 seeded pulls and pushes through a
# proxy that breaks things, 2,000 generated Dockerfiles beside Buildah, 100000 mutations of every hostile input.
soak:
	tests/setup test
	tests/apt-repository
	tests/bases test
	LBUILD_TEST_SOAK=100 $(CARGO) test --locked -p lbuild --test product -- --nocapture survive::
	LBUILD_TEST_SOAK=200 $(CARGO) test --locked -p lbuild --test product -- --nocapture registry_faults::
	LBUILD_TEST_SOAK=2000 $(CARGO) test --locked -p lbuild --test product -- --nocapture generated::subid
	LBUILD_TEST_SOAK=100 $(CARGO) test --locked -p layerfs -p builder --test fuzz

# Every fuzz target for five minutes, led by coverage, from the committed corpus; no nightly toolchain.
fuzz:
	tests/setup fuzz
	tests/fuzz $(FUZZ_SECONDS)

install:
	$(CARGO) build --release --locked
	install -D -m 0755 target/release/lbuild $(DESTDIR)$(PREFIX)/bin/lbuild
	mkdir -p $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(ZSH_FUNCTIONS) $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	target/release/lbuild man $(DESTDIR)$(PREFIX)/share/man/man1
	target/release/lbuild completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lbuild
	target/release/lbuild completions zsh > $(DESTDIR)$(ZSH_FUNCTIONS)/_lbuild
	target/release/lbuild completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/lbuild.fish
