//! The health checks of Argo CD, run as Argo CD runs them.

use serde_json::{Value, json};

use crate::{gitops, schemas::python, support::objects::text};

fn health(kind: &str, objects: &[Value]) -> Option<Vec<Value>> {
    let all = gitops::objects();
    let settings = all.get("ConfigMap", "argocd-cm").unwrap();
    let script = text(&settings["data"][format!("resource.customizations.health.{kind}")]);
    assert!(!script.is_empty(), "no script for {kind}");
    let asked = json!({ "script": script, "objects": objects });
    let lines = python("health.py", &asked, "health checks in Lua")?;
    Some(lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Of `replicas`, with a partition: how many have the new revision, and how many are available.
fn set(replicas: u64, partition: u64, updated: u64, available: u64) -> Value {
    json!({
        "metadata": { "name": "playhouse", "generation": 4 },
        "spec": {
            "replicas": replicas,
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": partition } },
        },
        "status": { "observedGeneration": 4, "replicas": replicas, "updatedReplicas": updated, "availableReplicas": available },
    })
}

#[test]
fn a_partitioned_set_is_healthy_when_what_is_beyond_the_partition_is_new_and_all_is_available() {
    let rows = [
        (set(3, 0, 3, 3), "Healthy"),
        (set(3, 2, 1, 3), "Healthy"),
        (set(3, 3, 0, 3), "Healthy"),
        (set(3, 5, 0, 3), "Healthy"),
        (set(3, 0, 2, 3), "Progressing"),
        (set(3, 2, 0, 3), "Progressing"),
        (set(3, 2, 1, 2), "Progressing"),
        (set(5, 0, 3, 3), "Progressing"),
        (set(0, 0, 0, 0), "Healthy"),
    ];
    let objects: Vec<_> = rows.iter().map(|(object, _)| object.clone()).collect();
    let Some(found) = health("apps_StatefulSet", &objects) else { return };
    for ((object, wanted), found) in rows.iter().zip(&found) {
        assert_eq!(found["status"], *wanted, "{object}: {found}");
        assert!(!text(&found["message"]).is_empty());
    }
}

/// A controller that has not seen a change yet tells of the time before it.
#[test]
fn a_status_that_is_old_or_missing_is_not_health() {
    let mut old = set(3, 0, 3, 3);
    old["metadata"]["generation"] = json!(5);
    let mut new = set(3, 0, 3, 3);
    new.as_object_mut().unwrap().remove("status");
    let mut manual = set(3, 0, 0, 3);
    manual["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    let mut plain = set(1, 0, 1, 1);
    plain["spec"] = json!({});
    let Some(found) = health("apps_StatefulSet", &[old, new, manual, plain]) else { return };
    let statuses: Vec<_> = found.iter().map(|one| text(&one["status"])).collect();
    assert_eq!(statuses, ["Progressing", "Progressing", "Healthy", "Healthy"]);
}

/// Waves of applications wait for each other only by this.
#[test]
fn an_application_is_as_healthy_as_it_says() {
    let application = |status: Value| json!({ "metadata": { "name": "a" }, "status": status });
    let objects = [
        application(json!({ "health": { "status": "Healthy" } })),
        application(json!({ "health": { "status": "Degraded", "message": "a pod" } })),
        application(json!({})),
        json!({ "metadata": { "name": "a" } }),
    ];
    let Some(found) = health("argoproj.io_Application", &objects) else { return };
    let statuses: Vec<_> = found.iter().map(|one| text(&one["status"])).collect();
    assert_eq!(statuses, ["Healthy", "Degraded", "Progressing", "Progressing"]);
}
