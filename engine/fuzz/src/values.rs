//! Values that plugins pass: what is let through has one spelling, stays below the top, and is no option of a program.

use super::*;
use std::path::{Component, Path};

/// The longest message about a value, in bytes, however long the value is.
const LONGEST: usize = 600;

/// Looks at bytes as each of the values.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    paths(text);
    let named = text.to_owned();
    let words = [
        tag(text),
        artifact(text),
        variable(text),
        terraform_variable(text),
        workspace(Some(text)),
        digest("plan", text),
        word("branch", text),
        optional_word("branch", Some(&named)),
    ];
    for fits in words {
        match fits {
            Ok(()) => {
                assert!(!text.is_empty(), "nothing is let through");
                assert!(!text.chars().any(|c| c.is_control() || c.is_whitespace()), "{text:?} is let through");
            }
            Err(why) => is_short(&why),
        }
    }
    // What becomes an argument of a program.
    if [tag(text), terraform_variable(text), workspace(Some(text)), word("branch", text)].iter().any(Result::is_ok) {
        assert!(!text.starts_with('-'), "{text:?} is an option");
    }
    if artifact(text).is_ok() {
        assert_eq!(Path::new(text).components().collect::<Vec<_>>(), [Component::Normal(text.as_ref())]);
    }
    assert_eq!(key(text).is_ok(), (1..=256).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b)));
    assert_eq!(at_most("text", text.len(), 9).is_ok(), text.len() < 10);
}

fn paths(text: &str) {
    match path(text) {
        Ok(kept) => {
            assert!(Path::new(&kept).components().all(|part| matches!(part, Component::Normal(_))), "{kept:?}");
            assert!(kept.split('/').all(|name| name != "..") && kept.len() <= text.len(), "{text:?} became {kept:?}");
            assert_eq!(path(&kept).as_ref(), Ok(&kept), "{kept:?} has two spellings");
            assert_eq!(file_path(text).ok(), (!kept.is_empty()).then_some(kept));
        }
        Err(why) => {
            is_short(&why);
            assert!(file_path(text).is_err());
        }
    }
}

fn is_short(why: &Failure) {
    let Failure::Rejected(why) = why else { panic!("{why:?}") };
    assert!(!why.is_empty() && why.len() <= LONGEST, "{} bytes of a message", why.len());
}
