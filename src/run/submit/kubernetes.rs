//! A Kubernetes indexed job: one pod per task, the store on a claimed volume, a pod that was evicted is made again.

use serde_json::json;

use super::Submission;

/// Seconds that a pod has for saving before it is killed.
const GRACE: u32 = 120;
/// How often a pod may end and be made again; a saved run is no failure, but Kubernetes counts its end.
const RETRIES: u32 = 100;

/// The manifest, in JSON, which is YAML.
pub fn manifest(submission: &Submission) -> String {
    let memory = format!("{}Mi", submission.memory.div_ceil(1 << 20));
    let requests = json!({"cpu": submission.cores, "memory": memory});
    let mut limits = json!({"cpu": submission.cores});
    if submission.gpus > 0 {
        limits["nvidia.com/gpu"] = submission.gpus.into();
    }
    // Kubernetes expands $(NAME) in commands, and reads $$ as $.
    let script = format!("{}exec {}", submission.version_guard(), submission.command()).replace('$', "$$");
    let container = json!({
        "name": "zoo",
        "image": submission.image,
        "command": ["sh", "-c", script],
        "resources": {"requests": requests, "limits": limits},
        "volumeMounts": [{"name": "store", "mountPath": submission.store}],
    });
    let pod = json!({
        "restartPolicy": "OnFailure",
        "terminationGracePeriodSeconds": GRACE,
        "containers": [container],
        "volumes": [{"name": "store", "persistentVolumeClaim": {"claimName": submission.volume}}],
    });
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": submission.name()},
        "spec": {
            "completionMode": "Indexed",
            "completions": submission.tasks,
            "parallelism": submission.at_once.unwrap_or(submission.tasks),
            "backoffLimit": RETRIES,
            "template": {"spec": pod},
        },
    });
    format!("{job:#}\n")
}
