//! Bumps as tables of texts, and their whole way with every cut.

use super::messages::message;
use super::*;
use crate::next::{Next, Wake};
use crate::request::{Key, Response};
use pipeline::ImageRef;

const NAME: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic-was";
const RUN: &str = "user/petclinic/petclinic-was/56";

fn image(tag: &str) -> String {
    format!("{NAME}:{tag}")
}

fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}

fn edit_text(path: &str, text: &str) -> Result<Report, String> {
    let to = image("v56-f31bdcc");
    edit(&[file(path, text)], &to.parse().unwrap(), &to, "petclinic")
}

/// The text with every `OLD` as the name at the old tag, and after the edit at the new one.
fn check(name: &str, template: &str) {
    let report = edit_text("petclinic/was.yaml", &template.replace("OLD", &image("v55"))).unwrap();
    assert_eq!(report.files.len(), 1, "{name}");
    assert_eq!(report.files[0].1, template.replace("OLD", &image("v56-f31bdcc")), "{name}");
    assert!(report.warnings.is_empty(), "{name}: {:?}", report.warnings);
}

const ROLLOUT: &str = "# 주석 comment\r\nkind: Rollout\r\nspec:\r\n  replicas: 2   # HPA가 조정하므로 무시\r\n  template:\r\n    spec:\r\n      containers:\r\n      - name: was\r\n        image: OLD # pinned\r\n        env: []\r\n";

#[test]
fn everything_else_stays_byte_for_byte() {
    check("comments, CRLF and characters of several bytes", ROLLOUT);
    check("double quotes", "kind: Deployment\nspec: {template: {spec: {containers: [{name: a, image: \"OLD\"}]}}}\n");
    check("single quotes", "kind: Pod\nspec:\n  containers:\n  - image: 'OLD'\n    name: 'a'\n");
    check(
        "quotes and a comment",
        "kind: Pod\nspec:\n  containers:\n  - image: 'OLD'  # ours\n  - image: \"OLD\"\t# ours\n    name: a\n",
    );
    check("no newline at the end", "kind: Pod\nspec:\n  initContainers:\n  - image: OLD");
    check(
        "a CronJob",
        "kind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers: [{image: OLD}]\n",
    );
    check("a List", "kind: List\nitems:\n- kind: Pod\n  spec:\n    containers:\n    - image: OLD\n");
    check(
        "documents",
        "---\nkind: Service\n---\nkind: Job\nspec:\n  template:\n    spec:\n      containers:\n      - image: OLD\n...\n---\nkind: Pod\nspec:\n  containers:\n  - image: OLD\n  - image: other:1\n",
    );
}

#[test]
fn a_digest_goes_with_its_tag() {
    let text = format!("kind: Pod\nspec:\n  containers:\n  - image: {NAME}:v55@sha256:{}\n", "a".repeat(64));
    let report = edit_text("a.yaml", &text).unwrap();
    assert_eq!(report.files[0].1, format!("kind: Pod\nspec:\n  containers:\n  - image: {NAME}:v56-f31bdcc\n"));
}

#[test]
fn the_seeds_placeholder_is_read_with_a_warning() {
    let text = "kind: Rollout\nspec:\n  template:\n    spec:\n      containers:\n      - name: was\n        image: ECR_REPO/petclinic-was:v55-f31bdcc\n";
    let report = edit_text("petclinic/was-rollout.yaml", text).unwrap();
    assert!(report.files[0].1.ends_with(&format!("image: {}\n", image("v56-f31bdcc"))));
    assert!(report.warnings[0].contains("was-rollout.yaml:7: `ECR_REPO/petclinic-was` begins with a placeholder"));
    // Somebody else's image of the same last name is nobody's placeholder.
    for other in ["bitnami/petclinic-was", "ghcr.io/x/petclinic-was", "localhost/petclinic-was", "petclinic-was"] {
        let error = edit_text("a.yaml", &text.replace("ECR_REPO/petclinic-was", other)).unwrap_err();
        assert!(error.contains("nearest names there"), "{other}: {error}");
    }
}

#[test]
fn kustomizations_keep_the_tag_alone() {
    let text =
        format!("images:\n- name: was # ours\n  newName: {NAME}\n  newTag: 1.10\n- name: redis\n  newTag: '7'\n");
    let report = edit_text("petclinic/kustomization.yaml", &text).unwrap();
    assert_eq!(report.files[0].1, text.replace("1.10", "v56-f31bdcc"));
    let to = image("57");
    let report = edit(&[file("kustomization.yaml", &text)], &to.parse().unwrap(), &to, "").unwrap();
    assert_eq!(report.files[0].1, text.replace("1.10", "\"57\""), "a number is quoted");
    let nested = text.replace("newTag: 1.10", "newTag:\n    more: 1");
    let refused = edit_text("kustomization.yaml", &nested).unwrap_err();
    assert!(refused.contains("is no text"), "what is no tag is not replaced with what is in it: {refused}");
    let pinned = text.replace("  newTag: 1.10", "  newTag: v1\n  digest: sha256:00");
    assert!(edit_text("kustomization.yaml", &pinned).unwrap_err().contains("ignore the tag"));
}

