//! A manifests repository of a few lines: branches that take a commit only on
//! top of the parent that it names, and a forge that takes one pull request
//! for each branch.

use super::super::*;
use super::world::World;
use crate::annotations::{ON_ABORT, OWNER};
use crate::bump::{IMAGE_TRAILER, Past, RUN_TRAILER};
use crate::next::Timestamp;
use crate::revert::{self, Aside, Branch, Folder, Request};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const FILE: &str = "petclinic/was-rollout.yaml";

#[derive(Clone, PartialEq)]
pub(super) struct Commit {
    pub id: String,
    pub text: String,
    pub message: String,
}

#[derive(Clone, PartialEq)]
pub(super) struct Git {
    pub branches: BTreeMap<String, Vec<Commit>>,
    pub requests: Vec<String>,
    pub has_api: bool,
    pub application: Value,
}

fn manifest(image: &str) -> String {
    format!(
        "# The tier.\nkind: Rollout\nspec:\n  template:\n    spec:\n      containers:\n      - image: \"{image}\"  # ours\n"
    )
}

impl Git {
    pub(super) fn new(on_abort: Option<&str>) -> Git {
        let mut application = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": { "name": "petclinic", "namespace": "argocd", "annotations": { OWNER: "bespin" } },
            "spec": { "source": { "repoURL": "http://git/k8s-manifests.git", "path": "petclinic" },
                "destination": { "server": "https://kubernetes.default.svc", "namespace": "petclinic" } } });
        if let Some(word) = on_abort {
            application["metadata"]["annotations"][ON_ABORT] = json!(word);
        }
        Git { branches: BTreeMap::new(), requests: Vec::new(), has_api: true, application }
    }

    /// A commit on `main`, as a bump of this run makes it.
    pub(super) fn bump(&mut self, image: &str, run: u64) {
        let message = format!("Bump\n\n{RUN_TRAILER}: user/petclinic/was/{run}\n{IMAGE_TRAILER}: {image}\n");
        self.commit("main", None, manifest(image), message);
    }

    fn commit(&mut self, branch: &str, parent: Option<&str>, text: String, message: String) {
        let serial: usize = self.branches.values().map(Vec::len).sum();
        let history = parent.and_then(|parent| self.history(parent));
        let now = self.branches.entry(branch.to_owned()).or_default();
        match (parent, now.last()) {
            // The compare-and-swap: only what is on top of the branch lands.
            (Some(parent), Some(last)) if last.id != parent => return,
            (Some(_), None) => *now = history.unwrap_or_default(),
            _ => {}
        }
        now.push(Commit { id: format!("c{serial}"), text, message });
    }

    fn history(&self, id: &str) -> Option<Vec<Commit>> {
        let commits = self.branches.values().find(|commits| commits.iter().any(|commit| commit.id == id))?;
        let until = commits.iter().position(|commit| commit.id == id)?;
        Some(commits[..=until].to_vec())
    }

    /// The text of a branch.
    pub(super) fn text(&self, branch: &str) -> &str {
        self.branches.get(branch).and_then(|commits| commits.last()).map_or("", |commit| commit.text.as_str())
    }

    /// The image that `main` names.
    pub(super) fn image(&self) -> Option<String> {
        self.text("main").split('"').nth(1).map(str::to_owned)
    }

    /// The branches beside `main`, each with how many commits it has beyond it.
    pub(super) fn aside(&self) -> Vec<(String, usize)> {
        let main = self.branches.get("main").map_or(0, Vec::len);
        let aside = self.branches.iter().filter(|(name, _)| *name != "main");
        aside.map(|(name, commits)| (name.clone(), commits.len() - main)).collect()
    }

    fn observe(&self, intent: &revert::Intent) -> revert::Observed {
        let commits = &self.branches["main"];
        let file = |text: &str| Ok(Folder::new(intent, [(FILE.to_owned(), text.as_bytes().to_vec())]));
        let past = |commit: &Commit| {
            let value = |name: &str| commit.message.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            Some(Past {
                commit: commit.id.clone(),
                run: value(RUN_TRAILER)?.to_owned(),
                image: value(IMAGE_TRAILER)?.to_owned(),
            })
        };
        let aside = intent.aside();
        let last = self.branches.get(&aside).and_then(|commits| commits.last());
        let merged = last.is_some_and(|last| commits.iter().any(|commit| commit.id == last.id));
        let branch = Branch {
            name: "main".into(),
            head: commits.last().expect("main has a commit").id.clone(),
            files: file(self.text("main")),
            bumps: commits.iter().rev().filter_map(past).collect(),
            aside: match last.filter(|_| !merged) {
                Some(last) => Aside::There { files: file(&last.text) },
                None => Aside::Absent,
            },
            request: match (self.has_api, self.requests.contains(&aside)) {
                (false, _) => Request::NoApi,
                (true, false) => Request::Absent,
                (true, true) => Request::Open { url: format!("http://git/pulls/{aside}") },
            },
            refused: None,
        };
        revert::Observed::Branch(Box::new(branch))
    }
}

