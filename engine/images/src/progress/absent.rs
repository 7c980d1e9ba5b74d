//! BuildKit's reports in a build without the feature `buildkit`: the classic builder sends none.

use crate::sink::LogSink;
use bollard::models::BuildInfo;

/// Nothing that was said.
#[derive(Default)]
pub struct Progress;

impl Progress {
    /// An event of the classic builder carries no report.
    pub fn event(&mut self, _: &BuildInfo, _: &dyn LogSink) {}
}
