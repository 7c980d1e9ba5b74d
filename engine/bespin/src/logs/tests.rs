//! Logs that are cut, torn, followed, reopened.

use super::*;

const RUN: &str = "user/petclinic/petclinic-was/56";

fn texts(lines: &[Line]) -> Vec<(u64, &str)> {
    lines.iter().map(|line| (line.n, line.text.as_str())).collect()
}

#[test]
fn counts_on_after_a_restart_and_drops_a_torn_line() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().into());
    logs.line(RUN, "image", 1, "info", "one\ntwo\r\n");
    drop(logs);
    let file = dir.path().join(RUN).join("image/1.ndjson");
    let mut torn = std::fs::read_to_string(&file).unwrap();
    torn.push_str("{\"n\":3,\"at\":1,\"le");
    std::fs::write(&file, torn).unwrap();

    let logs = Logs::open(dir.path().into());
    let place = LogPlace::new(RUN, "image", 1);
    assert_eq!(texts(&logs.read(&place, 1, 10).unwrap()), [(1, "one"), (2, "two")]);
    logs.line(RUN, "image", 1, "info", "three");
    assert_eq!(texts(&logs.read(&place, 2, 10).unwrap()), [(2, "two"), (3, "three")]);
    let whole = std::fs::read_to_string(&file).unwrap();
    assert_eq!(whole.lines().count(), 3, "{whole}");
}

#[test]
fn cuts_long_lines_and_long_logs_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Logs::open(dir.path().into()).with_max_bytes(40_000);
    let logs = open();
    let place = LogPlace::new(RUN, "image", 1);
    logs.line(RUN, "image", 1, "info", &"é".repeat(MAX_LINE));
    let first = &logs.read(&place, 1, 1).unwrap()[0];
    assert!(first.text.len() < MAX_LINE + 40 && first.text.ends_with("more bytes cut off]"));
    for _ in 0..5 {
        logs.line(RUN, "image", 1, "info", &"x".repeat(MAX_LINE));
    }
    drop(logs);
    let logs = open();
    logs.line(RUN, "image", 1, "info", "after the end");
    let last = logs.read(&place, 1, 100).unwrap().pop().unwrap();
    assert_eq!((last.level.as_str(), last.n), ("cut", 3));
    assert!(last.text.contains("limit of 40000 bytes"));
}

#[tokio::test]
async fn followers_see_every_line_and_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Arc::new(Logs::open(dir.path().into()));
    let place = LogPlace::new(RUN, "image", 1);
    let mut early = logs.follow(&place, 1).unwrap();
    let reader = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(lines) = early.next(7).await.unwrap() {
            seen.extend(lines);
        }
        seen
    });
    for n in 0..100 {
        logs.line(RUN, "image", 1, "stdout", &format!("line {n}"));
        tokio::task::yield_now().await;
    }
    logs.end(RUN, "image", 1);
    let seen = reader.await.unwrap();
    assert_eq!(seen.len(), 100);
    assert!(seen.iter().enumerate().all(|(at, line)| line.n == at as u64 + 1));
    assert_eq!(logs.read(&place, 98, 10).unwrap().len(), 3);
}

#[test]
fn each_attempt_of_a_step_has_a_log_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().into());
    for attempt in [1, 2, 1] {
        logs.line(RUN, "image", attempt, "info", &format!("of attempt {attempt}"));
    }
    let texts = |attempt| {
        let lines = logs.read(&LogPlace::new(RUN, "image", attempt), 1, 10).unwrap();
        lines.into_iter().map(|line| (line.n, line.text)).collect::<Vec<_>>()
    };
    assert_eq!(texts(1), [(1, "of attempt 1".to_owned()), (2, "of attempt 1".to_owned())]);
    assert_eq!(texts(2), [(1, "of attempt 2".to_owned())]);
    logs.end(RUN, "image", 1);
    logs.line(RUN, "image", 2, "info", "goes on");
    assert_eq!(texts(2).len(), 2, "the end of one ends no other");
}

