//! Secrets in any form, cut into any pieces.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

#[path = "../../../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../../../fuzz/src/masking.rs"]
mod masking;

fn masked(text: &str) -> String {
    Masker::new(["p@ss word/+1"]).mask(text)
}

#[test]
fn hides_the_value_and_its_encodings() {
    assert_eq!(masked("login p@ss word/+1 ok"), "login *** ok");
    assert_eq!(masked("url https://x/?p=p%40ss%20word%2F%2B1"), "url https://x/?p=***");
    assert_eq!(masked("form p%40ss+word%2F%2B1"), "form ***");
    assert_eq!(masked("backwards 1+/drow ss@p"), "backwards ***");
    assert_eq!(masked(&format!("hex {}", hex::encode("p@ss word/+1"))), "hex ***");
}

#[test]
fn hides_what_programs_quote() {
    let masker = Masker::new(["it's \"ü\" <&> $HOME/x\\y !"]);
    for quoted in [
        r#"it's \"ü\" <&> $HOME/x\\y !"#,
        r#"it's \"\u00fc\" <&> $HOME/x\\y !"#,
        r#"it's \"ü\" \u003c\u0026\u003e $HOME/x\\y !"#,
        r#"it's \"ü\" <&> $HOME\/x\\y !"#,
        r#"it'\''s "ü" <&> $HOME/x\y !"#,
        r#"it'"'"'s "ü" <&> $HOME/x\y !"#,
        r#"it's \"ü\" <&> \$HOME/x\\y !"#,
        r#"it\'s\ \"ü\"\ \<\&\>\ \$HOME/x\\y\ \!"#,
        "it&#39;s &quot;ü&quot; &lt;&amp;&gt; $HOME/x\\y !",
        "it%27s%20%22%c3%bc%22%20%3c%26%3e%20%24HOME%2fx%5cy%20%21",
        "it's%20%22%C3%BC%22%20%3C%26%3E%20%24HOME%2Fx%5Cy%20!",
        "it%27s%20%22%C3%BC%22%20%3C%26%3E%20%24HOME/x%5Cy%20%21",
    ] {
        assert_eq!(masker.mask(&format!("a {quoted} b")), "a *** b", "{quoted}");
    }
}

#[test]
fn hides_it_inside_base64_at_every_alignment() {
    for before in ["", "a", "ab", "user:", "x-access-token:"] {
        let encoded = STANDARD.encode(format!("{before}p@ss word/+1"));
        let line = masked(&format!("authorization: Basic {encoded}"));
        assert!(line.contains("***"), "{before:?} left {line}");
    }
}

#[test]
fn hides_a_key_line_by_line_and_the_longer_secret_first() {
    let masker = Masker::new(["-----BEGIN KEY-----\nabcdefgh\nijklmnop\n", "abcd"]);
    assert_eq!(masker.mask("line abcdefgh"), "line ***");
    assert_eq!(masker.mask("ijklmnop"), "***");
}

#[test]
fn a_short_secret_of_several_lines_is_hidden_where_it_stands_as_it_is() {
    let masker = Masker::new(["a\nb\n", "x\ny\nz"]);
    assert_eq!(masker.mask("c a\nb d"), "c *** d");
    assert_eq!(masker.mask("c a\r\nb d"), "c *** d");
    assert_eq!(masker.mask("cab"), "c***");
    assert_eq!(masker.mask("a-b, a b, b\na"), "a-b, a b, b\na");
    for (lines, shown) in [
        (vec!["c a", "b d"], "c *** d\n"),
        (vec!["c a", "c"], "c a\nc\n"),
        (vec!["x", "y", "z!"], "***!\n"),
        (vec!["x", "y", "x", "y", "z"], "x\ny\n***\n"),
    ] {
        let mut masked = MaskedText::default();
        let mut text: String = lines.iter().map(|line| masked.push(&masker, line, PieceEnd::Line)).collect();
        text += &masked.finish(&masker);
        assert_eq!(text, shown, "{lines:?}");
    }
}

