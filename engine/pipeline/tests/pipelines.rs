//! The pipeline files of `pipelines/`, each a test; and texts that are none.
//!
//! `UPDATE=1 cargo test -p pipeline --test pipelines` writes the expected texts
//! and the schema anew; read the difference before it is committed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "the files are the tests; only the crate itself may not read")]

use pipeline::declaration::{Declarations, Declared};
use pipeline::lock::{Lock, Pins};
use pipeline::{ReadPipeline, RunPlan, Supersede, Trigger, lint, plan, shape};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines").join(name)
}

fn files(name: &str, extension: &str) -> Vec<PathBuf> {
    let items = std::fs::read_dir(folder(name)).unwrap().map(|item| item.unwrap().path());
    let mut files: Vec<PathBuf> = items.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Compares with a file, or writes it where `UPDATE` is set.
fn is_as_in(path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    let stale = format!("{} is stale; expected:\n{expected}\nactual:\n{actual}", path.display());
    if expected == actual { Ok(()) } else { Err(stale) }
}

fn sample(name: &str) -> pipeline::Pipeline {
    let path = folder("samples").join(name);
    pipeline::parse(name, &text(&path)).unwrap_or_else(|mistakes| panic!("{}", lint(&mistakes)))
}

/// Reads a file, and checks its settings by what the plugins of this version declare.
fn checked(name: &str, text: &str) -> ReadPipeline {
    static BUILT_IN: LazyLock<Declarations> = LazyLock::new(Declarations::built_in);
    pipeline::read_with(name, text, Pins::Known(&Lock::EMPTY), &BUILT_IN)
}

#[test]
fn every_sample_is_accepted_without_a_warning() {
    let mut samples = files("samples", "yaml");
    assert!(samples.len() >= 4);
    samples.push(folder("bespin.yaml"));
    for path in samples {
        let read = checked(&path.file_name().unwrap().to_string_lossy(), &text(&path));
        assert!(
            read.mistakes.is_empty() && read.warnings.is_empty(),
            "{}{}",
            lint(&read.mistakes),
            lint(&read.warnings)
        );
        let pipeline = read.pipeline.unwrap();
        // It is journaled within a run's first entry, and must come back the same.
        let json = serde_json::to_string(&pipeline).unwrap();
        assert_eq!(serde_json::from_str::<pipeline::Pipeline>(&json).unwrap(), pipeline);
    }
}

#[test]
fn every_rejected_file_is_refused_with_the_text_beside_it() {
    let files = files("rejected", "yaml");
    assert!(files.len() >= 20);
    let mut stale = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let ReadPipeline { pipeline, mistakes, .. } = checked(&name, &text(&path));
        assert!(pipeline.is_none(), "{name} is accepted");
        stale.extend(is_as_in(&path.with_extension("txt"), &lint(&mistakes)).err());
    }
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

#[test]
fn the_schema_is_what_the_parser_reads() {
    let mut schema = serde_json::to_string_pretty(&shape::schema()).unwrap();
    schema.push('\n');
    is_as_in(&folder("schema.json"), &schema).unwrap();
}

#[test]
fn the_petclinic_is_read_as_it_is_meant() {
    let was = sample("petclinic-was.yaml");
    assert_eq!(was.name, "petclinic-was");
    let ids: Vec<&str> = was.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["image", "push", "bump", "sync", "canary"]);
    assert_eq!(was.steps[1].needs, ["image"], "a step follows the one before it");
    assert_eq!((was.steps[0].timeout_ms, was.steps[1].timeout_ms), (900_000, 3_600_000));
    assert_eq!(was.concurrency.unwrap().supersede, Supersede::UntilBump);
    assert_eq!(was.finally[0].id, "slack");
    let web = sample("petclinic-web.yaml");
    assert_eq!(web.steps[1].needs, [""; 0]);
    assert_eq!(web.steps[4].condition.as_deref(), Some("success() and (commit.branch == 'main')"));
    assert_eq!(web.finally[1].condition.as_deref(), Some("failure()"));
    assert_eq!(web.finally[1].needs, ["tell-of-success"]);
    let terraform = sample("terraform.yaml");
    assert_eq!(terraform.on.push.unwrap().branches, ["**", "!dependabot/**"]);
    assert_eq!(terraform.steps[1].timeout_ms, 5_400_000, "an alias is written out");
}

