# The two commands that matter: `make demo` and `make test`. Both install what they need, or say what to install.

CARGO ?= cargo
PREFIX ?= $(HOME)/.local

.PHONY: all demo test check bench soak fuzz install aarch64

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

aarch64:
	tests/check-aarch64

# Ratios to Buildah, on a journaled ext4 and on tmpfs if the caller is root.
bench:
	tests/setup bench
	tests/bases demo
	$(CARGO) build --release --locked
	tests/bench

# The tests that take long: 100 seeded kills, full disks, two builds beside a prune, 200 seeded pulls and pushes through a
# proxy that breaks things, 100000 mutations of every hostile input.
soak:
	tests/setup test
	tests/apt-repository
	tests/bases test
	LBUILD_TEST_SOAK=100 $(CARGO) test --locked -p lbuild --test product -- --nocapture survive::
	LBUILD_TEST_SOAK=200 $(CARGO) test --locked -p lbuild --test product -- --nocapture registry_faults::
	LBUILD_TEST_SOAK=100 $(CARGO) test --locked -p layerfs -p builder --test fuzz

# Every fuzz target for five minutes, led by coverage; needs a C++ compiler, no nightly toolchain.
fuzz:
	tests/fuzz 300

install:
	$(CARGO) build --release --locked
	install -D -m 0755 target/release/lbuild $(DESTDIR)$(PREFIX)/bin/lbuild
	mkdir -p $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	target/release/lbuild man $(DESTDIR)$(PREFIX)/share/man/man1
	target/release/lbuild completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lbuild
	target/release/lbuild completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_lbuild
	target/release/lbuild completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/lbuild.fish