impl World {
    /// The seed's world, its Rollout brought by an Application.
    pub(super) fn with_git(on_abort: Option<&str>) -> World {
        let mut world = World::seed();
        world.rollout["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
            json!("petclinic:argoproj.io/Rollout:petclinic/was");
        world.git = Some(Git::new(on_abort));
        world
    }

    /// A bump of this run, and the sync after it.
    pub(super) fn ship(&mut self, image: &str, run: u64) {
        if let Some(git) = &mut self.git {
            git.bump(image, run);
        }
        self.deploy(image);
    }

    /// What an Application's canary looks for after an abort.
    pub(super) fn applications(&self) -> Option<Result<Vec<Value>, String>> {
        let git = self.git.as_ref()?;
        let state = self.state();
        let asks = state.is_aborted() && state.undoing().is_none();
        asks.then(|| Ok(vec![git.application.clone()]))
    }

    /// The newest revert's stream, by the moment of its promise.
    pub(super) fn revert(&self) -> (Timestamp, Vec<revert::Entry>) {
        let (since, entries) = self.reverts.last_key_value().expect("one was asked");
        (*since, entries.clone())
    }

    /// How the newest revert has ended, once it has.
    pub(super) fn answered(&self) -> Option<revert::Outcome> {
        revert::State::replay(self.reverts.values().next_back()?).outcome
    }

    /// What the rollout sees of the revert that it waits for.
    pub(super) fn revert_state(&self) -> revert::State {
        let since = self.state().promised().map(|undo| undo.since);
        since.and_then(|since| self.reverts.get(&since)).map(revert::State::replay).unwrap_or_default()
    }

    /// What becomes of an act about a revert: an entry in its stream, and a driver.
    pub(super) fn tell_revert(&mut self, act: &Act) {
        let (since, entries) = match act {
            Act::AskRevert { since, intent } => {
                let asked = revert::Entry::Asked { intent: intent.clone() };
                (*since, if self.reverts.contains_key(since) { Vec::new() } else { vec![asked] })
            }
            Act::WithdrawRevert { since, intent, cause } => {
                let state = self.reverts.get(since).map(revert::State::replay).unwrap_or_default();
                (*since, state.withdraw(intent, cause))
            }
            other => panic!("{other:?}"),
        };
        self.reverts.entry(since).or_default().extend(entries);
        self.driven.insert(since);
    }

    /// One turn of a revert's driver, and then the sync; whether anything happened.
    pub(super) fn git_turn(&mut self) -> bool {
        let Some(git) = self.git.clone() else { return false };
        let recorded = |since: &Timestamp| (*since, revert::State::replay(&self.reverts[since]));
        let open = self.driven.iter().map(recorded).find(|(_, state)| state.open().is_some());
        let Some((since, state)) = open else { return self.sync() };
        let observed = match state.looked_for() {
            Some(_) if self.is_away => return self.sync(),
            Some(intent) => git.observe(intent),
            None => revert::Observed::Nothing,
        };
        let next = revert::decide(&state, &observed, self.now);
        for entry in next.record {
            // What cannot be read again is lost in a restart.
            let text = serde_json::to_string(&entry).unwrap();
            self.reverts.get_mut(&since).unwrap().push(serde_json::from_str(&text).unwrap());
        }
        self.turns += 1;
        self.acts.push(next.acts.len());
        for (index, act) in next.acts.iter().enumerate() {
            if self.dies == Some((self.turns, index)) {
                self.driven.clear();
                return true;
            }
            for _ in 0..if self.stutters { 2 } else { 1 } {
                self.git_act(act);
            }
        }
        self.sync();
        true
    }

    fn git_act(&mut self, act: &revert::Act) {
        let git = self.git.as_mut().expect("there is a repository");
        match act {
            revert::Act::Commit { branch, parent, files, message } => {
                assert_eq!(files.len(), 1, "one file names the image");
                git.commit(branch, Some(parent), files[0].1.clone(), message.clone());
            }
            revert::Act::Request { head, .. } => {
                if !git.requests.contains(head) {
                    git.requests.push(head.clone());
                }
            }
            // The rollout's driver is always there.
            revert::Act::Notify => {}
        }
    }

    /// The sync brings what `main` names.
    fn sync(&mut self) -> bool {
        let Some(image) = self.git.as_ref().and_then(Git::image) else { return false };
        let now = &self.rollout["spec"]["template"]["spec"]["containers"][0]["image"];
        if now.as_str() == Some(image.as_str()) {
            return false;
        }
        self.deploy(&image);
        true
    }
}
