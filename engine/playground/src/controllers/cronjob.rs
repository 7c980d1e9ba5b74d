//! CronJobs: a Job at each time that the schedule names.

use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::{Value, json};

use super::schedule::Schedule;
use super::{Again, Control, MANAGER, controlled_by, number, own, owner, pods, text};
use crate::api::refusal::Refusal;
use crate::api::store::Key;
use crate::api::{Deletion, Part, Propagation, Write};

/// Makes the Job that is due, forgets old ones, and writes the status.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let Ok(cron) = api.get(&api.built_in("CronJob"), &key.namespace, &key.name) else {
        return Ok(None);
    };
    if pods::is_going(&cron) {
        return Ok(None);
    }
    let uid = text(&cron, "/metadata/uid");
    let mut jobs: Vec<Arc<Value>> = api.list(&api.built_in("Job"), &key.namespace, &Default::default()).0;
    jobs.retain(|job| controlled_by(job, uid));
    let mut status = cron["status"].clone();
    let now = Timestamp::now();
    let next = match plan(&cron, now) {
        Some((due, _)) if cron["spec"]["suspend"] != true && due.is_some() => {
            let due = due.unwrap_or(now);
            if let Some(job) = run(control, &cron, key, &jobs, due)? {
                jobs.push(job);
            }
            status["lastScheduleTime"] = written(due).into();
            plan(&cron, now).map(|(_, next)| next)
        }
        Some((_, next)) if cron["spec"]["suspend"] != true => Some(next),
        _ => None,
    };
    forget(control, &cron, key, &jobs)?;
    write_status(control, &cron, key, &jobs, status)?;
    Ok(next.map(|next| Duration::from_secs_f64((next.as_second() - now.as_second()).max(1) as f64)))
}

fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The last time that is due and not yet served, and the next one to come. A schedule that names no time has neither.
fn plan(cron: &Value, now: Timestamp) -> Option<(Option<Timestamp>, Timestamp)> {
    let schedule = Schedule::parse(text(cron, "/spec/schedule"))?;
    let zone = match text(cron, "/spec/timeZone") {
        "" => TimeZone::UTC,
        name => TimeZone::get(name).ok()?,
    };
    let since = ["/status/lastScheduleTime", "/metadata/creationTimestamp"]
        .iter()
        .find_map(|pointer| text(cron, pointer).parse::<Timestamp>().ok())?;
    // Times that were missed for long are made up for by one Job: only the last day is looked at.
    let from = since.max(now.checked_sub(24.hours()).ok()?);
    let (mut due, mut next) = (None, schedule.after(from, &zone)?);
    while next <= now {
        due = Some(next);
        next = schedule.after(next, &zone)?;
    }
    Some((due, next))
}

fn is_finished(job: &Value) -> bool {
    let mut conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|c| matches!(c["type"].as_str(), Some("Complete" | "Failed")) && c["status"] == "True")
}

fn run(
    control: &Control,
    cron: &Arc<Value>,
    key: &Key,
    jobs: &[Arc<Value>],
    due: Timestamp,
) -> Result<Option<Arc<Value>>, Refusal> {
    let kind = control.api.built_in("Job");
    let active: Vec<&Arc<Value>> = jobs.iter().filter(|job| !is_finished(job)).collect();
    match text(cron, "/spec/concurrencyPolicy") {
        "Forbid" if !active.is_empty() => return Ok(None),
        "Replace" => {
            for job in active {
                delete(control, key, job)?;
            }
        }
        _ => {}
    }
    let template = &cron["spec"]["jobTemplate"];
    let mut metadata =
        json!({"name": format!("{}-{}", key.name, due.as_second() / 60), "ownerReferences": [owner(cron)]});
    for field in ["labels", "annotations"] {
        if let Some(value) = template["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    metadata["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] = written(due).into();
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]});
    match control.api.create(&kind, &key.namespace, job, &Write::by(MANAGER)) {
        Err(refusal) if refusal.reason == "AlreadyExists" => Ok(None),
        made => made.map(Some),
    }
}

fn delete(control: &Control, key: &Key, job: &Value) -> Result<(), Refusal> {
    let how = Deletion { propagation: Propagation::Background, ..Deletion::default() };
    let kind = control.api.built_in("Job");
    control.api.delete(&kind, &key.namespace, text(job, "/metadata/name"), &how).map(drop)
}

/// Deletes the oldest of the Jobs that ended well, and of those that did not, beyond their limits.
fn forget(control: &Control, cron: &Value, key: &Key, jobs: &[Arc<Value>]) -> Result<(), Refusal> {
    for (kind, limit) in [("Complete", "/spec/successfulJobsHistoryLimit"), ("Failed", "/spec/failedJobsHistoryLimit")]
    {
        let ended = |job: &&Arc<Value>| {
            let mut conditions = job["status"]["conditions"].as_array().into_iter().flatten();
            conditions.any(|c| c["type"] == kind && c["status"] == "True")
        };
        let mut all: Vec<&Arc<Value>> = jobs.iter().filter(ended).collect();
        all.sort_by_key(|job| text(job, "/status/startTime"));
        let keep = usize::try_from(number(cron, limit)).unwrap_or(0);
        for job in &all[..all.len().saturating_sub(keep)] {
            delete(control, key, job)?;
        }
    }
    Ok(())
}

fn write_status(
    control: &Control,
    cron: &Arc<Value>,
    key: &Key,
    jobs: &[Arc<Value>],
    mut status: Value,
) -> Result<(), Refusal> {
    let active: Vec<Value> = jobs
        .iter()
        .filter(|job| !is_finished(job))
        .map(|job| {
            let metadata = &job["metadata"];
            json!({"kind": "Job", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"],
                "apiVersion": "batch/v1", "resourceVersion": metadata["resourceVersion"]})
        })
        .collect();
    let before = cron["status"]["active"].as_array().cloned().unwrap_or_default();
    let same = |a: &Value, b: &Value| a["uid"] == b["uid"];
    let unchanged = before.len() == active.len() && before.iter().zip(&active).all(|(a, b)| same(a, b));
    if let Some(map) = status.as_object_mut() {
        match (active.is_empty(), unchanged) {
            (true, _) => {
                map.shift_remove("active");
            }
            (false, true) => {}
            (false, false) => {
                map.insert("active".into(), active.into());
            }
        }
    }
    let well = jobs.iter().filter_map(|job| job["status"]["completionTime"].as_str()).max();
    if let Some(time) = well {
        status["lastSuccessfulTime"] = time.into();
    }
    if cron["status"] != status {
        let mut new = own(cron);
        new["status"] = status;
        let kind = control.api.built_in("CronJob");
        control.api.update(&kind, &key.namespace, &key.name, Part::Status, new, &Write::by(MANAGER))?;
    }
    Ok(())
}
