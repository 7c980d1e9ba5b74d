//! The bump's edit: exactly the image is written, byte for byte nothing else, twice is once, and put back is as before.

use decide::bump::{File, Report, Swap, edit, put_back};
use pipeline::ImageRef;

/// The image that is written; its name stands in the corpus.
pub(crate) const IMAGE: &str = "h.io/a/web:v2";

/// Looks at bytes as a path's first byte and a manifest.
pub(crate) fn check(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let path = if *first == b'k' { "app/kustomization.yaml" } else { "app/web.yaml" };
    let image: ImageRef = IMAGE.parse().expect("it is one");
    let file = |text: &str| [File { path: path.to_owned(), text: text.to_owned() }];
    match edit(&file(text), &image, IMAGE, "app") {
        Err(why) => assert!(!why.is_empty()),
        Ok(report) => {
            let [(written, new)] = &report.files[..] else {
                assert!(report.files.is_empty() && report.edits.is_empty(), "{report:?}");
                return;
            };
            assert_eq!(written, path);
            only_the_image(text, new, &report);
            let again = edit(&file(new), &image, IMAGE, "app").expect("what was written can be written again");
            assert!(again.files.is_empty(), "the second time changes {:?}", again.edits);
            is_put_back(text, new, &report);
        }
    }
}

/// The lines with their endings, as YAML counts them: a carriage return alone ends one as well.
fn lines(text: &str) -> Vec<&str> {
    let (mut lines, mut left) = (Vec::new(), text);
    while let Some(at) = left.find(['\r', '\n']) {
        let end = at + if left[at..].starts_with("\r\n") { 2 } else { 1 };
        lines.push(&left[..end]);
        left = &left[end..];
    }
    lines.push(left);
    lines
}

/// The texts differ in the reported lines alone; and there in nothing but the image.
fn only_the_image(old: &str, new: &str, report: &Report) {
    let (old, new) = (lines(old), lines(new));
    assert_eq!(old.len(), new.len(), "an edit adds no line and removes none");
    for (at, (old, new)) in old.iter().zip(&new).enumerate() {
        // In the order of the line, which that of the manifest need not be.
        let mut edits: Vec<_> = report.edits.iter().filter(|edit| edit.line == at + 1).collect();
        if edits.is_empty() {
            assert_eq!(old, new, "line {} is not reported", at + 1);
        }
        // Whatever both begin with and end with goes; each image in turn, and its quotes, must be all that is left.
        let (mut old, mut new) = (*old, *new);
        while !edits.is_empty() {
            let same = old.bytes().zip(new.bytes()).take_while(|(old, new)| old == new).count();
            let fits = |edit: &&decide::bump::Edit| {
                (0..=same).rev().any(|at| rest(old, at, &edit.old).is_some() && rest(new, at, &edit.new).is_some())
            };
            let found = edits.iter().position(fits);
            let edit = edits.remove(found.unwrap_or_else(|| panic!("{old:?} became {new:?} by none of {edits:?}")));
            let at =
                (0..=same).rev().find(|at| rest(old, *at, &edit.old).is_some() && rest(new, *at, &edit.new).is_some());
            let at = at.expect("it was found");
            old = rest(old, at, &edit.old).expect("it was found");
            new = rest(new, at, &edit.new).expect("it was found");
        }
        assert_eq!(old, new);
    }
}

/// What follows a value that stands at a place, in quotes or not.
fn rest<'t>(line: &'t str, at: usize, value: &str) -> Option<&'t str> {
    let line = line.get(at..)?;
    line.strip_prefix(value).or_else(|| line.strip_prefix(&format!("\"{value}\"")))
}

/// Where all images were the same, the edit is undone to the byte.
fn is_put_back(old: &str, new: &str, report: &Report) {
    let [first, others @ ..] = &report.edits[..] else { return };
    let is_image = |value: &str| value.starts_with("h.io/a/web:") && !value.contains('@');
    let alone = !old.contains(IMAGE) && others.iter().all(|edit| edit.old == first.old);
    if !alone || !is_image(&first.old) || report.edits.iter().any(|edit| edit.new != IMAGE) {
        return;
    }
    let file = File { path: "app/web.yaml".into(), text: new.to_owned() };
    let swap = Swap { from: IMAGE.into(), to: first.old.clone() };
    let back = put_back(&[file], &[swap]).expect("what was written can be put back");
    assert_eq!(back.files.first().map(|(_, text)| text.as_str()), Some(old));
}
