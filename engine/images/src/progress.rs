//! BuildKit's reports as lines: numbered steps, their output, and how each ended.

use crate::sink::{LogSink, Stream};
use bollard::moby::buildkit::v1::{StatusResponse, Vertex};
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, BuilderVersion};
use std::collections::BTreeMap;

/// What was said about a build so far.
#[derive(Default)]
pub(crate) struct Progress {
    steps: BTreeMap<String, Step>,
}

struct Step {
    number: usize,
    phase: Phase,
    /// Output without its line feed yet.
    open: Vec<u8>,
}

#[derive(PartialEq)]
enum Phase {
    Announced,
    Ended,
}

/// The options of a build by BuildKit. A session belongs to one request.
pub(crate) fn buildkit(options: BuildImageOptionsBuilder, session: &str) -> BuildImageOptions {
    options.version(BuilderVersion::BuilderBuildKit).session(session).build()
}

impl Progress {
    /// Says what is new in an event of a build, where it carries a report.
    pub(crate) fn event(&mut self, event: &BuildInfo, sink: &dyn LogSink) {
        if let Some(BuildInfoAux::BuildKit(report)) = &event.aux {
            self.report(report, sink);
        }
    }

    fn report(&mut self, report: &StatusResponse, sink: &dyn LogSink) {
        for vertex in &report.vertexes {
            self.vertex(vertex, sink);
        }
        for log in &report.logs {
            let stream = if log.stream == 2 { Stream::Stderr } else { Stream::Stdout };
            let Some(step) = self.steps.get_mut(&log.vertex) else { continue };
            for part in log.msg.split_inclusive(|byte| *byte == b'\n') {
                step.open.extend_from_slice(part);
                if step.open.ends_with(b"\n") {
                    step.say(stream, sink);
                }
            }
        }
        for warning in &report.warnings {
            sink.line(Stream::Progress, &format!("warning: {}", String::from_utf8_lossy(&warning.short)));
        }
    }

    fn vertex(&mut self, vertex: &Vertex, sink: &dyn LogSink) {
        if vertex.started.is_none() && !vertex.cached {
            return;
        }
        let next = self.steps.len() + 1;
        let step = self.steps.entry(vertex.digest.clone()).or_insert_with(|| {
            sink.line(Stream::Progress, &format!("#{next} {}", vertex.name));
            Step { number: next, phase: Phase::Announced, open: Vec::new() }
        });
        if (vertex.completed.is_none() && vertex.error.is_empty()) || step.phase == Phase::Ended {
            return;
        }
        step.phase = Phase::Ended;
        step.say(Stream::Stdout, sink);
        let how = match (vertex.error.as_str(), vertex.cached) {
            ("", true) => "from the cache",
            ("", false) => "done",
            (error, _) => error,
        };
        sink.line(Stream::Progress, &format!("#{} {how}", step.number));
    }
}

impl Step {
    fn say(&mut self, stream: Stream, sink: &dyn LogSink) {
        let line = std::mem::take(&mut self.open);
        if !line.is_empty() {
            let text = String::from_utf8_lossy(&line);
            sink.line(stream, &format!("#{} {}", self.number, text.trim_end_matches(['\n', '\r'])));
        }
    }
}