#[test]
fn an_approval_is_read_in_both_its_forms() {
    let steps = sample("approval.yaml").steps;
    let [ask, sync] =
        ["ask", "sync"].map(|id| steps.iter().find(|step| step.id == id).unwrap().approval.clone().unwrap());
    assert_eq!(ask.ask, "Deploy v${{ run.number }} (${{ run.title }})?");
    assert_eq!((ask.by.as_slice(), ask.timeout_ms), ([].as_slice(), 86_400_000), "any operator, for a day");
    assert_eq!((sync.who().as_str(), sync.timeout_ms), ("ann or bob", 28_800_000));
    assert!(steps[0].approval.is_none());
    let shown = plan(&sample("approval.yaml"), &Trigger::Push { branch: "main".into(), changed: None }).to_string();
    assert!(shown.contains("after bump, once ann or bob approved it; at most 1h"), "{shown}");
}

#[test]
fn pushes_match_by_branch_and_path() {
    let push = sample("petclinic-web.yaml").on.push.unwrap();
    let matches = |branch: &str, changed: &[&str]| {
        push.matches(branch, &changed.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>())
    };
    assert!(matches("main", &["README.md", "web/index.html"]));
    assert!(!matches("main", &["web/docs/a.md"]), "the last pattern takes it back");
    assert!(!matches("main", &[]) && !matches("next", &["web/index.html"]));
}

#[test]
fn a_plan_says_what_would_run_and_why() {
    let was = sample("petclinic-was.yaml");
    let push = |branch: &str, changed: &[&str]| Trigger::Push {
        branch: branch.to_owned(),
        changed: Some(changed.iter().map(|path| (*path).to_owned()).collect()),
    };
    let because = |cause: &Trigger| match plan(&was, cause) {
        RunPlan::Runs { because, .. } => format!("runs: {because}"),
        RunPlan::Rests { because } => because,
    };
    assert_eq!(because(&push("main", &["was/A.java"])), "runs: the branch `main` counts, and `was/A.java` changed");
    assert_eq!(because(&push("next", &["was/A.java"])), "the branch `next` is not among `main`");
    assert_eq!(because(&push("main", &["web/a.html"])), "nothing changed in `was/**`, `pom.xml`");
    assert_eq!(because(&Trigger::Tag("v1".into())), "it does not start on tags");
    assert_eq!(because(&Trigger::Manual), "it does not start by hand; `on` has no `manual`");
    let shown = plan(&was, &Trigger::Push { branch: "main".into(), changed: None }).to_string();
    let expected = "\
runs: the branch `main` counts, if something changed in `was/**`, `pom.xml`
beside others: it takes the place of older runs that have not bumped yet in the group `was`
  1  image   image   at once; at most 15m
                     asks permission for images: build
  2  push    push    after image; at most 1h
                     asks permission for registry: ${{ env.repository }}
";
    assert!(shown.starts_with(expected), "{shown}");
}

#[test]
fn what_is_not_used_yet_is_taken_with_a_warning() {
    let text = "name: was\non: push\nsteps:\n  - uses: image\n    cache: { path: ~/.m2 }\n    with: { a: no, b: 0644 }\n  - uses: slak\n";
    let read = pipeline::read("was.yaml", text);
    assert!(read.pipeline.is_some());
    let warnings: Vec<&str> = read.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(
        warnings,
        [
            "`cache` is not used by this version",
            "`no` is read as a text here",
            "`0644` is read as a text here",
            "no plugin `slak` comes with Bespin"
        ]
    );
}

#[test]
fn a_group_may_be_an_expression_and_own_commits_may_start_a_run() {
    let read = |on: &str, group: &str| {
        pipeline::parse(
            "was.yaml",
            &format!("name: was\non: {on}\nconcurrency: '{group}'\nsteps: [{{ uses: image }}]\n"),
        )
    };
    let group = "deploy-${{ ref.name }}";
    let was = read("{ push: { own-commits: run } }", group).unwrap();
    assert_eq!(was.concurrency.unwrap().group, group, "it is rendered when a run is opened");
    let push = was.on.push.unwrap();
    assert_eq!(push.own_commits, pipeline::OwnCommits::Run);
    let usual = read("push", "deploy").unwrap().on.push.unwrap();
    let json = serde_json::to_value(&usual).unwrap();
    assert_eq!(json.get("own_commits"), None, "older servers read what they know");
    assert_eq!(serde_json::from_value::<pipeline::Push>(json).unwrap(), usual);
    let mistakes = read("{ push: { own-commits: yes } }", "deploy-${{ steps.image.build }}").unwrap_err();
    let said: Vec<_> = mistakes.iter().map(|m| (m.line, m.message.as_str())).collect();
    let expected = [(2, "`own-commits` has no choice `yes`"), (3, "`steps` is not known before the run is open")];
    assert_eq!(said, expected);
}

