//! Durations as people write them: `90s`, `15m`, `1h30m`.

use crate::reader::FileReader;
use crate::tree::Node;

/// The longest that a step may be given, in ms: a week.
pub const LONGEST_MS: u64 = 7 * 24 * 3_600_000;

/// Reads a duration in ms.
///
/// # Errors
/// What is wrong, and the help.
pub fn parse(text: &str) -> Result<u64, (String, String)> {
    let wrong = |help: &str| Err((format!("`{text}` is no duration"), help.to_owned()));
    let (mut rest, mut total, mut smallest) = (text, 0_u64, u64::MAX);
    if text.is_empty() {
        return wrong("write a number and a unit, such as `15m`");
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Ok(number) = rest[..digits].parse::<u64>() else {
            return wrong("write a whole number and a unit, such as `90s`, `15m` or `1h30m`");
        };
        let after = &rest[digits..];
        let unit = &after[..after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len())];
        let ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => {
                return Err((
                    format!("`{text}` has no unit"),
                    format!("write `{text}m` for minutes or `{text}s` for seconds"),
                ));
            }
            _ => return wrong("the units are `ms`, `s`, `m`, `h` and `d`, as in `1h30m`"),
        };
        if ms >= smallest {
            return wrong("write the larger unit first, and each once, as in `1h30m`");
        }
        smallest = ms;
        total = total.saturating_add(number.saturating_mul(ms));
        rest = &after[unit.len()..];
    }
    match total {
        0 => Err(("a duration of nothing".into(), "leave it out, or give it some time".into())),
        LONGEST_MS.. if total > LONGEST_MS => Err((format!("`{text}` is over a week"), "write at most `7d`".into())),
        _ => Ok(total),
    }
}

/// Reads a `timeout`, in ms, and notes what is wrong with it.
pub(super) fn read(reader: &mut FileReader<'_>, node: &Node) -> Option<u64> {
    let text = reader.text(node, "`timeout`")?;
    match parse(&text) {
        Ok(ms) => Some(ms),
        Err((message, help)) => {
            reader.wrong(&node.at, message, help);
            None
        }
    }
}

/// Writes a duration as people would.
pub fn show(ms: u64) -> String {
    let (mut rest, mut text) = (ms, String::new());
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (text, ms) in [("90s", 90_000), ("15m", 900_000), ("1h30m", 5_400_000), ("500ms", 500), ("7d", LONGEST_MS)]
        {
            assert_eq!(parse(text), Ok(ms));
        }
        assert_eq!((show(5_400_000), show(90_000), show(0)), ("1h30m".into(), "1m30s".into(), "0s".into()));
    }

    #[test]
    fn refused() {
        for bad in
            ["", "15", "m", "1.5h", "-1m", "1m1h", "1m1m", "0s", "8d", "1 h", "5µs", "99999999999999999999d", "1h30"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
