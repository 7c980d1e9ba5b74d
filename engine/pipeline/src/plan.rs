//! What would run, and why, told before anything does.

use crate::{Activity, Concurrency, Grants, Pipeline, PullRequest, Push, Step, Supersede, duration, glob};
use std::fmt;

/// Something that may start a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A push to a branch.
    Push {
        /// The branch, such as `main`.
        branch: String,
        /// The changed paths; `None` where they are not known, so that any may have changed.
        changed: Option<Vec<String>>,
    },
    /// A push of a tag, such as `v1`.
    Tag(String),
    /// A pull request was opened or changed.
    PullRequest {
        /// The branch that it asks to change, such as `main`.
        base: String,
        /// What happened to it.
        activity: Activity,
        /// The paths that it changes; `None` where they are not known, so that any may be.
        changed: Option<Vec<String>>,
    },
    /// A person asked for it.
    Manual,
}

/// What an event would do with one pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunPlan {
    /// A run would be opened.
    Runs {
        /// Why, as a sentence.
        because: String,
        /// Its steps, in the file's order.
        rows: Vec<PlannedStep>,
        /// What it does to other runs.
        beside: Option<String>,
    },
    /// No run would be opened.
    Rests {
        /// Why, as a sentence.
        because: String,
    },
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// The step's id, unique in the file.
    pub id: String,
    /// The plugin, as `uses:` names it.
    pub uses: String,
    /// When it starts, and on what condition.
    pub when: String,
    /// How long it may take and how often it is tried.
    pub limits: String,
    /// What it asks permission for.
    pub grants: String,
}

impl Push {
    /// Whether a push counts. `changed` are the paths that it changed; none at
    /// all, as with a branch made at an old commit, count where no paths are asked.
    pub fn matches(&self, branch: &str, changed: &[String]) -> bool {
        self.refuse(branch, Some(changed)).is_none()
    }

    /// Why a push does not count, if it does not.
    pub fn refuse(&self, branch: &str, changed: Option<&[String]>) -> Option<String> {
        refuse(&self.branches, &self.paths, branch, changed)
    }
}

impl PullRequest {
    /// Why a pull request does not count, if it does not.
    pub fn refuse(&self, base: &str, activity: Activity, changed: Option<&[String]>) -> Option<String> {
        let types = if self.types.is_empty() { Activity::USUAL.as_slice() } else { &self.types };
        if !types.contains(&activity) {
            let types: Vec<_> = types.iter().map(|activity| activity.word().to_owned()).collect();
            return Some(format!("`{}` is not among {}", activity.word(), list(&types)));
        }
        refuse(&self.branches, &self.paths, base, changed)
    }
}

fn refuse(branches: &[String], paths: &[String], branch: &str, changed: Option<&[String]>) -> Option<String> {
    if !glob::takes(branches, branch) {
        return Some(format!("the branch `{branch}` is not among {}", list(branches)));
    }
    match changed {
        Some(changed) if !paths.is_empty() && !changed.iter().any(|path| glob::takes(paths, path)) => {
            Some(format!("nothing changed in {}", list(paths)))
        }
        _ => None,
    }
}

/// Plans a pipeline for a cause.
pub fn plan(pipeline: &Pipeline, cause: &Trigger) -> RunPlan {
    match verdict(pipeline, cause) {
        Err(because) => RunPlan::Rests { because },
        Ok(because) => {
            let body = pipeline.steps.iter().map(|step| row(step, "at once"));
            let tail = pipeline.finally.iter().map(|step| row(step, "at the end, whatever happened"));
            RunPlan::Runs { because, rows: body.chain(tail).collect(), beside: beside(pipeline, cause) }
        }
    }
}

