//! Writes an image's name into manifests, and touches nothing else.
//!
//! The bytes of the name are replaced where the parser says that they stand;
//! then the old and the new text are both read again by another parser, and
//! unless they differ in exactly the intended values, nothing is written.

use super::File;
use super::find::{PathPart, Spot, find, name_of};
use pipeline::ImageRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How many names or files a message lists.
const LISTED: usize = 8;

/// What an edit came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whole new texts, by path; empty where every place named the image already.
    pub files: Vec<(String, String)>,
    /// Each name that was replaced, with its place.
    pub edits: Vec<Edit>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// One name that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The file's path from the repository's root.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The image or tag that stood there before the edit.
    pub old: String,
    /// What stands there now.
    pub new: String,
}

impl Edit {
    /// The place, as `file:line`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.path, self.line)
    }
}

/// Writes `text` (`host/name:tag`, parsed as `image`) wherever the files name
/// another tag or digest of the same image; `searched` is the path, for messages.
///
/// # Errors
/// A sentence with the help: nothing names the image, or a place cannot be
/// edited safely.
pub fn edit(files: &[File], image: &ImageRef, text: &str, searched: &str) -> Result<Report, String> {
    let mut seen = Searched::default();
    // A file that cannot be read matters only if it might have named the image.
    let may_name = |text: &str| text.contains(last_part(&image.repository));
    let mut report =
        rewrite_all(files, &mut seen, may_name, |spot, file, report| wanted(spot, image, text, report, file))?;
    if seen.matches == 0 {
        return Err(seen.nothing(files, image, searched));
    }
    report.warnings.extend(seen.unread.iter().map(|unread| format!("{unread}; it was left as it is")));
    Ok(report)
}

/// An image, and the one that shall stand in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// The whole name, as it stands in the manifests.
    pub from: String,
    /// The whole name that shall stand there.
    pub to: String,
}

/// Writes each `to` where the files name exactly its `from`: whatever else
/// stands there by now is newer, and stays. No files come back where nothing
/// names any of them.
///
/// # Errors
/// A sentence with the help: a place cannot be read or edited safely.
pub fn put_back(files: &[File], swaps: &[Swap]) -> Result<Report, String> {
    let mut seen = Searched::default();
    let wanted = |spot: &Spot, _: &File, _: &mut Report| swaps.iter().find_map(|swap| swap.wanted(spot));
    let report = rewrite_all(files, &mut seen, |text| mentions(text, swaps), wanted)?;
    match seen.unread.first() {
        Some(unread) => Err(format!("{unread}; put the image back there by hand")),
        None => Ok(report),
    }
}

/// Whether a file names exactly one of the images; what cannot be read does as
/// soon as it mentions one.
pub(crate) fn names(file: &File, swaps: &[Swap]) -> bool {
    match find(&file.path, &file.text) {
        Ok(spots) => spots.iter().any(|spot| swaps.iter().any(|swap| swap.wanted(spot).is_some())),
        Err(_) => mentions(&file.text, swaps),
    }
}

/// Whether the tag or the digest of one of the images stands anywhere in a text.
pub(crate) fn mentions(text: &str, swaps: &[Swap]) -> bool {
    swaps.iter().any(|swap| text.contains(swap.from[name_of(&swap.from).len()..].trim_start_matches([':', '@'])))
}

impl Swap {
    fn wanted(&self, spot: &Spot) -> Option<String> {
        let (old, new) = match spot.part {
            PathPart::Image => (Some(self.from.as_str()), self.to.as_str()),
            PathPart::Tag if spot.name == name_of(&self.from) && spot.name == name_of(&self.to) => {
                (tag_of(&self.from), tag_of(&self.to)?)
            }
            PathPart::Tag => return None,
        };
        (old == Some(spot.value.as_str())).then(|| new.to_owned())
    }
}

/// The tag of an image without a digest.
fn tag_of(image: &str) -> Option<&str> {
    image[name_of(image).len()..].strip_prefix(':').filter(|tag| !tag.contains('@'))
}

