//! The short names that Argo Rollouts gives to templates and to lists of steps.

use serde_json::Value;

/// The label, and the key of Services' selectors, that names a version.
pub const HASH: &str = "rollouts-pod-template-hash";

/// FNV-1a over 32 bits, as Go's `hash/fnv` computes it.
pub(super) fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Kubernetes' "safe encode": each character becomes one of 27 that spell no word.
pub(super) fn safe_encode(text: &str) -> String {
    const SAFE: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    text.bytes().map(|byte| char::from(SAFE[usize::from(byte) % SAFE.len()])).collect()
}

/// The short name of a pod template: the same for the same template, whatever
/// the order of its keys. Argo hashes the memory of a Go struct, which nobody
/// else can repeat; sets that Argo made are matched by the status it left.
pub(super) fn template(template: &Value) -> String {
    safe_encode(&fnv1a(canonical(template).as_bytes()).to_string())
}

/// JSON with its keys in order and without nulls.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
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
    fn hashes_are_those_of_the_published_vectors() {
        // From the FNV authors' own test vectors.
        for (text, hash) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
            assert_eq!(fnv1a(text.as_bytes()), hash, "{text:?}");
        }
        // `0` is 48, and 48 % 27 = 21 names the 22nd character.
        assert_eq!(safe_encode("0123456789"), "456789bcdf");
    }

    #[test]
    fn a_template_is_known_whatever_the_order_of_its_keys() {
        let one = json!({"metadata": {"labels": {"app": "was"}}, "spec": {"containers": [{"name": "was", "image": "was:1"}]}});
        let other = json!({"spec": {"containers": [{"image": "was:1", "name": "was"}]}, "metadata": {"labels": {"app": "was"}, "creationTimestamp": null}});
        assert_eq!(template(&one), template(&other));
        let third = json!({"spec": {"containers": [{"image": "was:2", "name": "was"}]}, "metadata": {"labels": {"app": "was"}}});
        assert_ne!(template(&one), template(&third));
    }
}