#[test]
fn grants_that_are_lacking_or_never_asked_for_are_warned_of() {
    let text = "name: was\non: push\nsteps:\n  - uses: image\n    grants: { git: [host/a/b] }\n  - uses: other\n";
    let read = checked("was.yaml", text);
    let warnings: Vec<_> = read.warnings.iter().map(|one| (one.line, one.column, one.message.as_str())).collect();
    let expected =
        [(4, 11, "`image` needs a grant of `images`, and this step has none"), (5, 15, "`image` never asks for `git`")];
    assert_eq!(warnings, expected);
    assert_eq!(read.warnings[0].help, "add something like `grants: { images: [build] }`");
    assert!(read.pipeline.is_some());
    assert_eq!(read.uses.iter().map(String::as_str).collect::<Vec<_>>(), ["image", "other"]);
}

/// What a plugin was recorded with, and what it left, is what it declares.
#[test]
fn recorded_cases_of_the_built_ins_are_as_declared() {
    let mut cases = 0;
    for plugin in std::fs::read_dir(folder("../plugins")).unwrap().map(|plugin| plugin.unwrap().path()) {
        let name = plugin.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(recorded) = std::fs::read_dir(plugin.join("tests")) else { continue };
        for path in recorded.map(|case| case.unwrap().path()) {
            let case: serde_json::Value = serde_saphyr::from_str(&text(&path)).unwrap();
            let left = case["expect"]["outputs"].as_object().cloned().unwrap_or_default();
            let read: String = left.keys().map(|output| format!("${{{{ steps.{name}.{output} }}}}")).collect();
            let steps = serde_json::json!([
                { "uses": name, "with": case["with"] },
                { "uses": "slack", "with": { "text": format!("{read}.") } },
            ]);
            let file = serde_json::json!({ "name": "a", "on": "push", "steps": steps }).to_string();
            let read = checked(&path.display().to_string(), &file);
            assert!(read.pipeline.is_some(), "{}", lint(&read.mistakes));
            cases += 1;
        }
    }
    assert!(cases >= 20, "only {cases} cases were found");
}

#[test]
fn what_is_not_declared_is_said_to_be_unchecked() {
    let text = "name: was\non: push\nsteps:\n  - { uses: talk, with: { anything: [1] } }\n  - uses: silent\n";
    let declared = Declarations::from_iter([("talk".to_owned(), Declared::of(None))]);
    let read = pipeline::read_with("was.yaml", text, Pins::Known(&Lock::EMPTY), &declared);
    assert!(read.pipeline.is_some() && read.warnings.is_empty());
    assert_eq!(read.unchecked, ["the settings of `talk` are not checked: it declares none"]);
    assert!(pipeline::read("was.yaml", text).unchecked.is_empty(), "whoever declares nothing is told nothing");
}

