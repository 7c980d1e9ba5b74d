//! BuildKit's reports in a build without the feature `buildkit`: the classic builder sends none.

use crate::sink::LogSink;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder};

/// Nothing that was said.
#[derive(Default)]
pub struct Progress;

/// The options of a build, which the classic builder carries out.
pub(crate) fn buildkit(options: BuildImageOptionsBuilder, _: &str) -> BuildImageOptions {
    options.build()
}

impl Progress {
    /// An event of the classic builder carries no report.
    pub fn event(&mut self, _: &BuildInfo, _: &dyn LogSink) {}
}
