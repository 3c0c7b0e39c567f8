//! Whole clusters in one process, from one seed: nodes, clients, and everything that can go wrong.
//!
//! ```text
//! cargo test --test simulation                               a fixed set of seeds, and some that nobody has seen
//! PLAYHOUSE_SEED=7 cargo test --test simulation seeds        one seed, with its trace
//! PLAYHOUSE_SEEDS=0..2000 cargo test --test simulation seeds a range
//! PLAYHOUSE_FAULTS=Freeze,LoseVolume                         only these kinds of faults
//! PLAYHOUSE_LOG=info                                         with the logs of the nodes
//! ```

#[path = "../examples/bank/account.rs"]
mod account;
#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/history.rs"]
mod history;
#[path = "simulation/journal.rs"]
mod journal;
#[path = "simulation/linearizable.rs"]
mod linearizable;
#[path = "simulation/logs.rs"]
mod logs;
#[path = "simulation/relay.rs"]
mod relay;
#[path = "simulation/releases.rs"]
mod releases;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/seeds.rs"]
mod seeds;
#[path = "simulation/stories.rs"]
mod stories;
#[path = "../examples/bank/transfer.rs"]
mod transfer;
#[path = "simulation/workload.rs"]
mod workload;
#[path = "simulation/world.rs"]
mod world;

#[test]
fn seeds_keep_all_promises() {
    seeds::run(seeds::chosen());
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 2, 3] {
        let [one, other] = [run::run(seed), run::run(seed)];
        let first = one.trace.iter().zip(&other.trace).find(|(one, other)| one != other);
        assert_eq!(one.fingerprint, other.fingerprint, "seed {seed} differs: {first:?}");
    }
}