#[test]
fn what_cannot_be_edited_safely_is_refused_with_its_line() {
    let cases = [
        ("an alias", "kind: Pod\nspec:\n  containers:\n  - image: &i OLD\n  - image: *i\n", ""),
        ("an anchor elsewhere", "x: &i OLD\nkind: Pod\nspec:\n  containers:\n  - image: *i\n", ""),
        ("a merge key", "kind: Pod\nspec:\n  x: &c {image: OLD}\n  containers:\n  - <<: *c\n", "names"),
        (
            "an anchored value used elsewhere",
            "kind: Pod\nspec:\n  containers:\n  - image: &i OLD\nmetadata: {annotations: {was: *i}}\n",
            "anchor",
        ),
        ("a block scalar", "kind: Pod\nspec:\n  containers:\n  - image: >-\n      OLD\n", ""),
        (
            "an anchored mapping used elsewhere",
            "kind: Pod\nspec:\n  containers:\n  - &c {image: OLD}\nmetadata: {annotations: *c}\n",
            "also change",
        ),
        ("a tag on the value", "kind: Pod\nspec:\n  containers:\n  - image: !!str OLD\n", ""),
        ("an escape", "kind: Pod\nspec:\n  containers:\n  - image: \"\\x31OLD\"\n", "names"),
    ];
    for (name, template, problem) in cases {
        let error = edit_text("a.yaml", &template.replace("OLD", &image("v55"))).unwrap_err();
        assert!(error.contains(problem) && error.contains("a.yaml"), "{name}: {error}");
    }
}

