//! The garbage collector: what has lost all its owners goes; what waits for its dependents goes after them.

use serde_json::Value;

use super::{Again, Control, MANAGER, own, text};
use crate::api::refusal::Refusal;
use crate::api::store::{Event, Happened, Key, owner_uids};
use crate::api::{Deletion, Part, Propagation, Write};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|list| list.iter().any(|f| f == finalizer))
}

/// The objects that a change may let go.
pub(super) fn concerned(control: &Control, event: &Event) -> Vec<Key> {
    let mut keys = Vec::new();
    if event.happened == Happened::Deleted {
        keys.extend(control.api.dependents(text(&event.object, "/metadata/uid")));
        keys.extend(owner_uids(&event.object).filter_map(|uid| control.api.by_uid(uid)));
        return keys;
    }
    let fresh = event.happened == Happened::Added && owner_uids(&event.object).next().is_some();
    let waits = has_finalizer(&event.object, FOREGROUND) || has_finalizer(&event.object, ORPHAN);
    if fresh || (waits && event.object["metadata"]["deletionTimestamp"].is_string()) {
        keys.push(event.key.clone());
    }
    keys
}

/// Lets one object go, if it should.
pub(super) fn look(control: &Control, key: &Key) -> Result<Again, Refusal> {
    let api = &control.api;
    let Some(kind) = api.stored_kind(key) else {
        return Ok(None);
    };
    let Ok(object) = api.get(&kind, &key.namespace, &key.name) else {
        return Ok(None);
    };
    let uid = text(&object, "/metadata/uid");
    if object["metadata"]["deletionTimestamp"].is_string() {
        if has_finalizer(&object, ORPHAN) {
            for dependent in api.dependents(uid) {
                disown(control, &dependent, uid)?;
            }
            return drop_finalizer(control, key, &object, ORPHAN);
        }
        if has_finalizer(&object, FOREGROUND) {
            return foreground(control, key, &object, uid);
        }
        return Ok(None);
    }
    let mut owners = owner_uids(&object).peekable();
    if owners.peek().is_none() || owners.any(|owner| api.by_uid(owner).is_some()) {
        return Ok(None);
    }
    let how = Deletion { uid: Some(uid.into()), ..Deletion::default() };
    match api.delete(&kind, &key.namespace, &key.name, &how) {
        Ok(_) | Err(Refusal { code: 404, .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Deletes the dependents, in the foreground as well; the owner goes when none that blocks it is left.
fn foreground(control: &Control, key: &Key, object: &Value, uid: &str) -> Result<Again, Refusal> {
    let api = &control.api;
    let mut blocked = false;
    for dependent in api.dependents(uid) {
        let Some(kind) = api.stored_kind(&dependent) else {
            continue;
        };
        let Ok(live) = api.get(&kind, &dependent.namespace, &dependent.name) else {
            continue;
        };
        let mut owners = live["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        blocked |= owners.any(|o| o["uid"] == uid && o["blockOwnerDeletion"] == true);
        if !live["metadata"]["deletionTimestamp"].is_string() {
            let propagation = if api.dependents(text(&live, "/metadata/uid")).is_empty() {
                Propagation::Background
            } else {
                Propagation::Foreground
            };
            let how = Deletion { propagation, ..Deletion::default() };
            api.delete(&kind, &dependent.namespace, &dependent.name, &how)?;
        }
    }
    // Those that are gone already block nothing: what was deleted just now may be.
    let left = api.dependents(uid);
    match blocked && !left.is_empty() {
        true => Ok(None),
        false => drop_finalizer(control, key, object, FOREGROUND),
    }
}

fn disown(control: &Control, key: &Key, uid: &str) -> Result<(), Refusal> {
    let api = &control.api;
    let Some(kind) = api.stored_kind(key) else {
        return Ok(());
    };
    let Ok(live) = api.get(&kind, &key.namespace, &key.name) else {
        return Ok(());
    };
    let mut new = own(&live);
    if let Some(owners) = new["metadata"]["ownerReferences"].as_array_mut() {
        owners.retain(|o| o["uid"] != uid);
    }
    if new["metadata"]["ownerReferences"].as_array().is_some_and(Vec::is_empty)
        && let Some(metadata) = new["metadata"].as_object_mut()
    {
        metadata.shift_remove("ownerReferences");
    }
    api.update(&kind, &key.namespace, &key.name, Part::Whole, new, &Write::by(MANAGER))?;
    Ok(())
}

fn drop_finalizer(control: &Control, key: &Key, object: &Value, finalizer: &str) -> Result<Again, Refusal> {
    let Some(kind) = control.api.stored_kind(key) else {
        return Ok(None);
    };
    let mut new = object.clone();
    if let Some(list) = new["metadata"]["finalizers"].as_array_mut() {
        list.retain(|f| f != finalizer);
    }
    control.api.update(&kind, &key.namespace, &key.name, Part::Whole, new, &Write::by(MANAGER))?;
    Ok(None)
}
