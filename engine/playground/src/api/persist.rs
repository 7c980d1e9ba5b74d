//! The snapshot of all objects in a file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::store::{Key, Store};
use crate::Error;

/// How long changes are gathered before they are written.
const GATHER: Duration = Duration::from_millis(500);

/// Reads the snapshot, or starts empty when there is none.
///
/// # Errors
/// When the file cannot be read or is no snapshot.
pub(crate) fn load(path: &Path) -> Result<Store, Error> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Store::new(0, Vec::new())),
        Err(e) => return Err(Error::io(format!("read {}", path.display()), e)),
    };
    let wrong = |message: String| {
        Error::io(format!("read {}", path.display()), std::io::Error::new(std::io::ErrorKind::InvalidData, message))
    };
    let snapshot: Value = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    let version = snapshot["version"].as_u64().ok_or_else(|| wrong("it has no version".into()))?;
    let mut objects = Vec::new();
    for entry in snapshot["objects"].as_array().into_iter().flatten() {
        let field =
            |name: &str| entry[name].as_str().map(str::to_owned).ok_or_else(|| wrong(format!("{name}: missing")));
        let key = Key {
            group: field("group")?,
            plural: field("plural")?,
            namespace: field("namespace")?,
            name: field("name")?,
        };
        objects.push((key, entry["object"].clone()));
    }
    Ok(Store::new(version, objects))
}

/// Writes the snapshot, whole or not at all.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn save(api: &Api, path: &Path) -> Result<(), Error> {
    let (version, objects): (u64, Vec<(Key, Arc<Value>)>) = {
        let store = api.store();
        (store.version(), store.all().map(|(key, object)| (key.clone(), object.clone())).collect())
    };
    let objects: Vec<Value> = objects
        .iter()
        .map(|(key, object)| {
            json!({"group": key.group, "plural": key.plural, "namespace": key.namespace, "name": key.name,
                "object": object.as_ref()})
        })
        .collect();
    let snapshot = json!({"version": version, "objects": objects}).to_string();
    let whole = || -> std::io::Result<()> {
        let fresh = path.with_extension("json.new");
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(snapshot.as_bytes())?;
        std::fs::rename(&fresh, path)
    };
    whole().map_err(|e| Error::io(format!("write {}", path.display()), e))
}

/// Writes the snapshot shortly after each change, and once more at the end.
pub(crate) async fn keep(api: Api, path: PathBuf, stop: CancellationToken) {
    let mut changes = api.changes();
    loop {
        let ending = tokio::select! {
            () = stop.cancelled() => true,
            changed = changes.changed() => changed.is_err(),
        };
        if !ending {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(GATHER) => {}
            }
            changes.borrow_and_update();
        }
        let (api, path) = (api.clone(), path.clone());
        match tokio::task::spawn_blocking(move || save(&api, &path)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the objects are not saved"),
            Err(error) => tracing::error!(%error, "the objects are not saved"),
        }
        if ending {
            return;
        }
    }
}
