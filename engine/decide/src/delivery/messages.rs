//! The sentences in which a delivery says what comes of it.

use super::entry::Skipped;

/// Why a delivery opens no run: what stands in the way of each pipeline file.
pub(super) fn why_nothing(commit: &str, skipped: &[Skipped]) -> String {
    if skipped.is_empty() {
        return format!("there is no pipeline in `.bespin` at {}", commit.get(..7).unwrap_or(commit));
    }
    let shown = skipped.iter().take(5).map(|skipped| format!("{}: {}", skipped.file, skipped.because));
    let more = skipped.len().saturating_sub(5);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("no pipeline is for this: {}{more}", shown.collect::<Vec<_>>().join("; "))
}

/// Why a push that came with a backup opens no run, once its branch or tag is elsewhere.
pub(super) fn lost(reference: &str) -> String {
    format!(
        "`{reference}` has moved on since the backup that the journal was restored from, and what ran in between is not \
         known; start it by hand if it has to run"
    )
}