/// The files' new texts, where `wanted` says what shall stand at a spot.
fn rewrite_all(
    files: &[File],
    seen: &mut Searched,
    may_name: impl Fn(&str) -> bool,
    wanted: impl Fn(&Spot, &File, &mut Report) -> Option<String>,
) -> Result<Report, String> {
    let mut report = Report::default();
    for file in files {
        let spots = match find(&file.path, &file.text) {
            Ok(spots) => spots,
            Err(error) => {
                if may_name(&file.text) {
                    seen.unread.push(format!("{}: {error}", file.path));
                }
                continue;
            }
        };
        seen.names.extend(spots.iter().map(|spot| spot.name.clone()));
        let mut changes: Vec<TextChange> =
            spots.iter().filter_map(|spot| Some(TextChange { spot, new: wanted(spot, file, &mut report)? })).collect();
        seen.matches += changes.len();
        changes.retain(|change| change.spot.value != change.new);
        if changes.is_empty() {
            continue;
        }
        let new = splice(&file.path, &file.text, &changes)?;
        verify(&file.path, &file.text, &new, &changes)?;
        report.files.push((file.path.clone(), new));
        report.edits.extend(changes.into_iter().map(|change| Edit {
            path: file.path.clone(),
            line: change.spot.line,
            old: change.spot.value.clone(),
            new: change.new,
        }));
    }
    Ok(report)
}

/// One name and what shall stand there.
struct TextChange<'s> {
    spot: &'s Spot,
    new: String,
}

fn wanted(spot: &Spot, image: &ImageRef, text: &str, report: &mut Report, file: &File) -> Option<String> {
    match fit(&spot.name, image) {
        ValueFit::Other => return None,
        ValueFit::Same => {}
        ValueFit::Placeholder => report.warnings.push(format!(
            "{}:{}: `{}` begins with a placeholder that nothing fills in; it was read as {}",
            file.path,
            spot.line,
            spot.name,
            image.name()
        )),
    }
    match spot.part {
        PathPart::Image => Some(text.to_owned()),
        PathPart::Tag => image.tag.clone(),
    }
}

/// How a name in a manifest stands to the wanted image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueFit {
    Same,
    /// It ends like the wanted image, behind something that can be no registry
    /// and no path: `ECR_REPO/petclinic-was`, `$REGISTRY/petclinic-was`.
    Placeholder,
    Other,
}

