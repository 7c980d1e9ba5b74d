//! Jobs: pods that end, until enough of them have done so well.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Again, Control, MANAGER, Stamp, number, own, pods, set_condition, text};
use crate::api::refusal::Refusal;
use crate::api::store::Key;
use crate::api::{Deletion, Part, Propagation, Write, clock};

/// The pods of a Job by how they fare.
struct Fared {
    active: Vec<Arc<Value>>,
    succeeded: i64,
    failed: i64,
    going: i64,
}

/// Makes the pods that are still wanted, and writes the status.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let Ok(job) = api.get(&api.built_in("Job"), &key.namespace, &key.name) else {
        return Ok(None);
    };
    if pods::is_going(&job) {
        return Ok(None);
    }
    if is_finished(&job) {
        return end(control, &job, key);
    }
    let all = pods::of(control, &job, &key.namespace)?;
    let count = |phase: &str| all.iter().filter(|pod| text(pod, "/status/phase") == phase).count() as i64;
    let going = all.iter().filter(|pod| pods::is_going(pod) && !pods::is_over(pod)).count() as i64;
    let (succeeded, failed) = (count("Succeeded"), count("Failed"));
    let active = all.into_iter().filter(|pod| !pods::is_going(pod) && !pods::is_over(pod)).collect();
    let mut fared = Fared { active, succeeded, failed, going };
    let suspended = job["spec"]["suspend"] == true;
    let wanted = match job["spec"]["completions"].as_i64() {
        // Without a number, the first pod that ends well ends the Job.
        None => i64::from(fared.succeeded == 0) * number(&job, "/spec/parallelism"),
        Some(all) => (all - fared.succeeded).min(number(&job, "/spec/parallelism")),
    };
    let verdict = verdict(&job, &fared);
    let wanted = if suspended || verdict.is_some() { 0 } else { usize::try_from(wanted).unwrap_or(0) };
    for pod in fared.active.drain(wanted.min(fared.active.len())..).collect::<Vec<_>>() {
        pods::delete(control, &pod)?;
        fared.going += 1;
    }
    while fared.active.len() < wanted {
        let mut pod = pods::made_by(&job, &job["spec"]["template"]);
        if job["spec"]["completionMode"] == "Indexed" {
            index(&job, &mut pod, &fared)?;
        }
        fared.active.push(api.create(&api.built_in("Pod"), &key.namespace, pod, &Write::by(MANAGER))?);
    }
    write_status(control, &job, key, &fared, verdict)
}

fn is_finished(job: &Value) -> bool {
    let mut conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|c| matches!(c["type"].as_str(), Some("Complete" | "Failed")) && c["status"] == "True")
}

/// Whether a Job is over: the type that announces it, the final one, the reason and the sentence.
type Verdict = (&'static str, &'static str, &'static str, &'static str);

fn verdict(job: &Value, fared: &Fared) -> Option<Verdict> {
    let started = clock::seconds_since(text(job, "/status/startTime")).unwrap_or(0.0);
    let deadline = job["spec"]["activeDeadlineSeconds"].as_i64();
    if fared.failed > number(job, "/spec/backoffLimit") {
        return Some((
            "FailureTarget",
            "Failed",
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        ));
    }
    if deadline.is_some_and(|deadline| started >= deadline as f64) {
        return Some(("FailureTarget", "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"));
    }
    let enough = match job["spec"]["completions"].as_i64() {
        None => fared.succeeded > 0 && fared.active.is_empty(),
        Some(all) => fared.succeeded >= all,
    };
    let reached = "Reached expected number of succeeded pods";
    enough.then_some(("SuccessCriteriaMet", "Complete", "CompletionsReached", reached))
}

/// Gives a pod of an indexed Job the lowest index that no other has.
fn index(job: &Value, pod: &mut Value, fared: &Fared) -> Result<(), Refusal> {
    const INDEX: &str = "batch.kubernetes.io/job-completion-index";
    let taken: Vec<&str> = fared
        .active
        .iter()
        .map(|pod| text(&pod["metadata"]["annotations"], "/batch.kubernetes.io~1job-completion-index"))
        .collect();
    let from = fared.succeeded;
    let free = (from..).map(|n| n.to_string()).find(|n| !taken.contains(&n.as_str())).unwrap_or_default();
    pod["metadata"]["annotations"][INDEX] = free.as_str().into();
    pod["metadata"]["labels"][INDEX] = free.as_str().into();
    pod["metadata"]["generateName"] = format!("{}-{free}-", text(job, "/metadata/name")).into();
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        let mut env = container["env"].as_array().cloned().unwrap_or_default();
        env.push(json!({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef":
            {"apiVersion": "v1", "fieldPath": format!("metadata.labels['{INDEX}']")}}}));
        container["env"] = env.into();
    }
    Ok(())
}

