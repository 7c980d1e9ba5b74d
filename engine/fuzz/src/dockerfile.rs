//! Dockerfiles: a recipe or objections, and every objection has its line. What is copied stays within the context and
//! the image, and no text grows beyond what it is made of.

use decide::image::dockerfile::{FileStep, Recipe, lines, read};
use std::collections::BTreeMap;

/// The longest that a text with its variables may be, in bytes, beside what is written.
const LONGEST: usize = 1 << 20;

/// Looks at bytes as a Dockerfile.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let last = text.lines().count();
    let read_lines = lines::split(text).lines;
    assert!(read_lines.is_sorted_by(|one, next| one.number < next.number), "{read_lines:?}");
    assert!(read_lines.iter().all(|line| (1..=last).contains(&line.number)), "{read_lines:?}");
    for arguments in [BTreeMap::new(), BTreeMap::from([("version".to_owned(), "7 $x".to_owned())])] {
        match read(text, &arguments) {
            Ok(recipe) => is_possible(&recipe, last),
            Err(objections) => {
                assert!(!objections.is_empty());
                for objection in objections {
                    assert!(objection.line <= last && !objection.message.is_empty(), "{objection:?}");
                    let said = objection.to_string().len();
                    assert!(said <= LONGEST + 4 * text.len(), "{said} bytes of a message");
                }
            }
        }
    }
}

fn is_possible(recipe: &Recipe, last: usize) {
    for step in &recipe.steps {
        let target = match step {
            FileStep::Directory { path } => path,
            FileStep::Copy(copy) => {
                assert!((1..=last).contains(&copy.line), "{copy:?}");
                assert!(copy.sources.iter().all(|source| is_clean(source)), "{copy:?} leaves the context");
                &copy.target
            }
        };
        let within = target.strip_prefix('/');
        assert!(within.is_some_and(is_clean), "{target} is no place in an image");
    }
    // A name and its value.
    let longest = recipe.config.env.iter().map(String::len).max().unwrap_or_default();
    assert!(longest <= 3 * LONGEST, "{longest} bytes of environment");
}

/// Whether a path goes down only.
fn is_clean(path: &str) -> bool {
    path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
