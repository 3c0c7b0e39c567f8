//! Mistakes that were seen in comparable systems, and what notices each of them here.

use std::fs;

use crate::{checks::ALL, mutations::MUTATIONS, support::tools::repository};

/// What notices a mistake.
enum Proof {
    /// A mutation, by what it does. Its check complains.
    Mutation(&'static str),
    /// A test, by its name.
    Test(&'static str),
}
use Proof::{Mutation, Test};

const PITFALLS: &[(&str, &[Proof])] = &[
    // Manifests that do not build or apply.
    ("two `resources:` keys", &[Test("no_key_is_there_twice_in_any_file")]),
    ("a Helm chart used as a resource", &[Test("no_kustomization_has_what_has_harmed_others")]),
    (
        "patches naming another base, overlays in a cycle, merges without a match",
        &[Test("every_overlay_is_right_by_every_check"), Test("a_warning_of_kubectl_is_a_failure")],
    ),
    (
        "components that fit only some overlays",
        &[Test("every_combination_of_components_is_right_by_every_check")],
    ),
    ("template braces in plain YAML", &[Mutation("a template of another tool")]),
    (
        "invented fields",
        &[
            Test("schemas_refuse_what_does_not_exist"),
            Test("every_object_is_one_of_kubernetes"),
            Test("every_custom_object_is_one_of_its_definition"),
            Mutation("maxSurge"),
        ],
    ),
    ("PodSecurityPolicy and other kinds that are gone", &[Test("schemas_refuse_what_does_not_exist")]),
    ("both minAvailable and maxUnavailable", &[Mutation("both ends of a budget")]),
    ("three budgets over the same pods", &[Mutation("two budgets")]),
    // Bootstrap deadlocks.
    (
        "init containers that wait for the service they belong to",
        &[Mutation("a pod that waits for its Service")],
    ),
    (
        "headless services without publishNotReadyAddresses",
        &[Mutation("founders that are hidden until they are ready")],
    ),
    (
        "OrderedReady with a readiness that needs the whole cluster",
        &[Mutation("one founder after the other")],
    ),
    ("a startup probe that kills who waits for its cluster", &[Mutation("a start that must not take long")]),
    // Identity.
    (
        "every pod called alike, an address that defaults to loopback",
        &[
            Test("every_variable_is_read_and_means_what_the_pod_says"),
            Test("every_listener_of_a_pod_is_reachable_from_others"),
        ],
    ),
    (
        "environment variables that nothing reads",
        &[
            Mutation("a variable that nothing reads"),
            Test("a_variable_that_nothing_reads_keeps_the_node_from_starting"),
        ],
    ),
    (
        "a distribution port that is not fixed",
        &[Test("ports_are_those_of_the_code"), Mutation("a peer port with another name")],
    ),
    (
        "a selector shared by two workloads",
        &[
            Mutation("a set that takes the canary's pods"),
            Mutation("a Deployment beside the set"),
            Mutation("a Service that selects jobs"),
        ],
    ),
    // Network policies.
    (
        "policies that cut the cluster's own peers",
        &[
            Mutation("policies that cut peers in"),
            Mutation("policies that cut peers out"),
            Mutation("policies that cut canaries off"),
        ],
    ),
    (
        "namespace selectors on a label that clusters do not set",
        &[Mutation("a namespace label that nobody sets")],
    ),
    // Cookie and secrets.
    (
        "the cookie in env, argv, ConfigMap, values and git",
        &[
            Mutation("the cookie in a variable"),
            Mutation("the cookie in settings"),
            Mutation("a Secret in git"),
            Test("no_file_has_a_secret"),
        ],
    ),
    (
        "key names that are misspelt",
        &[Mutation("a misspelt Secret"), Test("every_path_is_mounted_and_set_and_known_to_the_code")],
    ),
    (
        "a Secret managed by GitOps with self-heal",
        &[Test("production_is_not_deleted_by_git"), Mutation("a Secret in git")],
    ),
    ("a random cookie per node when unset", &[Test("whoever_expects_others_needs_a_cookie")]),
    // Probes.
    (
        "probes that are always 200, or that cannot fail",
        &[
            Test("readyz_fails_with_its_check_and_recovers_with_it"),
            Test("readyz_fails_when_a_check_hangs"),
            Test("livez_fails_when_a_runtime_does_not_turn"),
        ],
    ),
    ("liveness and readiness swapped", &[Mutation("liveness and readiness swapped")]),
    ("liveness that fails under load", &[Mutation("liveness that kills what is busy")]),
    ("probes on ports nobody opens", &[Mutation("a probe on a port that nobody opens")]),
    // Canary and blue/green: what must be so from the first deployment.
    (
        "a canary that is not selected, or is taken for stable",
        &[Mutation("a Service that misses the canary"), Mutation("a selector without the track")],
    ),
    (
        "promotion that patches an immutable selector",
        &[Mutation("a selector with the release"), Mutation("a claim template with the release")],
    ),
    ("Flagger and Argo Rollouts pointed at a StatefulSet", &[Mutation("a Deployment beside the set")]),
    // GitOps.
    (
        "App-of-apps refused by its own AppProject",
        &[Test("every_project_admits_its_applications"), Test("a_project_that_is_too_narrow_is_noticed")],
    ),
    (
        "every environment on `main` and the latest image, whose name never matches",
        &[
            Test("every_application_is_pinned"),
            Test("only_the_root_follows_a_branch"),
            Mutation("the latest image"),
            Mutation("an image whose name never matched"),
        ],
    ),
    ("replicas, self-heal and HPA fighting", &[Test("replicas_that_an_autoscaler_owns_are_left_alone")]),
    (
        "ingress patches that replace the rules",
        &[Test("patches_never_replace_a_list"), Mutation("an ingress whose paths are lost")],
    ),
    (
        "commonLabels that change selectors and claim templates",
        &[Test("no_kustomization_has_what_has_harmed_others"), Mutation("a claim template with the release")],
    ),
    // Scaling and storage.
    ("an HPA that scales down without a drain", &[Mutation("an autoscaler that removes nodes")]),
    ("VPA beside HPA", &[Mutation("a VPA beside the HPA")]),
    ("one claim shared by many pods", &[Mutation("one claim for all pods")]),
    (
        "volumes mounted while state stays elsewhere",
        &[
            Mutation("a volume that is mounted elsewhere"),
            Test("every_path_is_mounted_and_set_and_known_to_the_code"),
        ],
    ),
    (
        "a pause as long as the grace period",
        &[Mutation("a pause as long as the grace period"), Test("the_pod_waits_longer_than_the_node_drains")],
    ),
    ("backups into an emptyDir", &[Mutation("backups into what goes with the pod")]),
    // Observability: metrics of rules and dashboards are tested beside them.
    ("an HPA by a metric that no code emits", &[Mutation("an autoscaler by a metric that nobody tells")]),
    // From users' issues.
    ("a restart that is felt", &[Test("a_rolling_restart_is_not_felt")]),
    ("a cookie that cannot be exchanged", &[Test("cookies_are_exchanged_while_the_cluster_works")]),
    ("CPU throttling read as death", &[Mutation("a limit of processor")]),
];

#[test]
fn each_mistake_of_others_is_noticed_here() {
    let mut sources = String::new();
    for folder in
        ["statefulset/tests/deployment", "tests", "tests/cluster", "src/gateway/ops", "src/config/tests"]
    {
        for entry in fs::read_dir(repository().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|one| one == "rs") {
                sources += &fs::read_to_string(path).unwrap();
            }
        }
    }
    for (mistake, proofs) in PITFALLS {
        assert!(!proofs.is_empty(), "{mistake}");
        for proof in *proofs {
            let is_there = match proof {
                Mutation(what) => MUTATIONS
                    .iter()
                    .any(|one| one.what == *what && ALL.iter().any(|(check, _)| *check == one.check)),
                Test(name) => {
                    sources.contains(&format!("\nfn {name}() {{"))
                        || sources.contains(&format!("\nasync fn {name}() {{"))
                }
            };
            let (Mutation(name) | Test(name)) = proof;
            assert!(is_there, "{mistake}: there is no {name:?}");
        }
    }
}
