//! The pipeline file: it is a pipeline or has mistakes, never both and never neither, and the journal keeps it as it is.

use crate::places;
use pipeline::Pipeline;

/// Looks at bytes as a pipeline file.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = pipeline::read(".bespin/was.yaml", text);
    places::are_within(text, &read.mistakes);
    places::are_within(text, &read.warnings);
    assert_eq!(read.pipeline.is_some(), read.mistakes.is_empty(), "{:?}", read.mistakes);
    if let Some(pipeline) = read.pipeline {
        let kept = serde_json::to_string(&pipeline).expect("a pipeline is plain data");
        let again: Pipeline = serde_json::from_str(&kept).unwrap_or_else(|error| panic!("{kept}: {error}"));
        assert_eq!(again, pipeline);
    }
}
