//! `bespin lint` and `bespin plan`: what a pipeline file says, before anything runs.

use clap::Args;
use pipeline::lock::Pins;
use pipeline::{
    Activity, ReadPipeline, RunPlan, Trigger, lint as render, plan as decide_plan, read_with as read_pipeline,
};
use std::path::{Path, PathBuf};

/// What `bespin plan` is asked about.
#[derive(Args)]
pub struct PlanOptions {
    /// The pipeline file, such as `.bespin/was.yaml`.
    file: PathBuf,
    /// The branch that is pushed.
    #[arg(long, default_value = "main", conflicts_with_all = ["tag", "manual", "pull_request"])]
    branch: String,
    /// A path that the push or the pull request changes; may be given several times. Without it, any may have changed.
    #[arg(long = "changed", value_name = "PATH")]
    changed: Vec<String>,
    /// A tag that is pushed instead.
    #[arg(long, conflicts_with_all = ["manual", "pull_request"])]
    tag: Option<String>,
    /// A pull request to this branch is opened instead.
    #[arg(long, value_name = "BASE", conflicts_with = "manual")]
    pull_request: Option<String>,
    /// A person starts it instead.
    #[arg(long)]
    manual: bool,
}

/// Checks files; everything that is wrong goes to the standard output.
///
/// # Errors
/// How many files have mistakes.
pub fn lint(files: &[PathBuf]) -> Result<(), String> {
    let mut wrong = 0;
    for file in files {
        let read = read(file)?;
        print!("{}", render(&read.warnings));
        if read.mistakes.is_empty() {
            println!("{}: no mistakes", file.display());
        } else {
            print!("{}", render(&read.mistakes));
            wrong += 1;
        }
    }
    if wrong == 0 { Ok(()) } else { Err(format!("{wrong} of {} files cannot be used", files.len())) }
}

/// Shows what an event would start.
///
/// # Errors
/// The file cannot be read, or has mistakes.
pub fn plan(options: &PlanOptions) -> Result<(), String> {
    let read = read(&options.file)?;
    let Some(pipeline) = read.pipeline else {
        print!("{}", render(&read.mistakes));
        return Err(format!("{} cannot be used", options.file.display()));
    };
    let changed = (!options.changed.is_empty()).then(|| options.changed.clone());
    let cause = match (&options.tag, &options.pull_request) {
        (Some(tag), _) => Trigger::Tag(tag.clone()),
        (None, Some(base)) => Trigger::PullRequest { base: base.clone(), activity: Activity::Opened, changed },
        (None, None) if options.manual => Trigger::Manual,
        (None, None) => Trigger::Push { branch: options.branch.clone(), changed },
    };
    match decide_plan(&pipeline, &cause) {
        RunPlan::Rests { because } => println!("{} does not run: {because}", pipeline.name),
        RunPlan::Runs { because, rows, beside } => {
            println!("{} runs: {because}", pipeline.name);
            beside.iter().for_each(|beside| println!("{beside}"));
            let width = rows.iter().map(|row| row.id.len()).fold(12, usize::max);
            for row in rows {
                println!("  {:<width$} {:<10} {}; {}; {}", row.id, row.uses, row.when, row.limits, row.grants);
            }
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<ReadPipeline, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let lock = devkit::lock::beside(file)?;
    Ok(read_pipeline(&file.display().to_string(), &text, Pins::Known(&lock)))
}
