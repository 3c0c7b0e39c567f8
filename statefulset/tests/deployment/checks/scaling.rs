//! What adds nodes, what copies them, and what has no place here.

use serde_json::{Value, json};

use super::unless;
use crate::support::objects::{Objects, id, list, text};

/// It adds nodes slowly, and never removes any, also not because more run than its maximum.
pub fn autoscaler(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for scaler in objects.of_kind("HorizontalPodAutoscaler") {
        let spec = &scaler["spec"];
        let target =
            objects.get(text(&spec["scaleTargetRef"]["kind"]), text(&spec["scaleTargetRef"]["name"]));
        let replicas = target.and_then(|target| target["spec"]["replicas"].as_u64());
        let (least, most) = (spec["minReplicas"].as_u64(), spec["maxReplicas"].as_u64());
        let runs = replicas.unwrap_or(3);
        let steps = list(&spec["behavior"]["scaleUp"]["policies"]);
        let is_slow =
            !steps.is_empty() && steps.iter().all(|step| step["type"] == "Pods" && step["value"] == 1);
        found.extend(
            [
                unless(target.is_some(), || format!("{} scales nothing that is here", id(scaler))),
                unless(spec["behavior"]["scaleDown"] == json!({ "selectPolicy": "Disabled" }), || {
                    format!("{} removes nodes", id(scaler))
                }),
                unless(is_slow, || format!("{} adds several nodes at once", id(scaler))),
                unless(least >= Some(3) && least <= Some(runs) && Some(runs) <= most, || {
                    format!("{} keeps {least:?} to {most:?} nodes of {replicas:?}", id(scaler))
                }),
            ]
            .into_iter()
            .flatten(),
        );
        let known = |metric: &Value| metric["type"] == "Resource" && metric["resource"]["name"] == "cpu";
        found.extend(unless(list(&spec["metrics"]).iter().all(known), || {
            format!("{} looks at what no node tells", id(scaler))
        }));
    }
    found
}

/// Backups go to a claim of their own, one at a time, are verified, and only then are old ones removed.
pub fn backup(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for job in objects.of_kind("CronJob") {
        let spec = &job["spec"];
        let pod = &spec["jobTemplate"]["spec"]["template"]["spec"];
        let volumes = list(&pod["volumes"]);
        let claim =
            |volume: &Value| text(&volume["persistentVolumeClaim"]["claimName"]) == "playhouse-backup";
        let step = |container: &Value| {
            list(&container["args"]).iter().take(2).map(text).collect::<Vec<_>>().join(" ")
        };
        let steps: Vec<_> =
            list(&pod["initContainers"]).iter().chain(list(&pod["containers"])).map(step).collect();
        found.extend(
            [
                unless(volumes.iter().any(claim), || format!("{} has no claim", id(job))),
                unless(volumes.iter().all(|one| one.get("emptyDir").is_none()), || {
                    format!("{} writes to what goes with it", id(job))
                }),
                unless(spec["concurrencyPolicy"] == "Forbid", || format!("{} runs twice at once", id(job))),
                unless(pod["restartPolicy"] == "Never", || {
                    format!("{} tries again under the same name", id(job))
                }),
                unless(steps == ["backup --to", "backup verify", "backup prune"], || {
                    format!("{} does {steps:?}", id(job))
                }),
                unless(spec["jobTemplate"]["spec"]["backoffLimit"] == 0, || {
                    format!("{} copies everything again when a later step fails", id(job))
                }),
                unless(spec["jobTemplate"]["spec"]["activeDeadlineSeconds"].is_u64(), || {
                    format!("{} may hang for ever", id(job))
                }),
            ]
            .into_iter()
            .flatten(),
        );
    }
    found
}

/// What does not exist, is gone, or cannot be meant.
pub fn foreign(objects: &Objects) -> Vec<String> {
    const KINDS: [&str; 9] = [
        "PodSecurityPolicy",
        "VerticalPodAutoscaler",
        "ClusterAutoscaler",
        "Rollout",
        "Canary",
        "Deployment",
        "Secret",
        "Endpoints",
        "Namespace",
    ];
    let mut found: Vec<_> = objects
        .0
        .iter()
        .filter(|one| KINDS.contains(&text(&one["kind"])))
        .map(|one| format!("{} has no place here", id(one)))
        .collect();
    // Dashboards have variables of their own.
    for object in objects.0.iter().filter(|one| one["kind"] != "ConfigMap") {
        let text = object.to_string();
        found.extend(unless(!text.contains("{{ .Values") && !text.contains("${"), || {
            format!("{} is a template", id(object))
        }));
    }
    found
}