#[test]
fn hides_what_the_run_was_granted() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().into());
    logs.mask(RUN, Masker::new(["hunter2hunter2"]));
    logs.mask(RUN, Masker::new(["swordfish"]));
    logs.line(RUN, "slack", 1, "info", "swordfish and hunter2hunter2");
    let file = std::fs::read_to_string(dir.path().join(RUN).join("slack/1.ndjson")).unwrap();
    assert!(file.contains("*** and ***") && !file.contains("swordfish"), "{file}");
}

#[test]
fn refuses_names_that_leave_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().into());
    for (run, step) in
        [("../x", "a"), ("a/../../x", "a"), ("a", ".."), ("a", "b/c"), ("/etc", "a"), ("a//b", "a"), ("", "a")]
    {
        assert!(logs.read(&LogPlace::new(run, step, 1), 1, 1).is_err(), "{run} {step}");
        logs.line(run, step, 1, "info", "nothing");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_secret_across_the_parts_of_a_long_line_is_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().into());
    logs.mask(RUN, Masker::new(["hunter2hunter2"]));
    let place = LogPlace::new(RUN, "image", 1);
    let (part, rest) = (format!("{}hunter2", "x".repeat(9_000)), format!("hunter2{}", "y".repeat(10)));
    logs.piece(&place, Source::Stdout, "info", &part, PieceEnd::Open);
    logs.piece(&place, Source::Stderr, "info", "in between", PieceEnd::Line);
    logs.piece(&place, Source::Stdout, "info", &rest, PieceEnd::Line);
    let lines = logs.read(&place, 1, 10).unwrap();
    let expected = ["x".repeat(9_000), "in between".to_owned(), "***yyyyyyyyyy".to_owned()];
    assert_eq!(lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>(), expected);
}

#[test]
fn a_wrapped_secret_is_hidden_and_what_waits_is_shown_at_the_end() {
    use base64::Engine as _;
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().into());
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ\n-----END KEY-----";
    logs.mask(RUN, Masker::new([key]));
    let place = LogPlace::new(RUN, "image", 1);
    let encoded = base64::engine::general_purpose::STANDARD.encode(key);
    for line in encoded.as_bytes().chunks(20) {
        logs.piece(&place, Source::Stdout, "info", std::str::from_utf8(line).unwrap(), PieceEnd::Line);
        logs.line(RUN, "image", 1, "info", "still there");
    }
    logs.piece(&place, Source::Stdout, "info", "the key begins with -----BEGIN KEY", PieceEnd::Line);
    logs.finish(&place, Source::Stdout);
    logs.piece(&place, Source::Stderr, "info", "or with -----BEGIN KEY", PieceEnd::Line);
    logs.end(RUN, "image", 1);
    let lines = logs.read(&place, 1, 100).unwrap();
    let shown: Vec<_> = lines.iter().map(|line| line.text.as_str()).filter(|text| *text != "still there").collect();
    // The last characters depend on what comes after the secret, so that they say nothing of it alone.
    assert_eq!(&shown[1..], ["the key begins with -----BEGIN KEY", "or with -----BEGIN KEY"]);
    assert!(shown[0].starts_with("***") && shown[0].len() <= 6, "{}", shown[0]);
    assert!(logs.waiting().is_empty());
}

#[test]
fn a_closed_run_leaves_nothing_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path().into());
    logs.mask(RUN, Masker::new(["hunter2hunter2"]));
    logs.line(RUN, "image", 1, "info", "so it begins: hunter2");
    logs.close_run(RUN);
    assert_eq!(texts(&logs.read(&LogPlace::new(RUN, "image", 1), 1, 10).unwrap()), [(1, "so it begins: hunter2")]);
    assert!(logs.waiting().is_empty() && logs.maskers().is_empty());
}
