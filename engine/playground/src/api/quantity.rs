//! Quantities, as the real server reads them and writes them back (apimachinery, pkg/api/resource/quantity.go).

use std::cmp::Ordering;

use serde_json::Value;

use super::kind::Kind;

const FORM: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const SUFFIX: &str = "unable to parse quantity's suffix";
const NUMBER: &str = "unable to parse numeric part of quantity";

/// The number of the smallest part that a quantity has, in one.
const NANO: i128 = 1_000_000_000;

/// The suffixes of powers of ten.
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// A quantity in billionths, as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Quantity {
    nano: i128,
    format: Format,
    /// The text, where it is short enough to be kept as it is.
    kept: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

impl Quantity {
    /// Reads a quantity.
    ///
    /// # Errors
    /// The sentence that the real server has for it.
    pub(crate) fn parse(text: &str) -> Result<Quantity, &'static str> {
        let (sign, rest) = match text.as_bytes().first() {
            Some(b'-') => (-1, &text[1..]),
            Some(b'+') => (1, &text[1..]),
            Some(_) => (1, text),
            None => return Err(FORM),
        };
        let digits_end = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (whole, rest) = rest.split_at(digits_end(rest));
        let (part, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits_end(rest)),
            None => ("", rest),
        };
        let whole = whole.trim_start_matches('0');
        let letters = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
        let exponent = letters.strip_prefix(['+', '-']).unwrap_or(letters);
        if !exponent.chars().all(|c| c.is_ascii_digit()) {
            return Err(FORM);
        }
        let (format, base, power) = interpret(suffix).ok_or(SUFFIX)?;
        let number: i128 = format!("0{whole}{part}").parse().map_err(|_| NUMBER)?;
        let places = i32::try_from(part.len()).map_err(|_| NUMBER)?;
        let nano = sign * scaled(number, base, power, places).ok_or(NUMBER)?;
        let kept = keeps(whole, part, number, format, power).then(|| text.to_owned());
        let format = if format == Format::Binary && nano.abs() < NANO { Format::Decimal } else { format };
        Ok(Quantity { nano, format, kept })
    }

    /// Rounds up to thousandths, as lists of resources are.
    pub(crate) fn rounded_to_thousandths(mut self) -> Quantity {
        const MILLI: i128 = NANO / 1000;
        if self.nano % MILLI != 0 {
            let up = i128::from(self.nano > 0);
            self.nano = (self.nano / MILLI + up) * MILLI;
            self.kept = None;
        }
        self
    }

    /// Whether it is a whole number.
    pub(crate) fn is_whole(&self) -> bool {
        self.nano % NANO == 0
    }

    /// Compares it with nothing.
    pub(crate) fn sign(&self) -> Ordering {
        self.nano.cmp(&0)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nano == other.nano
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        self.nano.partial_cmp(&other.nano)
    }
}

/// The canonical form, or the written one where that counts as canonical.
impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kept {
            Some(text) => f.write_str(text),
            None if self.nano == 0 => f.write_str("0"),
            None if self.format == Format::Binary && self.nano.abs() >= 1024 * NANO && self.is_whole() => {
                let (mut number, mut at) = (self.nano / NANO, 0);
                while number % 1024 == 0 && at < 6 {
                    (number, at) = (number / 1024, at + 1);
                }
                write!(f, "{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][at])
            }
            None => {
                let (mut number, mut power) = (self.nano, -9);
                while number % 1000 == 0 && power < 18 {
                    (number, power) = (number / 1000, power + 3);
                }
                match (self.format, power) {
                    (_, 0) => write!(f, "{number}"),
                    (Format::Exponent, _) => write!(f, "{number}e{power}"),
                    _ => {
                        write!(f, "{number}{}", DECIMAL.iter().find(|(_, p)| *p == power).map_or("", |(name, _)| name))
                    }
                }
            }
        }
    }
}

/// What a suffix stands for: the format, the base and the power.
fn interpret(suffix: &str) -> Option<(Format, i128, i32)> {
    let binary = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
    let of = |table: &[(&str, i32)]| table.iter().find(|(name, _)| *name == suffix).map(|(_, power)| *power);
    if let Some(power) = of(&DECIMAL) {
        return Some((Format::Decimal, 10, power));
    }
    if let Some(power) = of(&binary) {
        return Some((Format::Binary, 2, power));
    }
    let power = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((Format::Exponent, 10, power))
}

/// The number of billionths; anything smaller counts as one.
fn scaled(number: i128, base: i128, power: i32, places: i32) -> Option<i128> {
    let number = if base == 2 { number.checked_mul(2_i128.checked_pow(power.try_into().ok()?)?)? } else { number };
    let shift = if base == 10 { power } else { 0 }.saturating_add(9).saturating_sub(places);
    let factor = 10_i128.checked_pow(shift.unsigned_abs());
    match (shift, factor) {
        (0.., factor) => number.checked_mul(factor?),
        (_, Some(factor)) => Some(number / factor + i128::from(number % factor != 0)),
        (_, None) => Some(i128::from(number != 0)),
    }
}

/// Whether the real server keeps the text, because its short way finds it canonical.
fn keeps(whole: &str, part: &str, number: i128, format: Format, power: i32) -> bool {
    let length = i32::try_from(whole.len().max(1) + part.len()).unwrap_or(i32::MAX);
    if format == Format::Binary {
        let precision = 14_i32.saturating_sub(length) - power * 3 / 10;
        return part.is_empty() && precision >= 0 && number & 7 != 0;
    }
    let scale = power.saturating_sub(i32::try_from(part.len()).unwrap_or(i32::MAX));
    let digits = format!("{}{part}", if whole.is_empty() { "0" } else { whole });
    length <= 18 && scale >= -9 && scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0')
}

