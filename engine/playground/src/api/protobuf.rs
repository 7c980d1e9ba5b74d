//! Kubernetes' protobuf envelope, for the objects that `kubectl create` sends in it without being asked.
//!
//! The format is in apimachinery, pkg/runtime/serializer/protobuf: four bytes of magic, then a `runtime.Unknown`.

use serde_json::{Map, Value, json};

const MAGIC: &[u8] = b"k8s\0";

/// Reads an envelope; `None` for a kind whose fields are not known here.
pub(super) fn decode(body: &[u8]) -> Option<Value> {
    let unknown = fields(body.strip_prefix(MAGIC)?)?;
    let type_meta = fields(only(&unknown, 1)?)?;
    let (api_version, kind) = (text(&type_meta, 1)?, text(&type_meta, 2)?);
    let object = fields(only(&unknown, 2)?)?;
    let meta = fields(only(&object, 1)?)?;
    let mut metadata = json!({"name": text(&meta, 1)?});
    if let Some(namespace) = text(&meta, 3) {
        metadata["namespace"] = namespace.into();
    }
    for (number, name) in [(11, "labels"), (12, "annotations")] {
        let map = map(&meta, number, plain)?;
        if !map.is_empty() {
            metadata[name] = map.into();
        }
    }
    let mut decoded = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
    match (api_version.as_str(), kind.as_str()) {
        ("v1", "Namespace" | "ServiceAccount") => {}
        ("v1", "ConfigMap") => decoded["data"] = map(&object, 2, plain)?.into(),
        ("v1", "Secret") => {
            decoded["data"] = map(&object, 2, encoded)?.into();
            decoded["type"] = text(&object, 3).filter(|t| !t.is_empty()).unwrap_or_else(|| "Opaque".into()).into();
        }
        _ => return None,
    }
    Some(decoded)
}

/// A map field: entries with a key and a value.
fn map(message: &Wire<'_>, number: u64, value: fn(&[u8]) -> Option<String>) -> Option<Map<String, Value>> {
    let mut map = Map::new();
    for (_, entry) in message.iter().filter(|(n, _)| *n == number) {
        let entry = fields(entry)?;
        map.insert(text(&entry, 1)?, value(only(&entry, 2).unwrap_or_default())?.into());
    }
    Some(map)
}

fn plain(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn encoded(bytes: &[u8]) -> Option<String> {
    use base64::Engine;
    Some(base64::engine::general_purpose::STANDARD.encode(bytes))
}

type Wire<'b> = Vec<(u64, &'b [u8])>;

/// The length-delimited fields of a message; numbers are passed over.
fn fields(mut bytes: &[u8]) -> Option<Wire<'_>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        match tag & 7 {
            0 => {
                varint(&mut bytes)?;
            }
            1 => bytes = bytes.get(8..)?,
            5 => bytes = bytes.get(4..)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                found.push((tag >> 3, bytes.get(..length)?));
                bytes = &bytes[length..];
            }
            _ => return None,
        }
    }
    Some(found)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn only<'b>(fields: &Wire<'b>, number: u64) -> Option<&'b [u8]> {
    fields.iter().find(|(n, _)| *n == number).map(|(_, bytes)| *bytes)
}

fn text(fields: &Wire<'_>, number: u64) -> Option<String> {
    plain(only(fields, number)?)
}