fn fit(name: &str, image: &ImageRef) -> ValueFit {
    if let Ok(named) = name.parse::<ImageRef>() {
        return if named.name() == image.name() { ValueFit::Same } else { ValueFit::Other };
    }
    let Some((host, rest)) = name.split_once('/') else { return ValueFit::Other };
    // A dot, a colon or `localhost` make it a registry; a lower-case path is Docker Hub's.
    let registry = host.contains(['.', ':']) || host == "localhost";
    let same_end = last_part(rest) == last_part(&image.repository);
    if !registry && same_end { ValueFit::Placeholder } else { ValueFit::Other }
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Replaces the names and leaves every other byte as it is.
fn splice(path: &str, text: &str, changes: &[TextChange<'_>]) -> Result<String, String> {
    let mut bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    bytes.push(text.len());
    let mut changes: Vec<&TextChange<'_>> = changes.iter().collect();
    changes.sort_by_key(|change| change.spot.start);
    let mut new = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for change in changes {
        let spot = change.spot;
        let refuse = |problem: &str| format!("{path}:{}: {problem}; write the image's name out there", spot.line);
        let (Some(&start), Some(&end)) = (bytes.get(spot.start), bytes.get(spot.end)) else {
            return Err(refuse("the place of the image's name is not clear"));
        };
        if start < done {
            return Err(refuse("the image comes by an alias (`*name`) of a place that is edited too"));
        }
        let (old, written) = rewrite(&text[start..end], &spot.value, &change.new, spot.part)
            .ok_or_else(|| refuse("the image stands behind an anchor, an alias, a tag, an escape or in a block"))?;
        let end = start + old;
        new.push_str(&text[done..start]);
        new.push_str(&written);
        done = end;
    }
    new.push_str(&text[done..]);
    Ok(new)
}

/// How many bytes the scalar has, and its new text in the quotes that it had;
/// `None` unless the raw text is plainly its value. The place of a quoted
/// scalar reaches over the blanks and the comment that follow it.
fn rewrite(raw: &str, value: &str, new: &str, part: PathPart) -> Option<(usize, String)> {
    for quote in ["\"", "'"] {
        let quoted = format!("{quote}{value}{quote}");
        if raw.starts_with(&quoted) {
            return Some((quoted.len(), format!("{quote}{new}{quote}")));
        }
    }
    if raw != value {
        return None;
    }
    // A tag of digits would be read as a number, and `no` as false.
    let plain = part == PathPart::Image || (new.starts_with('v') && new.len() > 1);
    Some((raw.len(), if plain { new.to_owned() } else { format!("\"{new}\"") }))
}

/// Demands that the new text differs from the old in exactly these values.
fn verify(path: &str, old: &str, new: &str, changes: &[TextChange<'_>]) -> Result<(), String> {
    let read = |text: &str| -> Result<Vec<Value>, String> {
        serde_saphyr::from_multiple(text).map_err(|error| format!("{path}: {error}"))
    };
    let (old, new) = (read(old)?, read(new)?);
    let mut found = BTreeMap::new();
    if old.len() == new.len() {
        for (old, new) in old.iter().zip(&new) {
            differ(old, new, String::new(), &mut found);
        }
    }
    let mut intended: BTreeMap<(String, String), usize> = BTreeMap::new();
    for change in changes {
        *intended.entry((change.spot.pointer.clone(), Value::from(change.new.clone()).to_string())).or_default() += 1;
    }
    if found == intended {
        return Ok(());
    }
    let stray = found.keys().find(|place| !intended.contains_key(*place)).map(|(pointer, _)| pointer.as_str());
    Err(format!(
        "{path}: the edit would also change `{}`, by an anchor or a merge key; write the image's name out there",
        stray.unwrap_or("the file's structure")
    ))
}

/// Counts the places where two values differ, with what the new one says there.
fn differ(old: &Value, new: &Value, at: String, found: &mut BTreeMap<(String, String), usize>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() && a.keys().all(|key| b.contains_key(key)) => {
            for (key, value) in a {
                let key_at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                differ(value, &b[key], key_at, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differ(a, b, format!("{at}/{index}"), found);
            }
        }
        (a, b) if a == b => {}
        (_, b) => *found.entry((at, b.to_string())).or_default() += 1,
    }
}

/// What was looked at, for the message when nothing fits.
#[derive(Default)]
struct Searched {
    names: BTreeSet<String>,
    unread: Vec<String>,
    matches: usize,
}

impl Searched {
    fn nothing(&self, files: &[File], image: &ImageRef, searched: &str) -> String {
        let wanted = image.name();
        if files.is_empty() {
            return format!("there are no YAML files in `{searched}` to name {wanted} in; check the step's `path`");
        }
        let mut text = format!("none of the {} YAML files in `{searched}` names {wanted}", files.len());
        text.push_str(&format!(" (searched: {})", list(files.iter().map(|file| file.path.as_str()))));
        let mut names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        names.sort_by_key(|name| (distance(last_part(name_of(name)), last_part(&image.repository)), *name));
        if !names.is_empty() {
            text.push_str(&format!("; the nearest names there: {}", list(names.into_iter())));
        }
        if !self.unread.is_empty() {
            text.push_str(&format!("; could not be read: {}", list(self.unread.iter().map(String::as_str))));
        }
        text
    }
}

fn list<'t>(items: impl ExactSizeIterator<Item = &'t str>) -> String {
    let more = items.len().saturating_sub(LISTED);
    let shown = items.take(LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Levenshtein's distance, over at most 64 characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}