#[test]
fn a_secret_that_is_asked_for_again_adds_nothing() {
    let once = Masker::new(["p@ss word/+1", "another/one"]);
    let mut again = once.clone();
    for secret in ["p@ss word/+1", "another/one", "p@ss word/+1"] {
        again.join(Masker::new([secret]));
    }
    assert_eq!(again.forms, once.forms);
    assert_eq!(again.mask("another/one"), "***");
}

#[test]
fn an_empty_secret_hides_nothing() {
    assert_eq!(Masker::new(["", "  "]).mask("a text"), "a text");
}

#[test]
fn a_masker_tells_nobody_what_it_hides() {
    assert_eq!(format!("{:?}", Masker::new(["aaaaa"])).matches("aaaaa").count(), 0);
}

#[test]
fn short_secrets_are_hidden_where_they_stand_in_one_piece() {
    let masker = Masker::new(["ab"]);
    assert_eq!(masker.mask("cab a\nb"), "c*** a\nb");
}

#[test]
fn what_comes_in_pieces_is_hidden_as_if_it_came_at_once() {
    let masker = Masker::new(["hunter2hunter2"]);
    let mut text = MaskedText::default();
    assert_eq!(text.push(&masker, "it is hunter2", PieceEnd::Open), "it is ");
    assert_eq!(text.push(&masker, "hunter2 or hu", PieceEnd::Open), "*** or ");
    assert_eq!(text.push(&masker, "mus", PieceEnd::Line), "humus\n");
    assert!(text.is_idle());
}

#[test]
fn a_line_waits_only_where_it_ends_with_much_of_a_secret() {
    let masker = Masker::new(["hunter2-of-the-long-night"]);
    let mut text = MaskedText::default();
    assert_eq!(text.push(&masker, "progress: hunt", PieceEnd::Line), "progress: hunt\n");
    assert_eq!(text.push(&masker, "er2-of-the", PieceEnd::Line), "");
    assert_eq!(text.push(&masker, "-long-night", PieceEnd::Line), "***\n");
    assert_eq!(text.push(&masker, "now hunter2-of", PieceEnd::Line), "");
    assert_eq!(text.push(&masker, "course", PieceEnd::Line), "now hunter2-of\ncourse\n");
    assert_eq!(text.push(&masker, "a hunter2-of", PieceEnd::Line), "");
    assert_eq!(text.finish(&masker), "a hunter2-of\n");
    assert!(text.is_idle());
    // The end of a whole one is hidden already, although another could begin there.
    let masker = Masker::new(["hunter2hunter2"]);
    assert_eq!(text.push(&masker, "hunter2hunter2", PieceEnd::Line), "***\n");
    assert_eq!(text.push(&masker, "hunter2 again", PieceEnd::Line), "*** again\n");
}

#[test]
fn of_a_line_whose_end_is_lost_no_beginning_of_a_secret_is_shown() {
    let masker = Masker::new(["hunter2-of-the-long-night"]);
    assert_eq!(masker.mask_cut("it is hunter2-of-t"), "it is ***");
    assert_eq!(masker.mask_cut("it is over"), "it is over");
}

#[test]
fn what_waits_is_bounded() {
    let masker = Masker::new(["hunter2-of-the-long-night"]);
    let mut text = MaskedText::default();
    text.push(&masker, "hunter2-of", PieceEnd::Line);
    let most = (0..10_000).map(|_| {
        text.push(&masker, "", PieceEnd::Line);
        text.text.len()
    });
    assert!(most.max() <= Some(masker.most()));
    // Nor does what overlaps itself without end.
    let (masker, mut text) = (Masker::new(["abababab"]), MaskedText::default());
    for _ in 0..1_000 {
        text.push(&masker, &"ab".repeat(100), PieceEnd::Open);
        assert!(text.text.len() <= masker.most());
    }
}