fn verdict(pipeline: &Pipeline, cause: &Trigger) -> Result<String, String> {
    let on = &pipeline.on;
    match cause {
        Trigger::Push { branch, changed } => {
            let push = on.push.as_ref().ok_or("it does not start on pushes to branches")?;
            let fits = || format!("the branch `{branch}` counts{}", where_asked(&push.paths, changed.as_deref()));
            push.refuse(branch, changed.as_deref()).map_or_else(|| Ok(fits()), Err)
        }
        Trigger::Tag(name) => {
            let tag = on.tag.as_ref().ok_or("it does not start on tags")?;
            match glob::takes(&tag.tags, name) {
                true => Ok(format!("the tag `{name}` counts")),
                false => Err(format!("the tag `{name}` is not among {}", list(&tag.tags))),
            }
        }
        Trigger::PullRequest { base, activity, changed } => {
            let asked = on.pull_request.as_ref().ok_or("it does not start on pull requests")?;
            let paths = || where_asked(&asked.paths, changed.as_deref());
            let fits = || format!("a pull request to the branch `{base}` counts{}", paths());
            asked.refuse(base, *activity, changed.as_deref()).map_or_else(|| Ok(fits()), Err)
        }
        Trigger::Manual if on.manual.is_some() => Ok("a person may start it".into()),
        Trigger::Manual => Err("it does not start by hand; `on` has no `manual`".into()),
    }
}

fn where_asked(paths: &[String], changed: Option<&[String]>) -> String {
    match changed {
        _ if paths.is_empty() => String::new(),
        None => format!(", if something changed in {}", list(paths)),
        Some(changed) => {
            let first = changed.iter().find(|path| glob::takes(paths, path));
            first.map(|path| format!(", and `{path}` changed")).unwrap_or_default()
        }
    }
}

fn beside(pipeline: &Pipeline, cause: &Trigger) -> Option<String> {
    let (supersede, group) = match (cause, &pipeline.concurrency) {
        (Trigger::PullRequest { .. }, own) => {
            (Concurrency::of_pull_request(own.as_ref(), "", "").supersede, "the same pull request".to_owned())
        }
        (_, Some(own)) => (own.supersede, format!("the group `{}`", own.group)),
        (_, None) => return None,
    };
    let does = match supersede {
        Supersede::Never => "waits for the older runs of",
        Supersede::UntilBump => "takes the place of older runs that have not bumped yet in",
        Supersede::Always => "takes the place of the older runs of",
    };
    Some(format!("it {does} {group}"))
}

fn row(step: &Step, first: &str) -> PlannedStep {
    let mut when = match step.needs.as_slice() {
        [] => first.to_owned(),
        needs => format!("after {}", needs.join(", ")),
    };
    if let Some(condition) = &step.condition {
        when.push_str(&format!(", if {condition}"));
    }
    if let Some(approval) = &step.approval {
        when.push_str(&format!(", once {} approved it", approval.who()));
    }
    let tries = match step.retry {
        0 => String::new(),
        1 => ", tried again once".to_owned(),
        n => format!(", tried again {n} times"),
    };
    let limits = format!("at most {}{tries}", duration::show(step.timeout_ms));
    PlannedStep { id: step.id.clone(), uses: step.uses.clone(), when, limits, grants: asked(&step.grants) }
}

fn asked(grants: &Grants) -> String {
    let each: Vec<String> =
        grants.0.iter().map(|(ability, values)| format!("{ability}: {}", values.join(", "))).collect();
    if each.is_empty() { "nothing".into() } else { each.join("; ") }
}

fn list(patterns: &[String]) -> String {
    patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for RunPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunPlan::Rests { because } => writeln!(f, "does not run: {because}"),
            RunPlan::Runs { because, rows, beside } => {
                writeln!(f, "runs: {because}")?;
                if let Some(beside) = beside {
                    writeln!(f, "beside others: {beside}")?;
                }
                let width = |column: fn(&PlannedStep) -> &str| {
                    rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0)
                };
                let (ids, uses) = (width(|row| &row.id), width(|row| &row.uses));
                for (n, row) in rows.iter().enumerate() {
                    writeln!(f, "{:>3}  {:ids$}  {:uses$}  {}; {}", n + 1, row.id, row.uses, row.when, row.limits)?;
                    writeln!(f, "     {:ids$}  {:uses$}  asks permission for {}", "", "", row.grants)?;
                }
                Ok(())
            }
        }
    }
}
