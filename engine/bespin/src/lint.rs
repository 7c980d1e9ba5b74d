//! `bespin lint` and `bespin plan`: what a pipeline file says, before anything runs.

use crate::plugins::PluginFiles;
use clap::Args;
use pipeline::declaration::{Declarations, Declared};
use pipeline::lock::{Pins, plugin_reference};
use pipeline::{Activity, ReadPipeline, RunPlan, Trigger, plan as decide_plan, read_with as read_pipeline, report};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The plugins by whose declarations steps are checked.
#[derive(Args)]
pub struct CheckedBy {
    /// A server's folder of plugins, `<name>.wasm`. Without it, those that come with this Bespin are known.
    #[arg(long, env = "BESPIN_PLUGINS", value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// A server's data folder, in which plugins of registries are kept.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

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
    #[command(flatten)]
    by: CheckedBy,
}

/// Checks files; everything that is wrong goes to the standard output.
///
/// # Errors
/// How many files have mistakes.
pub fn lint(files: &[PathBuf], by: &CheckedBy) -> Result<(), String> {
    let mut wrong = 0;
    for file in files {
        let read = read(file, by)?;
        print!("{}", report(&read.mistakes, &read.warnings));
        tell_unchecked(&read);
        if read.mistakes.is_empty() {
            println!("{}: no mistakes", file.display());
        } else {
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
    let read = read(&options.file, &options.by)?;
    tell_unchecked(&read);
    let Some(pipeline) = read.pipeline else {
        print!("{}", report(&read.mistakes, &read.warnings));
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

fn tell_unchecked(read: &ReadPipeline) {
    read.unchecked.iter().for_each(|unchecked| println!("note: {unchecked}"));
}

fn read(file: &Path, by: &CheckedBy) -> Result<ReadPipeline, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    by.are_folders()?;
    let lock = devkit::lock::beside(file)?;
    let (name, pins) = (file.display().to_string(), Pins::Known(&lock));
    let ReadPipeline { uses, .. } = read_pipeline(&name, &text, pins, &Declarations::NONE);
    Ok(read_pipeline(&name, &text, pins, &by.declarations(&uses)))
}

impl CheckedBy {
    /// What is named must be there: a wrong path would check by something else, and say nothing of it.
    fn are_folders(&self) -> Result<(), String> {
        for (option, folder) in [("--plugins", &self.plugins), ("--data", &self.data)] {
            if let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
                return Err(format!("{option}: {} is no folder", folder.display()));
            }
        }
        Ok(())
    }

    /// What is known of the plugins that steps use; of each, why it is not, where it is not.
    fn declarations(&self, uses: &BTreeSet<String>) -> Declarations {
        let fetched = self.data.as_ref().map(|data| data.join(crate::plugins::FETCHED));
        let files = PluginFiles { folder: self.plugins.clone(), fetched };
        let built_in = Declarations::built_in();
        let declared = |uses: &String| {
            let absent = || Declared::Unchecked { because: self.absent(uses) };
            let known = match files.declared(uses) {
                Ok(known) => known.or_else(|| built_in.of(uses).cloned()).unwrap_or_else(absent),
                Err(error) => Declared::Unchecked { because: format!("its file cannot be read: {error}") },
            };
            (uses.clone(), known)
        };
        uses.iter().map(declared).collect()
    }

    /// Why nothing is known of a plugin whose file is not here.
    fn absent(&self, uses: &str) -> String {
        match (plugin_reference(uses), &self.data, &self.plugins) {
            (Ok(_), None, _) => "name a data folder by `--data`, of a server that has run it".to_owned(),
            (Ok(_), Some(data), _) => format!("no server has kept it in {}", data.display()),
            (Err(_), _, None) => {
                "it does not come with Bespin; name a server's folder of plugins by `--plugins`".to_owned()
            }
            (Err(_), _, Some(folder)) => format!("it does not come with Bespin, and is not in {}", folder.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_checked_is_said_with_what_to_do() {
        let by = CheckedBy { plugins: None, data: None };
        let pinned = format!("ghcr.io/acme/lint@sha256:{}", "b".repeat(64));
        let uses = BTreeSet::from(["push".to_owned(), "talk".to_owned(), pinned.clone()]);
        let declarations = by.declarations(&uses);
        assert!(declarations.of("push").unwrap().known().is_some(), "what comes with Bespin is known without a folder");
        for (uses, help) in [("talk", "`--plugins`"), (&pinned, "`--data`")] {
            let Some(Declared::Unchecked { because }) = declarations.of(uses) else { panic!("{uses} is known") };
            assert!(because.contains(help), "{because}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, "name: a\non: push\nsteps:\n  - uses: sync\n    with: { application: a }\n").unwrap();
        let by = |plugins: &str| CheckedBy { plugins: Some(dir.path().join(plugins)), data: None };
        let refused = read(&file, &by("nowhere")).err().unwrap();
        assert!(refused.starts_with("--plugins: ") && refused.ends_with("nowhere is no folder"), "{refused}");
        assert!(read(&file, &by(".")).is_ok());
    }

    #[test]
    fn a_folder_of_plugins_counts_more_than_what_comes_with_bespin() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("push.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
        let by = CheckedBy { plugins: Some(dir.path().to_owned()), data: None };
        let declarations = by.declarations(&BTreeSet::from(["push".to_owned()]));
        let unchecked = Declared::Unchecked { because: "it declares none".to_owned() };
        assert_eq!(declarations.of("push"), Some(&unchecked), "an older push is not checked by a newer one's settings");
    }
}
