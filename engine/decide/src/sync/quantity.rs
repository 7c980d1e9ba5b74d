//! Kubernetes quantities: `1000m` is `1`, `1Gi` is `1073741824`.
//!
//! Source: the serialization format of `resource.Quantity`, Kubernetes API reference.

use serde_json::Value;

/// Whether two values are the same quantity. False where either is none.
pub fn same(a: &Value, b: &Value) -> bool {
    match (parse(a), parse(b)) {
        (Some((a, exp_a)), Some((b, exp_b))) => {
            let low = exp_a.min(exp_b);
            match (scaled(a, exp_a - low), scaled(b, exp_b - low)) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            }
        }
        _ => false,
    }
}

fn scaled(digits: i128, tens: i32) -> Option<i128> {
    digits.checked_mul(10i128.checked_pow(tens.try_into().ok()?)?)
}

/// A quantity as an integer and a power of ten.
fn parse(value: &Value) -> Option<(i128, i32)> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.trim_start_matches(['+', '-']).is_empty() && fraction.is_empty() {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let down = -i32::try_from(fraction.len()).ok()?;
    let (factor, exponent) = suffix_of(suffix)?;
    let (mut digits, mut exponent) = (digits.checked_mul(factor)?, down + exponent);
    while digits != 0 && digits % 10 == 0 {
        digits /= 10;
        exponent += 1;
    }
    Some(if digits == 0 { (0, 0) } else { (digits, exponent) })
}

fn suffix_of(suffix: &str) -> Option<(i128, i32)> {
    let binary = |power: u32| Some((1i128 << (10 * power), 0));
    match suffix {
        "" => Some((1, 0)),
        "n" => Some((1, -9)),
        "u" => Some((1, -6)),
        "m" => Some((1, -3)),
        "k" => Some((1, 3)),
        "M" => Some((1, 6)),
        "G" => Some((1, 9)),
        "T" => Some((1, 12)),
        "P" => Some((1, 15)),
        "E" => Some((1, 18)),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (exponent.abs() <= 30).then_some((1, exponent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_quantities_are_written_in_many_ways() {
        let table = [
            (json!("1000m"), json!("1"), true),
            (json!("1000m"), json!(1), true),
            (json!("100m"), json!("0.1"), true),
            (json!(0.5), json!("500m"), true),
            (json!("1Gi"), json!("1024Mi"), true),
            (json!("1Gi"), json!("1073741824"), true),
            (json!("1G"), json!("1Gi"), false),
            (json!("1e3"), json!("1k"), true),
            (json!("0"), json!("0m"), true),
            (json!("-1"), json!("-1000m"), true),
            (json!("1E"), json!("1000P"), true),
            (json!("abc"), json!("abc"), false),
            (json!("1x"), json!("1x"), false),
            (json!(true), json!("1"), false),
        ];
        for (a, b, expected) in table {
            assert_eq!(same(&a, &b), expected, "{a} {b}");
        }
    }
}