fn write_status(
    control: &Control,
    job: &Arc<Value>,
    key: &Key,
    fared: &Fared,
    verdict: Option<Verdict>,
) -> Result<Again, Refusal> {
    let now = clock::now();
    let suspended = job["spec"]["suspend"] == true;
    let mut conditions = job["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let was_suspended = conditions.iter().any(|c| c["type"] == "Suspended" && c["status"] == "True");
    if suspended {
        condition(&mut conditions, "Suspended", true, "JobSuspended", "Job suspended");
    } else if was_suspended {
        condition(&mut conditions, "Suspended", false, "JobResumed", "Job resumed");
    }
    if let Some((first, last, reason, message)) = verdict {
        condition(&mut conditions, first, true, reason, message);
        condition(&mut conditions, last, true, reason, message);
    }
    let mut status = json!({});
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    if !suspended {
        let kept = job["status"]["startTime"].as_str().filter(|_| !was_suspended);
        status["startTime"] = kept.unwrap_or(&now).into();
    }
    if verdict.is_some_and(|(_, last, ..)| last == "Complete") {
        status["completionTime"] = now.as_str().into();
    }
    let active = i64::try_from(fared.active.len()).unwrap_or(i64::MAX);
    for (field, count) in [("active", active), ("succeeded", fared.succeeded), ("failed", fared.failed)] {
        if count > 0 {
            status[field] = count.into();
        }
    }
    if job["spec"]["completionMode"] == "Indexed" && fared.succeeded > 0 {
        let last = fared.succeeded - 1;
        status["completedIndexes"] = if last == 0 { "0".into() } else { format!("0-{last}").into() };
    }
    status["terminating"] = fared.going.into();
    status["uncountedTerminatedPods"] = json!({});
    status["ready"] = fared.active.iter().filter(|pod| pods::ready(pod).is_some()).count().into();
    if job["status"] != status {
        let mut new = own(job);
        new["status"] = status;
        let kind = control.api.built_in("Job");
        control.api.update(&kind, &key.namespace, &key.name, Part::Status, new, &Write::by(MANAGER))?;
    }
    let deadline = job["spec"]["activeDeadlineSeconds"].as_u64().filter(|_| !suspended && verdict.is_none());
    Ok(deadline.map(Duration::from_secs))
}

fn condition(conditions: &mut Vec<Value>, kind: &str, status: bool, reason: &str, message: &str) {
    let before = conditions.clone();
    set_condition(conditions, kind, status, reason, message, Stamp::Transitions);
    if let Some(fresh) = conditions.iter_mut().find(|c| c["type"] == kind && !before.contains(c)) {
        fresh["lastProbeTime"] = clock::now().into();
    }
}

/// Takes away what still runs of a finished Job, and the Job itself once its time is over.
fn end(control: &Control, job: &Arc<Value>, key: &Key) -> Result<Again, Refusal> {
    for pod in pods::of(control, job, &key.namespace)?.iter().filter(|pod| !pods::is_over(pod) && !pods::is_going(pod))
    {
        pods::delete(control, pod)?;
    }
    let Some(seconds) = job["spec"]["ttlSecondsAfterFinished"].as_f64() else {
        return Ok(None);
    };
    let ended = job["status"]["conditions"]
        .as_array()
        .and_then(|all| all.last())
        .map_or("", |c| text(c, "/lastTransitionTime"));
    let left = seconds - clock::seconds_since(ended).unwrap_or(0.0);
    if left > 0.0 {
        return Ok(Some(Duration::from_secs_f64(left)));
    }
    let how = Deletion { propagation: Propagation::Background, ..Deletion::default() };
    control.api.delete(&control.api.built_in("Job"), &key.namespace, &key.name, &how)?;
    Ok(None)
}