/// What a kind's quantities are found by: a star stands for every item or field, and a mark before the path for how they
/// are rounded: `+` up to thousandths, `=` not at all.
fn paths(kind: &str) -> Vec<String> {
    let of_pod = |spec: &str| {
        let mut paths = vec![format!("+{spec}/overhead/*"), format!("={spec}/volumes/*/emptyDir/sizeLimit")];
        for list in ["containers", "initContainers"] {
            for side in ["limits", "requests"] {
                paths.push(format!("+{spec}/{list}/*/resources/{side}/*"));
            }
            paths.push(format!("={spec}/{list}/*/env/*/valueFrom/resourceFieldRef/divisor"));
        }
        paths
    };
    let of_claim = |spec: &str| vec![format!("+{spec}/resources/requests/*"), format!("+{spec}/resources/limits/*")];
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    match kind {
        "Pod" => of_pod("/spec"),
        "Deployment" | "ReplicaSet" | "DaemonSet" | "Job" => of_pod("/spec/template/spec"),
        "StatefulSet" => [of_pod("/spec/template/spec"), of_claim("/spec/volumeClaimTemplates/*/spec")].concat(),
        "CronJob" => of_pod("/spec/jobTemplate/spec/template/spec"),
        "PersistentVolumeClaim" => [of_claim("/spec"), owned(&["+/status/capacity/*"])].concat(),
        "PersistentVolume" => owned(&["+/spec/capacity/*"]),
        "ResourceQuota" => owned(&["+/spec/hard/*", "+/status/hard/*", "+/status/used/*"]),
        "Node" => owned(&["+/status/capacity/*", "+/status/allocatable/*"]),
        "LimitRange" => ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
            .map(|field| format!("+/spec/limits/*/{field}/*"))
            .to_vec(),
        "HorizontalPodAutoscaler" => {
            owned(&["=/spec/metrics/*/*/target/value", "=/spec/metrics/*/*/target/averageValue"])
        }
        _ => Vec::new(),
    }
}

/// Writes every quantity of an object as the real server writes it back.
///
/// # Errors
/// Why the first one cannot be read.
pub(crate) fn canonical(kind: &Kind, object: &mut Value) -> Result<(), &'static str> {
    for path in paths(&kind.kind) {
        let rounding = if path.starts_with('+') { QuantityRounding::Thousandths } else { QuantityRounding::No };
        let steps: Vec<&str> = path[1..].split('/').skip(1).collect();
        each(object, &steps, rounding)?;
    }
    Ok(())
}

/// Whether every quantity of an object can be read.
///
/// # Errors
/// Why the first one cannot.
pub(crate) fn check(kind: &Kind, object: &Value) -> Result<(), &'static str> {
    if paths(&kind.kind).is_empty() { Ok(()) } else { canonical(kind, &mut object.clone()) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum QuantityRounding {
    No,
    Thousandths,
}

fn each(value: &mut Value, steps: &[&str], rounding: QuantityRounding) -> Result<(), &'static str> {
    match (steps, value) {
        ([], value) => {
            let text = match &*value {
                Value::Null => return Ok(()),
                Value::String(text) => text.trim().to_owned(),
                other => other.to_string(),
            };
            let quantity = Quantity::parse(&text)?;
            let quantity =
                if rounding == QuantityRounding::Thousandths { quantity.rounded_to_thousandths() } else { quantity };
            *value = quantity.to_string().into();
            Ok(())
        }
        (["*", rest @ ..], Value::Object(map)) => map.values_mut().try_for_each(|inner| each(inner, rest, rounding)),
        (["*", rest @ ..], Value::Array(list)) => list.iter_mut().try_for_each(|inner| each(inner, rest, rounding)),
        ([step, rest @ ..], Value::Object(map)) => {
            map.get_mut(*step).map_or(Ok(()), |inner| each(inner, rest, rounding))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back_as_the_real_server_writes_it() {
        // Each pair was answered by kube-apiserver 1.36.2, for a container's request.
        let pairs = "1000m=1 0.5=500m 1024Mi=1Gi 1000Mi=1000Mi 1.5Gi=1536Mi 0.1=100m 100u=1m 1e3=1e3 1E3=1E3 12e6=12e6 \
            1000000=1M 1k=1k 1000k=1M 1.0=1 +1=+1 01=01 0=0 0m=0 0.0001=1m 1.2345678912=1235m 0.00000000001=1m 1Ei=1Ei \
            10000000000000000000=10E 1536Mi=1536Mi 1024=1024 1048576Ki=1Gi 123456789012345678901=123456789012345678901 \
            0.5Gi=512Mi .5=500m 5.=5. 1000n=1m 1500000u=1500m -0=0 2=2 -1=-1 500m=500m 128Mi=128Mi";
        for pair in pairs.split_whitespace() {
            let (written, answered) = pair.split_once('=').unwrap();
            assert_eq!(Quantity::parse(written).unwrap().rounded_to_thousandths().to_string(), answered, "{written}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_the_real_sentence() {
        for (text, why) in [
            ("500mm", SUFFIX),
            ("1e", SUFFIX),
            ("1.5.0", FORM),
            ("abc", FORM),
            ("", FORM),
            ("1gi", FORM),
            ("1GB", FORM),
        ] {
            assert_eq!(Quantity::parse(text).unwrap_err(), why, "{text:?}");
        }
    }
}