#[test]
fn a_plugin_that_does_not_tell_its_outputs_may_have_any() {
    let text = "name: was\non: push\nsteps:\n  - { uses: talk, with: { txet: a } }\n  \
                - { uses: slack, with: { text: '${{ steps.talk.anything }}.' } }\n";
    let read = |declaration: &str| {
        let declared = Declarations::from_iter([("talk".to_owned(), Declared::of(Some(declaration.as_bytes())))]);
        pipeline::read_with("was.yaml", text, Pins::Known(&Lock::EMPTY), &declared)
    };
    let open = r#""type": "object", "properties": { "text": {} }"#;
    assert!(read(&format!(r#"{{ "settings": {{ {open} }} }}"#)).pipeline.is_some());
    let told = lint(&read(&format!(r#"{{ "settings": {{ {open} }}, "outputs": {{}} }}"#)).mistakes);
    assert!(told.contains("step `talk` has no output `anything`"), "{told}");
    let told = lint(&read(&format!(r#"{{ "settings": {{ {open}, "required": ["text"] }} }}"#)).mistakes);
    assert!(told.contains("`talk` needs the setting `text`"), "where any key is taken, `txet` is one: {told}");
}

#[test]
fn outputs_are_told_apart_by_what_the_settings_choose() {
    let told = |action: &str, output: &str| {
        let steps = serde_json::json!([
            { "id": "infra", "uses": "terraform", "with": action_of(action), "grants": { "terraform": ["*"] } },
            { "uses": "slack", "with": { "text": format!("${{{{ steps.infra.{output} }}}}.") } },
        ]);
        let file = serde_json::json!({ "name": "a", "on": "push", "steps": steps }).to_string();
        let declared = Declarations::built_in();
        lint(&pipeline::read_with("a.yaml", &file, Pins::Known(&Lock::EMPTY), &declared).mistakes)
    };
    for (action, output) in [("plan", "changes"), ("apply", "outputs"), ("${{ env.x }}", "outputs")] {
        assert!(!told(action, output).contains("has no output"), "{action} {output}: {}", told(action, output));
    }
    for (action, output) in [("plan", "outputs"), ("apply", "changes")] {
        let told = told(action, output);
        assert!(told.contains(&format!("step `infra` has no output `{output}`")), "{action}: {told}");
    }
    let canary = "name: a\non: push\nsteps:\n  - { uses: canary, with: { rollout: a/b }, grants: { canary: [c/a/b] } }\n  \
                  - { uses: slack, with: { text: '${{ steps.canary.outcome }}.' } }\n";
    let read = pipeline::read_with("a.yaml", canary, Pins::Known(&Lock::EMPTY), &Declarations::built_in());
    assert!(read.pipeline.is_some(), "every step has an outcome: {}", lint(&read.mistakes));
}

fn action_of(action: &str) -> serde_json::Value {
    match action {
        "apply" => serde_json::json!({ "action": action, "plan": "p" }),
        _ => serde_json::json!({ "action": action }),
    }
}

#[test]
fn settings_without_a_file_are_checked_as_those_of_a_file() {
    let Some(Declared::Known(http)) = Declarations::built_in().of("http").cloned() else { panic!("it is built in") };
    let with = serde_json::json!({ "url": "https://host.example/", "methdo": "GET", "headers": { "a": null } });
    let mistakes = http.mistakes("http", &with);
    assert!(mistakes.iter().any(|one| one.starts_with("`http` has no setting `methdo`; did you mean")), "{mistakes:?}");
    assert!(mistakes.iter().any(|one| one.starts_with("`headers.a` is ")), "{mistakes:?}");
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(http.mistakes("http", &serde_json::Value::Null)[0].starts_with("`http` needs the setting `url`"));
    assert!(http.mistakes("http", &serde_json::json!([]))[0].starts_with("`with` is a map, not a list"));
}

#[test]
fn a_pipeline_has_so_many_steps() {
    let steps = |many: usize| (0..many).map(|n| format!("  - uses: a{n}\n")).collect::<String>();
    let parse = |many: usize| pipeline::parse("x.yaml", &format!("name: x\non: push\nsteps:\n{}", steps(many)));
    assert!(parse(500).is_ok());
    let mistakes = parse(6_000).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{}", lint(&mistakes));
    assert!(mistakes[0].to_string().contains("at most 500 steps"), "{}", mistakes[0]);
}

#[test]
fn a_host_that_is_asked_in_the_clear_is_granted_by_name() {
    let text =
        |grant: &str| format!("name: x\non: push\nsteps:\n  - {{ uses: slack, grants: {{ http: [{grant}] }} }}\n");
    for grant in ["hooks.slack.com", "POST hooks.slack.com", "http://127.0.0.1:80", "POST http://localhost"] {
        assert!(pipeline::parse("x.yaml", &text(grant)).is_ok(), "{grant}");
    }
    assert!(pipeline::parse("x.yaml", &text("https://hooks.slack.com")).is_err(), "it is what is meant anyway");
}

#[test]
fn a_large_file_is_refused_unread() {
    let mistakes = pipeline::parse("big.yaml", &format!("name: {}", "x".repeat(300_000))).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].to_string().len() < 1_000);
}

/// Cheap numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n.max(1) as u64) as usize
    }
}

#[test]
fn no_text_at_all_makes_it_panic() {
    let seeds: Vec<Vec<u8>> = files("samples", "yaml")
        .into_iter()
        .chain(files("rejected", "yaml"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let tokens: [&[u8]; 16] = [
        b"${{",
        b"}}",
        b"&a ",
        b"*a",
        b"!",
        b"? ",
        b"- ",
        b": ",
        b"[",
        b"{",
        b"|\n",
        b"'",
        b"\"",
        b"\xc3",
        b"\r\n",
        b"\xed\x95\x9c",
    ];
    let mut dice = Dice(42);
    for _ in 0..3_000 {
        let mut bytes = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(6) {
            let at = dice.below(bytes.len() + 1);
            match dice.below(4) {
                0 => bytes.truncate(at),
                1 => drop(bytes.splice(at..at, tokens[dice.below(tokens.len())].iter().copied())),
                2 => drop(bytes.drain(at..(at + dice.below(20)).min(bytes.len()))),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = dice.below(256) as u8),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let ReadPipeline { pipeline, mistakes, .. } = checked("any.yaml", &text);
        if pipeline.is_none() {
            assert!(!mistakes.is_empty());
            assert!(lint(&mistakes).lines().count() >= 5);
        }
    }
}