/// The text without what a wrapping adds.
fn flat(text: &str) -> String {
    text.replace('\n', "")
}

/// A text line by line, each in pieces of at most so many characters, and what is shown of it.
fn in_pieces(masker: &Masker, text: &str, sizes: &[usize]) -> String {
    let (mut masked, mut sizes, mut shown) = (MaskedText::default(), sizes.iter().cycle(), String::new());
    for line in text.split('\n') {
        let mut rest = line;
        loop {
            let size = sizes.next().copied().unwrap_or(1);
            let Some((at, _)) = rest.char_indices().nth(size) else { break };
            shown += &masked.push(masker, &rest[..at], PieceEnd::Open);
            rest = &rest[at..];
        }
        shown += &masked.push(masker, rest, PieceEnd::Line);
    }
    shown + &masked.finish(masker)
}

/// The ways in which a program may print a secret.
fn printed(secret: &str, way: usize) -> String {
    match way {
        0 => secret.to_owned(),
        1 => STANDARD.encode(secret),
        2 => URL_SAFE.encode(secret),
        3 => STANDARD.encode(format!("x{secret}")),
        4 => STANDARD.encode(format!("xy{secret}\n")),
        5 => serde_json::Value::from(secret).to_string(),
        6 => url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        7 => hex::encode(secret),
        _ => format!("'{}'", secret.replace('\'', "'\\''")),
    }
}

fn wrapped(text: &str, width: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(width).map(String::from_iter).collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// No form is shown, however it is cut and wrapped, and of what is shown no part is longer than what a line's
    /// end may show of a beginning, with the three characters that a secret shares with its surroundings.
    #[test]
    fn no_form_is_ever_shown(
        secret in "[!-)+-}é][ -)+-}é\n]{6,80}[!-)+-}é]",
        way in 0usize..9,
        width in 1usize..100,
        sizes in prop::collection::vec(1usize..40, 1..8),
        before in "[~ ]{0,20}",
    ) {
        let masker = Masker::new([&secret]);
        let form = printed(&secret, way);
        let text = format!("{before}{}~~\n~", wrapped(&form, width));
        let shown = flat(&in_pieces(&masker, &text, &sizes));
        prop_assert!(!shown.contains(&flat(&form)), "{shown}");
        let form: Vec<char> = flat(&form).chars().collect();
        for part in form.windows(TELLING + 3) {
            let part: String = part.iter().collect();
            prop_assert!(!shown.contains(&part), "{part} in {shown}");
        }
    }

    /// What is no secret is shown as it is, byte for byte, in any pieces.
    #[test]
    fn other_texts_are_left_alone(
        secret in "[a-d]{6,9}|[a-d\n]{12,20}",
        text in "[a-dé\n]{0,300}",
        sizes in prop::collection::vec(1usize..40, 1..8),
    ) {
        let masker = Masker::new([&secret]);
        prop_assume!(masker.forms.iter().all(|form| !flat(&text).contains(form.as_str())));
        prop_assert_eq!(in_pieces(&masker, &text, &sizes), format!("{text}\n"));
    }

    /// Pieces and lines hide what a whole text hides.
    #[test]
    fn pieces_are_as_good_as_the_whole(
        secrets in prop::collection::vec("[a-c]{2,8}", 1..4),
        text in "[a-c]{0,200}",
        sizes in prop::collection::vec(1usize..10, 1..8),
    ) {
        let masker = Masker::new(&secrets);
        let shown = in_pieces(&masker, &text, &sizes);
        for secret in &secrets {
            prop_assert!(!shown.contains(secret.as_str()), "{secret} in {shown}");
        }
    }
}

#[test]
fn the_corpus_holds() {
    corpus::hold("masking", masking::check);
}

proptest! {
    #![proptest_config(corpus::cases(192))]

    #[test]
    fn nearly_secrets_and_texts(bytes in corpus::nearly("masking"), text in any::<String>()) {
        masking::check(&bytes);
        masking::check(text.as_bytes());
    }
}
