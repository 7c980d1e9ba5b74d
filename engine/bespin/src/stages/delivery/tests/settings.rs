//! Settings are checked at a push, by what the server's plugins declare.

use super::*;

/// A component that is nothing but what it declares.
fn declaring(text: &str) -> Vec<u8> {
    let name = b"bespin:settings";
    let length = name.len() + 1 + text.len();
    assert!((128..16_384).contains(&length), "its length is written in two bytes here");
    let seven = |shift: usize| u8::try_from(length >> shift & 0x7f).unwrap();
    let mut wasm = b"\0asm\x0d\0\x01\0\0".to_vec();
    wasm.extend([seven(0) | 0x80, seven(7), u8::try_from(name.len()).unwrap()]);
    wasm.extend(name);
    wasm.extend(text.as_bytes());
    wasm
}

const TALK: &str = r#"{
    "settings": {
        "type": "object",
        "properties": { "text": { "type": "string", "description": "what is said" } },
        "required": ["text"],
        "additionalProperties": false
    }
}"#;

const TALKS: &str = "name: talks
on: push
steps:
  - uses: talk
    with: { txet: hello }
  - uses: silent
    with: { anything: goes }
";

#[tokio::test]
async fn a_wrong_setting_is_a_mistake_of_the_pushed_file() {
    let world = World::new(&[(".bespin/talks.yaml", TALKS)]).await;
    let folder = world.directory.path().join("plugins");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("talk.wasm"), declaring(TALK)).unwrap();
    std::fs::write(folder.join("silent.wasm"), declaring(TALK).split_at(8).0).unwrap();
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let runs = world.push("d1", NOTHING, &first, compare()).await;
    let opened = world.opened(&runs[0]).await;
    let expected = ".bespin/talks.yaml:5:13: `talk` has no setting `txet`\n  5 |     with: { txet: hello }\n    |             \
                    ^^^^\nhelp: did you mean `text`?";
    assert_eq!(opened.mistakes, [expected], "what was meant is not said to be missing as well");
    let well = TALKS.replace("txet", "text");
    let second = world.git.commit(REPOSITORY, "main", &[(".bespin/talks.yaml", &well)], "Fix it");
    let runs = world.push("d2", &first, &second, compare()).await;
    assert_eq!(world.opened(&runs[0]).await.mistakes, [""; 0], "what declares nothing takes anything");
}

#[tokio::test]
async fn a_commit_is_judged_by_what_the_plugins_declare_at_each_look() {
    let world = World::new(&[(".bespin/talks.yaml", TALKS)]).await;
    let folder = world.directory.path().join("plugins");
    std::fs::create_dir(&folder).unwrap();
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let runs = world.push("d1", NOTHING, &first, compare()).await;
    assert_eq!(world.opened(&runs[0]).await.mistakes, [""; 0], "a plugin that is not here makes no mistake");
    std::fs::write(folder.join("talk.wasm"), declaring(TALK)).unwrap();
    world.git.git(REPOSITORY, &["branch", "other", "main"]);
    let other = Push { reference: "refs/heads/other".into(), ..push_of("d2", NOTHING, &first, compare()) };
    world.record(Received::Push(other)).await;
    let runs = world.ended("d2").await;
    let mistakes = world.opened(&runs[0]).await.mistakes;
    assert!(mistakes[0].contains("`talk` has no setting `txet`"), "the same commit is looked at anew: {mistakes:?}");
}
