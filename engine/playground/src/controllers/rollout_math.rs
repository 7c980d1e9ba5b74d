//! The arithmetic of a Deployment's rolling update (pkg/controller/deployment/util and rolling.go).

use serde_json::Value;

/// How far a rolling update may go beyond, and below, the wanted number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Pods above the wanted number.
    pub surge: i64,
    /// Pods that may be unavailable.
    pub unavailable: i64,
}

/// Resolves `maxSurge` (rounded up) and `maxUnavailable` (rounded down); never both zero.
pub(super) fn bounds(deployment: &Value, replicas: i64) -> Bounds {
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    if deployment["spec"]["strategy"]["type"] == "Recreate" {
        return Bounds { surge: 0, unavailable: replicas };
    }
    let surge = share(&rolling["maxSurge"], replicas, Rounding::Up);
    let unavailable = share(&rolling["maxUnavailable"], replicas, Rounding::Down).min(replicas);
    match (surge, unavailable) {
        (0, 0) => Bounds { surge: 0, unavailable: 1 },
        (surge, unavailable) => Bounds { surge, unavailable },
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Up,
    Down,
}

fn share(value: &Value, replicas: i64, rounding: Rounding) -> i64 {
    let percent = value.as_str().and_then(|t| t.strip_suffix('%')).and_then(|t| t.parse::<i64>().ok());
    match (percent, rounding) {
        (Some(percent), Rounding::Up) => (replicas * percent + 99) / 100,
        (Some(percent), Rounding::Down) => replicas * percent / 100,
        (None, _) => value.as_i64().unwrap_or(0),
    }
}

/// The pods of one ReplicaSet, asked for and available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// What it is asked for.
    pub wanted: i64,
    /// What it has that is available.
    pub available: i64,
}

/// What the new ReplicaSet should be asked for.
pub(super) fn grow(new: i64, all_wanted: i64, replicas: i64, bounds: Bounds) -> i64 {
    if new >= replicas {
        return replicas;
    }
    let room = replicas + bounds.surge - all_wanted;
    new + room.clamp(0, replicas - new)
}

/// What the old ReplicaSets, oldest first, should be asked for.
pub(super) fn shrink(new: Count, old: &[Count], replicas: i64, bounds: Bounds) -> Vec<i64> {
    let mut wanted: Vec<i64> = old.iter().map(|c| c.wanted).collect();
    let all: i64 = new.wanted + wanted.iter().sum::<i64>();
    let least = replicas - bounds.unavailable;
    let mut may_go = all - least - (new.wanted - new.available).max(0);
    // Pods that do not work serve nobody: they go first.
    for (wanted, count) in wanted.iter_mut().zip(old) {
        let gone = (count.wanted - count.available).clamp(0, may_go.max(0)).min(*wanted);
        *wanted -= gone;
        may_go -= gone;
    }
    let available: i64 = new.available + old.iter().map(|c| c.available).sum::<i64>();
    let mut spare = (available - least).min(may_go);
    for wanted in &mut wanted {
        let gone = spare.clamp(0, *wanted);
        *wanted -= gone;
        spare -= gone;
    }
    wanted
}

/// A name for a pod template: 32 bits of FNV-1a, in letters that spell no words.
pub(super) fn template_hash(template: &Value, collisions: i64) -> String {
    let mut hash: u32 = 0x811c_9dc5;
    for byte in canonical(template).bytes().chain(collisions.to_string().bytes().filter(|_| collisions > 0)) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    safe_letters(hash)
}

/// A hash in letters that spell no words (apimachinery, `rand.SafeEncodeString`).
pub(super) fn safe_letters(hash: u32) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    hash.to_string().bytes().map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()])).collect()
}

/// JSON with the fields in order, so that equal templates hash alike.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let parts: Vec<String> = fields.iter().map(|(n, v)| format!("{n:?}:{}", canonical(v))).collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn percentages_round_away_from_each_other() {
        let deployment = json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}}});
        assert_eq!(bounds(&deployment, 3), Bounds { surge: 1, unavailable: 0 });
        assert_eq!(bounds(&deployment, 4), Bounds { surge: 1, unavailable: 1 });
        assert_eq!(bounds(&deployment, 10), Bounds { surge: 3, unavailable: 2 });
    }

    #[test]
    fn a_rolling_update_never_goes_below_what_must_be_available() {
        let bounds = Bounds { surge: 1, unavailable: 0 };
        let (mut new, mut old) = (Count { wanted: 0, available: 0 }, Count { wanted: 3, available: 3 });
        for _ in 0..20 {
            new.wanted = grow(new.wanted, new.wanted + old.wanted, 3, bounds);
            old.wanted = shrink(new, &[old], 3, bounds)[0];
            old.available = old.available.min(old.wanted);
            assert!(new.available + old.available >= 3, "{new:?} {old:?}");
            assert!(new.wanted + old.wanted <= 4, "{new:?} {old:?}");
            new.available = new.wanted;
        }
        assert_eq!((new.wanted, old.wanted), (3, 0));
    }

    #[test]
    fn equal_templates_hash_alike_whatever_their_order() {
        let (a, b) = (json!({"a": 1, "b": {"c": [1, 2]}}), json!({"b": {"c": [1, 2]}, "a": 1}));
        assert_eq!(template_hash(&a, 0), template_hash(&b, 0));
        assert_ne!(template_hash(&a, 0), template_hash(&json!({"a": 2}), 0));
    }
}
