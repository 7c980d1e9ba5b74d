//! What the commit says.

use super::{IMAGE_TRAILER, Intent, RUN_TRAILER, STEP_TRAILER};
use crate::request::Key;
use pipeline::ImageRef;

/// A subject, what else the author wrote, and the trailers by which it is found.
pub(super) fn message(key: &Key, intent: &Intent, image: &ImageRef) -> String {
    let name = image.repository.rsplit('/').next().unwrap_or(&image.repository);
    let to = image.tag.clone().or_else(|| image.digest.as_ref().map(|digest| digest.short().to_owned()));
    let own = format!("Bump {name} to {}", to.unwrap_or_default());
    let given = intent.message.as_deref().unwrap_or(&own);
    // A line that looks like one of our trailers would make the history lie.
    let honest = given.lines().filter(|line| !line.trim_start().to_ascii_lowercase().starts_with("bespin-"));
    let text = honest.collect::<Vec<_>>().join("\n");
    let text = if text.trim().is_empty() { own } else { text.trim().to_owned() };
    let (run, step, image) = (&key.run, &key.step, &intent.image);
    format!("{text}\n\n{RUN_TRAILER}: {run}\n{STEP_TRAILER}: {step}\n{IMAGE_TRAILER}: {image}\n")
}

pub(super) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
