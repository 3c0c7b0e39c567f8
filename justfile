# Each recipe is one plain command; `just` only remembers it.

# What there is to do.
default:
    @just --list --unsorted

# Does it compile, tests and benches included?
check:
    cargo check --workspace --all-targets

# All tests. Arguments go to cargo: `just test --lib`, `just test dpkg`.
test *arguments:
    cargo test --workspace {{arguments}}

# Simulated clusters from many seeds, optimised: `just seeds 0..2000`.
seeds range:
    PLAYHOUSE_SEEDS={{range}} cargo test --profile simulation --test simulation seeds -- --nocapture

# The run with a real Debian package list: load, kill -9, restart, load again.
dpkg:
    cargo test --workspace dpkg

format:
    cargo fmt --all

# Warnings are errors here and in CI.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# The docs as CI builds them. `just docs --open` shows them.
docs *arguments:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace {{arguments}}

# Licences, duplicate crates, sources. Needs `cargo install cargo-deny --locked`.
deny:
    cargo deny check licenses bans sources

# As `deny`, with known vulnerabilities. Downloads the advisory database, which CI cannot.
advisories:
    cargo deny check advisories

# A node on this machine; its data is under .playhouse/.
dev *arguments:
    cargo run --release -- dev {{arguments}}

# Criterion: single rooms. `just criterion codec` runs one file.
criterion *names:
    cargo bench -p playhouse-bench {{ if names == "" { "" } else { "--bench " + names } }}

# Everything beside its peers: docs/benchmarks.md with its tables and plots. `just bench cast call` measures some groups only.
bench *groups:
    cargo run --release -p playhouse-bench --bin playhouse_bench -- {{groups}}

# Tries rows with small counts, and writes nothing: `just bench-quick gateway`.
bench-quick *groups:
    cargo run --release -p playhouse-bench --bin playhouse_bench -- --quick {{groups}}

# Writes docs/benchmarks.md and its plots from the newest reports, without measuring.
bench-page:
    cargo run --release -p playhouse-bench --bin playhouse_bench -- --page

# What changed between two reports or two commits: `just bench-compare 1059496be5af f66156caba32`. `--fail-on-slower` for scripts.
bench-compare old new *flags:
    cargo run --release -p playhouse-bench --bin playhouse_bench -- --compare {{old}} {{new}} {{flags}}

# Fuzzes one target for some seconds. Needs `cargo install cargo-fuzz --locked`; works with the stable toolchain.
fuzz target seconds="60":
    cd fuzz && mkdir -p corpus/{{target}} seeds/{{target}} && \
        RUSTC_BOOTSTRAP=1 cargo fuzz run {{target}} corpus/{{target}} seeds/{{target}} -- \
            -max_total_time={{seconds}} -dict=json.dict

# Everything that CI does.
ci:
    bash .ci/run