#[test]
fn nothing_fits_and_what_was_searched() {
    let to = image("v56");
    let parsed: ImageRef = to.parse().unwrap();
    let helm = "image: {{ .Values.petclinic-was }}\n{{- end }}";
    let files = [
        file("p/a.yaml", "kind: Pod\nspec:\n  containers:\n  - image: x/petclinic-web:1\n  - image: redis\n"),
        file("p/helm.yaml", helm),
    ];
    let error = edit(&files, &parsed, &to, "p").unwrap_err();
    for part in [
        "none of the 2 YAML files in `p`",
        "p/a.yaml, p/helm.yaml",
        "nearest names there: x/petclinic-web, redis",
        "could not be read: p/helm.yaml",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(edit(&[], &parsed, &to, "p").unwrap_err().contains("no YAML files in `p`"));
}

fn key() -> Key {
    Key { run: RUN.into(), step: "bump".into() }
}

fn intent() -> Intent {
    Intent {
        repo: "https://h/m.git".into(),
        branch: None,
        path: "petclinic".into(),
        image: image("v56"),
        message: None,
    }
}

fn wanted() -> Vec<Entry> {
    vec![Entry::Wanted { key: key(), intent: intent() }]
}

fn branch(tag: &str) -> Branch {
    let text = format!("kind: Pod\nspec:\n  containers:\n  - image: {}\n", image(tag));
    Branch {
        name: "main".into(),
        head: "h0".into(),
        files: Ok(vec![file("petclinic/a.yaml", &text)]),
        bumps: Vec::new(),
        refused: None,
    }
}

fn answer_of(branch: Branch) -> Response {
    let next = decide(&State::replay(&wanted()), &Observed::Branch(Box::new(branch)), 0);
    match &next.record[..] {
        [Entry::Answered { answer, .. }] => answer.clone(),
        other => panic!("not answered: {other:?}, {:?}", next.status),
    }
}

fn past(run: &str, tag: &str) -> Past {
    Past { commit: "c1c1c1c1".into(), run: run.into(), image: image(tag) }
}

#[test]
fn what_is_answered() {
    let met = |commit: &str, changed: &str| Response::Met {
        outputs: serde_json::json!({"commit": commit, "changed": changed}),
    };
    assert_eq!(answer_of(branch("v56")), met("h0", "false"));
    assert_eq!(answer_of(Branch { bumps: vec![past(RUN, "v56")], ..branch("v99") }), met("c1c1c1c1", "true"));
    let newer = Branch { bumps: vec![past("user/petclinic/petclinic-was/57", "v57")], ..branch("v57") };
    assert!(matches!(answer_of(newer), Response::Superseded { because } if because.contains("was/57 has bumped")));
    let refused = Branch { refused: Some("protected branch".into()), ..branch("v55") };
    assert!(
        matches!(answer_of(refused), Response::Failed { because, transient: false } if because.contains("protected"))
    );
    // Older runs, other pipelines and other images do not stand in the way.
    for past in [
        past("user/petclinic/petclinic-was/55", "v55"),
        past("user/petclinic/other/99", "v99"),
        Past { image: "x/y:1".into(), ..past("user/petclinic/petclinic-was/99", "") },
    ] {
        let next = decide(
            &State::replay(&wanted()),
            &Observed::Branch(Box::new(Branch { bumps: vec![past], ..branch("v55") })),
            0,
        );
        assert_eq!(next.acts.len(), 1);
    }
    let bad = Entry::Wanted { key: key(), intent: Intent { image: NAME.into(), ..intent() } };
    let next = decide(&State::replay([&bad]), &Observed::Nothing, 0);
    assert!(
        matches!(&next.record[..], [Entry::Answered { answer: Response::Failed { because, .. }, .. }] if because.contains("neither a tag"))
    );
}

#[test]
fn a_message_cannot_forge_trailers() {
    let forged = Intent { message: Some("Deploy\n\nbespin-run: user/x/y/99\nBecause.".into()), ..intent() };
    let text = message(&key(), &forged, &forged.image.parse().unwrap());
    assert_eq!(
        text,
        format!("Deploy\n\nBecause.\n\nBespin-Run: {RUN}\nBespin-Step: bump\nBespin-Image: {}\n", image("v56"))
    );
    assert!(message(&key(), &intent(), &image("v56").parse().unwrap()).starts_with("Bump petclinic-was to v56\n\n"));
}

/// A branch in memory, whose pushes may be lost, or lose a race.
#[derive(Clone)]
struct World {
    branch: Branch,
    journal: Vec<Entry>,
    commits: usize,
}

impl World {
    fn decide(&self) -> Next<Entry, Act> {
        decide(&State::replay(&self.journal), &Observed::Branch(Box::new(self.branch.clone())), 0)
    }

    fn act(&mut self, act: &Act) {
        let Act::Commit { parent, files, message, .. } = act;
        if *parent != self.branch.head {
            return;
        }
        self.commits += 1;
        self.branch.head = format!("h{}", self.commits);
        self.branch.files = Ok(files.iter().map(|(path, text)| file(path, text)).collect());
        assert!(message.contains(&format!("Bespin-Run: {RUN}\n")));
        self.branch.bumps.insert(0, Past { commit: self.branch.head.clone(), run: RUN.into(), image: image("v56") });
    }

    fn finish(mut self) -> (Vec<Entry>, usize, Branch) {
        for _ in 0..10 {
            let next = self.decide();
            self.journal.extend(next.record);
            next.acts.iter().for_each(|act| self.act(act));
            if next.wake == Wake::Never {
                return (self.journal, self.commits, self.branch);
            }
        }
        panic!("it does not end");
    }
}

#[test]
fn cut_anywhere_it_ends_the_same() {
    let world = World { branch: branch("v55"), journal: wanted(), commits: 0 };
    let whole = world.clone().finish();
    assert_eq!((whole.0.len(), whole.1), (2, 1));
    for turns in 0..4 {
        for acted in [false, true] {
            let mut cut = world.clone();
            for _ in 0..turns {
                let next = cut.decide();
                cut.journal.extend(next.record);
                next.acts.iter().for_each(|act| cut.act(act));
            }
            let next = cut.decide();
            cut.journal.extend(next.record);
            next.acts.iter().filter(|_| acted).for_each(|act| cut.act(act));
            assert_eq!(cut.finish(), whole, "cut after {turns} turns, the acts done: {acted}");
        }
    }
}

#[test]
fn a_lost_race_is_looked_at_again() {
    let mut world = World { branch: branch("v55"), journal: wanted(), commits: 0 };
    let next = world.decide();
    world.branch.head = "somebody else's".into();
    next.acts.iter().for_each(|act| world.act(act));
    assert_eq!(world.commits, 0);
    assert_eq!(world.finish().1, 1);
}

fn swaps() -> Vec<Swap> {
    vec![Swap { from: image("v56"), to: image("v55") }]
}

#[test]
fn what_is_put_back_is_exactly_what_stands_there() {
    let put = |path: &str, text: &str| put_back(&[file(path, text)], &swaps()).unwrap().files;
    let there = ROLLOUT.replace("OLD", &image("v56"));
    assert_eq!(put("was.yaml", &there), [("was.yaml".to_owned(), ROLLOUT.replace("OLD", &image("v55")))]);
    for other in
        [image("v57"), image("v55"), format!("{NAME}-web:v56"), format!("{}@sha256:{}", image("v56"), "a".repeat(64))]
    {
        assert_eq!(put("was.yaml", &ROLLOUT.replace("OLD", &other)), [], "{other}");
    }
    let kustomization = |tag: &str| format!("images:\n- name: {NAME}\n  newTag: {tag} # ours\n");
    let path = "kustomization.yaml";
    assert_eq!(put(path, &kustomization("v56")), [(path.to_owned(), kustomization("v55"))]);
    assert_eq!(put(path, &kustomization("v57")), []);
}

#[test]
fn what_cannot_be_read_is_not_called_put_back() {
    let broken = |image: &str| put_back(&[file("was.yaml", &format!("a: {image}\n  b: {{"))], &swaps());
    assert!(broken(&image("v56")).unwrap_err().contains("was.yaml"));
    assert_eq!(broken("other:1").unwrap().files, []);
}
