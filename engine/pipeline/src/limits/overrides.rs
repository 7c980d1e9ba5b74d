//! Limits other than the usual ones, as the server's administrator writes them beside a grant.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Limits;

/// What a row of the server's configuration says of limits: `{ memory = "128MiB", cpu = "30s", host-calls = "50000" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(Vec<Override>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Override {
    Memory(usize),
    Tables(usize),
    Cpu(Duration),
    Wall(Duration),
    Output(usize),
    Log(usize),
    HostCalls(u64),
    Handles(usize),
    Response(u64),
    Concurrent(u32),
    Waiting(usize),
}

/// The names for steps. Their wall time is their own `timeout`.
const OF_STEPS: [&str; 10] =
    ["memory", "tables", "cpu", "output", "log", "host-calls", "handles", "response", "concurrent", "waiting"];

/// The names for plugins that the server's own stages call. How many calls there are is for the stages to share.
const OF_STAGES: [&str; 9] = ["memory", "tables", "cpu", "wall", "output", "log", "host-calls", "handles", "response"];

impl Overrides {
    /// Reads what a policy says of the calls of steps: a limit's name and its value.
    ///
    /// # Errors
    ///
    /// Every mistake at once: an unknown name, or a value that is none.
    pub fn of_steps(written: &BTreeMap<String, String>) -> Result<Overrides, Vec<String>> {
        Overrides::parse(written, &OF_STEPS)
    }

    /// The same of a plugin that the server's own stages call.
    ///
    /// # Errors
    ///
    /// As [`Overrides::of_steps`].
    pub fn of_stages(written: &BTreeMap<String, String>) -> Result<Overrides, Vec<String>> {
        Overrides::parse(written, &OF_STAGES)
    }

    fn parse(written: &BTreeMap<String, String>, known: &[&str]) -> Result<Overrides, Vec<String>> {
        let (mut overrides, mut mistakes) = (Vec::new(), Vec::new());
        for (name, value) in written {
            match Override::parse(name, value, known) {
                Ok(one) => overrides.push(one),
                Err(mistake) => mistakes.push(format!("limits: {name}: `{value}`: {mistake}")),
            }
        }
        if mistakes.is_empty() { Ok(Overrides(overrides)) } else { Err(mistakes) }
    }

    /// The limits with these in place of their own.
    #[must_use]
    pub fn over(&self, mut limits: Limits) -> Limits {
        for one in &self.0 {
            match *one {
                Override::Memory(bytes) => limits.memory_bytes = bytes,
                Override::Tables(elements) => limits.table_elements = elements,
                Override::Cpu(time) => limits.cpu = time,
                Override::Wall(time) => limits.wall = time,
                Override::Output(bytes) => limits.output_bytes = bytes,
                Override::Log(bytes) => limits.log_bytes = bytes,
                Override::HostCalls(calls) => limits.host_calls = calls,
                Override::Handles(handles) => limits.handles = handles,
                Override::Response(bytes) => limits.response_bytes = bytes,
                Override::Concurrent(calls) => limits.concurrent = calls,
                Override::Waiting(calls) => limits.waiting = calls,
            }
        }
        limits
    }
}

impl Override {
    fn parse(name: &str, value: &str, known: &[&str]) -> Result<Override, String> {
        let unknown = || format!("there is no such limit; there are {}", known.join(", "));
        let name = known.contains(&name).then_some(name).ok_or_else(unknown)?;
        Ok(match name {
            "memory" => Override::Memory(bytes(value)?),
            "tables" => Override::Tables(number(value)?),
            "cpu" => Override::Cpu(time(value)?),
            "wall" => Override::Wall(time(value)?),
            "output" => Override::Output(bytes(value)?),
            "log" => Override::Log(bytes(value)?),
            "host-calls" => Override::HostCalls(number(value)?),
            "handles" => Override::Handles(number(value)?),
            "response" => Override::Response(bytes(value)? as u64),
            "concurrent" => Override::Concurrent(number(value)?),
            "waiting" => Override::Waiting(number(value)?),
            _ => return Err(unknown()),
        })
    }
}

fn number<T: std::str::FromStr>(written: &str) -> Result<T, String> {
    written.parse().map_err(|_| "write a number, such as 1000".to_owned())
}

/// A size, such as `64MiB`.
fn bytes(written: &str) -> Result<usize, String> {
    let help = || "write a size, such as 64MiB; the units are KiB, MiB and GiB".to_owned();
    let (digits, unit) = split(written);
    let shift = match unit {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(help()),
    };
    digits.parse::<usize>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(help)
}

/// A time, such as `30s`.
fn time(written: &str) -> Result<Duration, String> {
    let help = || "write a time, such as 30s; the units are ms, s and m".to_owned();
    let (digits, unit) = split(written);
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(help()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(ms)).map(Duration::from_millis).ok_or_else(help)
}

fn split(written: &str) -> (&str, &str) {
    written.split_at(written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
        rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn parse(rows: &[(&str, &str)]) -> Result<Limits, Vec<String>> {
        Ok(Overrides::of_steps(&written(rows))?.over(Limits::default()))
    }

    #[test]
    fn what_is_not_written_stays_as_it_is() {
        let limits = parse(&[("memory", "128MiB"), ("cpu", "1m"), ("host-calls", "7"), ("log", "512")]).unwrap();
        assert_eq!((limits.memory_bytes, limits.cpu), (128 << 20, Duration::from_secs(60)));
        assert_eq!((limits.host_calls, limits.log_bytes), (7, 512));
        let usual = Limits::default();
        assert_eq!((limits.handles, limits.wall), (usual.handles, usual.wall));
        for name in OF_STEPS {
            assert!(parse(&[(name, if name == "cpu" { "1s" } else { "1" })]).unwrap() != usual, "{name}");
        }
        for name in OF_STAGES {
            let row = written(&[(name, if ["cpu", "wall"].contains(&name) { "1s" } else { "1" })]);
            assert!(Overrides::of_stages(&row).unwrap().over(usual.clone()) != usual, "{name}");
        }
    }

    #[test]
    fn steps_and_stages_have_some_limits_of_their_own() {
        let refused = |parsed: Result<Overrides, Vec<String>>| parsed.unwrap_err().join("; ");
        let wall = refused(Overrides::of_steps(&written(&[("wall", "1s")])));
        assert!(wall.contains("limits: wall: `1s`: there is no such limit; there are memory"), "{wall}");
        let places = refused(Overrides::of_stages(&written(&[("concurrent", "9"), ("waiting", "9")])));
        assert_eq!(places.matches("there is no such limit").count(), 2, "{places}");
    }

    #[test]
    fn every_mistake_is_told_with_its_help() {
        let mistakes = parse(&[("memory", "much"), ("cpu", "30"), ("speed", "1"), ("handles", "-1")]).unwrap_err();
        assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
        assert!(mistakes[3].contains("there are memory, tables"), "{mistakes:#?}");
        assert!(parse(&[("memory", "99999999999999GiB")]).is_err());
    }
}
