//! The server is away while people push: to branches, new and old, and tags, and while they delete some. It comes back,
//! and every push is built, or its delivery says why not; what the forge tells of it afterwards adds nothing.

use playground::git::{Push, deliver};
use playground::sample::APPLICATION;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use world::estate::{Estate, HOOK_SECRET, Kind, PATIENCE, declare};
use world::missing;
use world::process::{eventually, output};

/// A pipeline for every branch and tag; its step waits for a person.
const PIPELINE: &str = "name: every
on: { push: {}, tag: {} }
concurrency: { group: 'every-${{ ref.name }}', supersede: always }
steps: [{ id: gate, uses: approve, approval: 'Deploy?' }]
";

#[tokio::test(flavor = "multi_thread")]
async fn loses_no_push() {
    let mut world = World { estate: Estate::undeclared(Kind::Embedded, "1s").await };
    let pipeline = world.estate.push(&[(".bespin/every.yaml", PIPELINE.to_owned())], "The pipeline").await;
    world.has_run("refs/heads/main", &pipeline.after).await;
    let old = world.commit("old", "old", "Soon gone").await;
    let quiet = world.commit("quiet", "quiet", "Words").await;
    world.told("old", "refs/heads/old", &old).await;
    world.told("quiet", "refs/heads/quiet", &quiet).await;
    for (branch, commit) in [("old", &old), ("quiet", &quiet)] {
        world.has_run(&format!("refs/heads/{branch}"), &commit.1).await;
    }
    // A look that has seen all of it.
    world.estate.restart(&[]).await;
    world.seen("refs/heads/quiet", &quiet.1).await;

    world.estate.bespin.process().kill();
    let mut main = Vec::new();
    for n in 0..3 {
        main.push(world.commit("main", &format!("notes-{n}"), &format!("Words {n}")).await);
    }
    let feature = world.commit("feature", "feature", "A feature").await;
    let silent = world.commit("quiet", "quiet", "More words [skip ci]").await;
    world.git(&["update-ref", "refs/tags/v1", &main[0].1]);
    world.git(&["update-ref", "-d", "refs/heads/old"]);
    world.estate.restart(&[]).await;

    let last = main[2].1.clone();
    world.has_run("refs/heads/main", &last).await;
    world.has_run("refs/heads/feature", &feature.1).await;
    world.has_run("refs/tags/v1", &main[0].1).await;
    let because = world.ended_with("refs/heads/quiet", &silent.1).await;
    assert!(because.contains("says `[skip ci]`"), "{because}");
    world.seen("refs/heads/old", &"0".repeat(40)).await;
    let opened = world.runs();

    // The forge tells of it after all, in any order.
    for (n, at) in [2, 0, 1].into_iter().enumerate() {
        world.told(&format!("late-{n}"), "refs/heads/main", &main[at]).await;
    }
    world.told("late-tag", "refs/tags/v1", &("0".repeat(40), main[0].1.clone())).await;
    for late in ["late-0", "late-tag"] {
        assert_eq!(world.end_of(late).await["kind"], "opened", "{late}: the run that was there");
    }
    for late in ["late-1", "late-2"] {
        let end = world.end_of(late).await;
        let because = end["body"]["because"].as_str().unwrap_or_default();
        assert!(because.contains("`refs/heads/main` has moved on"), "{late}: {end}");
    }
    assert_eq!(world.runs(), opened, "nothing was built twice");
}

/// Debian's libfaketime, under the triplet of the machine.
fn faketime() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    libraries.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|library| library.is_file())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_back_loses_no_push() {
    let library = faketime();
    if missing("faketime", library.is_some()) {
        return;
    }
    let mut world = World { estate: Estate::undeclared(Kind::Embedded, "1s").await };
    let pipeline = world.estate.push(&[(".bespin/every.yaml", PIPELINE.to_owned())], "The pipeline").await;
    world.has_run("refs/heads/main", &pipeline.after).await;

    // The clock of the server alone; what it is off by is read each time that somebody asks for the time.
    let clock = world.estate.dir().join("clock");
    let set = |text: &str| {
        let partial = clock.with_extension("partial");
        std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, &clock)).expect("the clock is set");
    };
    set("+0");
    let text = |path: &Path| path.display().to_string();
    let environment = [
        ("LD_PRELOAD".to_owned(), text(&library.expect("it is there"))),
        ("FAKETIME_TIMESTAMP_FILE".to_owned(), text(&clock)),
        ("FAKETIME_NO_CACHE".to_owned(), "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
    ];
    world.estate.restart(&environment).await;
    let before = world.commit("main", "before", "Before").await;
    world.told("before", "refs/heads/main", &before).await;
    world.has_run("refs/heads/main", &before.1).await;

    set("-2h");
    let after = world.commit("main", "after", "After").await;
    world.told("after", "refs/heads/main", &after).await;
    world.has_run("refs/heads/main", &after.1).await;
    let branch = world.commit("feature", "feature", "A feature").await;
    world.told("feature", "refs/heads/feature", &branch).await;
    world.has_run("refs/heads/feature", &branch.1).await;

    // It starts with the clock that is two hours behind its own entries, and finds what nobody told it of.
    let found = world.commit("main", "found", "Found").await;
    world.estate.restart(&environment).await;
    world.assert_clock_is_back();
    world.has_run("refs/heads/main", &found.1).await;
    declare(&world.estate.kube, &world.estate.sample.application()).await;
    world.estate.settled().await;
    assert_eq!(world.runs().len(), 5, "{:#?}", world.runs());
}

