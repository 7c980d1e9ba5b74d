//! Values in every form, most of them wrong.

use super::*;
use proptest::prelude::*;

#[path = "../../../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../../../fuzz/src/values.rs"]
mod values;

#[test]
fn paths_have_one_spelling() {
    for (written, expected) in
        [("", ""), (".", ""), ("./", ""), ("was", "was"), ("./was/", "was"), ("a/b.yaml", "a/b.yaml"), ("..a", "..a")]
    {
        assert_eq!(path(written), Ok(expected.to_owned()), "{written}");
    }
}

#[test]
fn paths_stay_in_the_workspace() {
    for written in ["..", "../x", "a/../b", "a//b", "a/./b", "/etc/passwd", "a\\b", "a\0b", "./../x", "./.."] {
        assert!(path(written).is_err(), "{written}");
    }
    assert!(file_path(".").is_err());
}

#[test]
fn artifacts_and_keys() {
    assert!(artifact("report.xml").is_ok() && key("maven-0f3a/linux").is_ok());
    for written in ["", ".", "..", ".hidden", "a/b", "a b", "a\0", &"x".repeat(129)] {
        assert!(artifact(written).is_err(), "{written}");
    }
    for written in ["", "a\n", "é", &"x".repeat(257)] {
        assert!(key(written).is_err(), "{written}");
    }
}

#[test]
fn what_terraform_is_told() {
    assert!(terraform_variable("instance-type").is_ok() && workspace(Some("production")).is_ok());
    assert!(digest("plan", &format!("sha256:{}", "0".repeat(64))).is_ok() && workspace(None).is_ok());
    for written in ["", "a=b", "1a", "a b", "-a", "a\0"] {
        assert!(terraform_variable(written).is_err(), "{written}");
    }
    for written in ["", "-or-create", "a/b", "..", "a b"] {
        assert!(workspace(Some(written)).is_err(), "{written}");
    }
    for written in ["", "sha256:", &"0".repeat(64), "sha256:../../x", &format!("sha256:{}", "A".repeat(64))] {
        assert!(digest("plan", written).is_err(), "{written}");
    }
}

#[test]
fn tags_and_words() {
    assert!(tag("v55-f31bdcc").is_ok());
    for written in ["", ".x", "-x", "a b", "a/b", &"x".repeat(129)] {
        assert!(tag(written).is_err(), "{written}");
    }
    for written in ["", "--upload-pack=x", "a b", "a..b"] {
        assert!(word("branch", written).is_err(), "{written}");
    }
}

#[test]
fn the_corpus_holds() {
    corpus::hold("values", values::check);
}

proptest! {
    #![proptest_config(corpus::cases(256))]

    #[test]
    fn nearly_values(bytes in corpus::nearly("values"), text in any::<String>()) {
        values::check(&bytes);
        values::check(text.as_bytes());
    }

    /// Names that are put together stay what they are, with the usual ways to write the top and a folder.
    #[test]
    fn a_path_of_names_is_itself(
        names in prop::collection::vec("[a-zé._-]{1,6}", 1..5),
        before in "(\\./){0,3}",
        after in "/{0,2}",
    ) {
        prop_assume!(!names.iter().any(|name| name == "." || name == ".."));
        let bare = names.join("/");
        prop_assert_eq!(path(&format!("{before}{bare}{after}")), Ok(bare));
    }
}
