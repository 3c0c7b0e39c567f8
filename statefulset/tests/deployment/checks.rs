//! What must hold for every rendered set of objects. Each check returns its complaints; none is a set that is right.

#[path = "checks/network.rs"]
pub mod network;
#[path = "checks/pods.rs"]
pub mod pods;
#[path = "checks/scaling.rs"]
pub mod scaling;
#[path = "checks/set.rs"]
pub mod set;
#[path = "checks/wiring.rs"]
pub mod wiring;

use crate::support::objects::Objects;

/// Looks at objects of one namespace.
pub type Check = fn(&Objects) -> Vec<String>;

/// All of them, by name.
pub const ALL: [(&str, Check); 27] = [
    ("unique", wiring::unique),
    ("services", wiring::services),
    ("mounts", wiring::mounts),
    ("references", wiring::references),
    ("kept", wiring::kept),
    ("routes", wiring::routes),
    ("monitors", wiring::monitors),
    ("secrets", wiring::secrets),
    ("images", pods::images),
    ("restricted", pods::restricted),
    ("resources", pods::resources),
    ("memory", pods::memory),
    ("probes", pods::probes),
    ("end", pods::end),
    ("variables", pods::variables),
    ("set", set::shape),
    ("peers", set::peers),
    ("selector", set::selector),
    ("claims", set::claims),
    ("track", set::track),
    ("spread", set::spread),
    ("budget", set::budget),
    ("bootstrap", set::bootstrap),
    ("autoscaler", scaling::autoscaler),
    ("backup", scaling::backup),
    ("foreign", scaling::foreign),
    ("network", network::policies),
];

/// Every complaint, with the name of its check.
pub fn complaints(objects: &Objects) -> Vec<String> {
    let of = |(name, check): &(&str, Check)| {
        check(objects).into_iter().map(move |complaint| format!("{name}: {complaint}")).collect::<Vec<_>>()
    };
    ALL.iter().flat_map(of).collect()
}

/// One complaint, if something is not so.
pub fn unless(holds: bool, complaint: impl FnOnce() -> String) -> Option<String> {
    (!holds).then(complaint)
}