struct World {
    estate: Estate,
}

impl World {
    /// The server that has just started writes its log with the clock of two hours ago.
    fn assert_clock_is_back(&self) {
        let words = self.estate.bespin.last_words();
        let listening = words.lines().rfind(|line| line.contains("listening")).expect("it says that it listens");
        let told = listening.split('T').nth(1).and_then(|time| time.get(..2)).and_then(|hours| hours.parse().ok());
        let ours = String::from_utf8(output(Command::new("date").args(["--utc", "+%H"])).stdout).ok();
        let ours = ours.and_then(|hours| hours.trim().parse::<u32>().ok()).expect("date prints hours");
        let behind = told.map(|told: u32| (ours + 24 - told) % 24).unwrap_or_else(|| panic!("no time: {listening}"));
        assert!(matches!(behind, 2 | 3), "the clock was not set back: {listening}");
    }

    /// Commits a file to a branch, made from `main` if it is new; answers the commits before and after. Nobody tells.
    async fn commit(&self, branch: &str, file: &str, message: &str) -> (String, String) {
        let repositories = self.estate.sample.repositories();
        let mut made = None;
        if repositories.head(APPLICATION, branch).await.expect("git answers").is_none() {
            let main = self.estate.application().head();
            self.git(&["update-ref", &format!("refs/heads/{branch}"), &main]);
            made = Some("0".repeat(40));
        }
        let files = [(format!("notes/{file}"), message.to_owned())];
        let commit = repositories.commit(APPLICATION, branch, &files, message).await.expect("git commits");
        (made.unwrap_or(commit.before), commit.after)
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&self.estate.application().0).args(arguments);
        let output = output(&mut command);
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Delivers a move, as GitHub does.
    async fn told(&self, id: &str, reference: &str, (before, after): &(String, String)) {
        let clone_url = format!("{}/{APPLICATION}.git", self.estate.parts.playground().git_url);
        let push = Push {
            repository: APPLICATION,
            clone_url: &clone_url,
            reference,
            before,
            after,
            message: "Words",
            modified: &["notes/words".to_owned()],
        };
        let hook = format!("{}/hooks/github/default", self.estate.bespin.hooks);
        deliver(&hook, HOOK_SECRET, "push", id, &push.payload()).await.expect("the delivery is taken");
    }

    /// Every run of a branch or tag, as its reference and commit with its id.
    fn runs(&self) -> BTreeSet<(String, String, String)> {
        let entries = self.estate.bespin.journal("run/");
        let opened = entries.iter().filter(|entry| entry["kind"] == "opened").map(|entry| &entry["body"]["run"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let every = opened.filter(|run| run["pipeline"]["name"] == "every");
        every.map(|run| (text(&run["event"]["reference"]), text(&run["commit"]["sha"]), text(&run["id"]))).collect()
    }

    async fn has_run(&self, reference: &str, commit: &str) {
        let what = format!("a run of {reference} at {commit} is open");
        let runs = eventually(&what, PATIENCE, || async {
            let runs = self.runs().into_iter().filter(|(of, at, _)| of == reference && at == commit);
            Some(runs.count()).filter(|count| *count > 0)
        });
        assert_eq!(runs.await, 1, "{reference} at {commit}");
    }

    /// Waits until a look has noted where a head stands.
    async fn seen(&self, reference: &str, at: &str) {
        let what = format!("{reference} was seen at {at}");
        eventually(&what, PATIENCE, || async {
            let entries = self.estate.bespin.journal(&format!("heads/{APPLICATION}"));
            let newest = entries.iter().rev().find_map(|entry| entry["body"]["heads"][reference].as_str());
            (newest == Some(at)).then_some(())
        })
        .await;
    }

    /// The last entry of a delivery that has ended.
    async fn end_of(&self, id: &str) -> Value {
        eventually(&format!("{id} has ended"), PATIENCE, || async {
            let last = self.estate.bespin.journal(&format!("delivery/default/{id}")).pop()?;
            ["opened", "ignored"].iter().any(|end| last["kind"] == *end).then_some(last)
        })
        .await
    }

    /// Why the delivery of this move opened nothing.
    async fn ended_with(&self, reference: &str, after: &str) -> String {
        let what = format!("{reference} was found");
        let id = eventually(&what, PATIENCE, || async {
            let entries = self.estate.bespin.journal("delivery/");
            let of = entries
                .iter()
                .find(|entry| entry["body"]["reference"] == reference && entry["body"]["after"] == after)?;
            of["body"]["delivery"].as_str().map(str::to_owned)
        });
        self.end_of(&id.await).await["body"]["because"].as_str().expect("it says why").to_owned()
    }
}
