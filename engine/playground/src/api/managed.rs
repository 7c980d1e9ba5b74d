//! `metadata.managedFields`: who owns which fields of an object.

use serde_json::{Value, json};

use super::clock;
use super::fields::Set;
use super::refusal::Refusal;

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply: what a manager no longer sends, it gives up.
    Apply,
    /// By any other write.
    Update,
}

/// One manager: the same name under another operation, version or subresource is another manager.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// The name, such as `kube-controller-manager`.
    pub manager: String,
    /// Whether it applies or updates; the same name may do both, and is two managers then.
    pub operation: Operation,
    /// The version of the API that it writes in.
    pub api_version: String,
    /// The subresource that it writes through; empty for the object itself.
    pub subresource: String,
}

impl Who {
    /// The same manager, whatever version an applier last used.
    fn is(&self, other: &Who) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }
}

/// As conflicts name a manager.
impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.manager)?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {:?}", self.subresource)?;
        }
        if self.operation == Operation::Update {
            write!(f, " using {}", self.api_version)?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    who: Who,
    time: String,
    set: Set,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managers(Vec<Entry>);

impl Managers {
    /// Reads `metadata.managedFields`; `None` when it is malformed.
    pub fn read(object: &Value) -> Option<Managers> {
        let mut entries = Vec::new();
        for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let operation = match entry["operation"].as_str()? {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            let who = Who {
                manager: text("manager"),
                operation,
                api_version: text("apiVersion"),
                subresource: text("subresource"),
            };
            entries.push(Entry { who, time: text("time"), set: Set::from_json(&entry["fieldsV1"])? });
        }
        Some(Managers(entries))
    }

    /// Those that a write starts from: what the writer sent if it is well-formed, else the live object's. One empty
    /// entry is the way to forget them all.
    pub fn for_write(live: &Value, new: &Value, subresource: &str) -> Managers {
        let from_live = || Managers::read(live).unwrap_or_default();
        if !subresource.is_empty() {
            return from_live();
        }
        let sent = &new["metadata"]["managedFields"];
        if sent.as_array().is_some_and(|l| l.len() == 1 && l[0].as_object().is_some_and(serde_json::Map::is_empty)) {
            return Managers::default();
        }
        match Managers::read(new) {
            Some(managers) if !managers.0.is_empty() => managers,
            _ => from_live(),
        }
    }

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What one manager owns.
    pub fn set(&self, who: &Who) -> Option<&Set> {
        self.0.iter().find(|e| e.who.is(who)).map(|e| &e.set)
    }

    /// All managers but this one, each with the fields that it owns.
    pub fn others(&self, who: &Who) -> Vec<(Who, Set)> {
        self.0.iter().filter(|e| !e.who.is(who)).map(|e| (e.who.clone(), e.set.clone())).collect()
    }

    /// All fields that have an owner.
    pub fn union(&self) -> Set {
        self.0.iter().fold(Set::default(), |all, e| all.union(&e.set))
    }

    /// Sets what a manager owns; its time changes only when that does. A manager that owns nothing is forgotten.
    pub fn put(&mut self, who: Who, set: Set) {
        let at = self.0.iter().position(|e| e.who.is(&who));
        match (at, set.is_empty()) {
            (Some(at), true) => {
                self.0.remove(at);
            }
            (Some(at), false) if self.0[at].set == set && self.0[at].who == who => {}
            (Some(at), false) => self.0[at] = Entry { who, time: clock::now(), set },
            (None, true) => {}
            (None, false) => self.0.push(Entry { who, time: clock::now(), set }),
        }
    }

    /// Leaves a manager with less than it owned; the time stays that of its own last write.
    pub fn reduce(&mut self, who: &Who, set: Set) {
        if set.is_empty() {
            self.0.retain(|e| !e.who.is(who));
        } else if let Some(entry) = self.0.iter_mut().find(|e| e.who.is(who)) {
            entry.set = set;
        }
    }

    /// Takes away the time of a manager whose write changed nothing but who owns what: the real server gives it none.
    pub fn untimed(&mut self, who: &Who, before: &Managers) {
        let known = before.0.iter().find(|e| e.who.is(who));
        if let Some(entry) = self.0.iter_mut().find(|e| e.who.is(who)) {
            entry.time = known.map_or_else(String::new, |known| known.time.clone());
        }
    }

    /// Writes `metadata.managedFields`: appliers first, then by time and name.
    pub fn write(mut self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
            return;
        };
        if self.0.is_empty() {
            metadata.remove("managedFields");
            return;
        }
        self.0.sort_by(|a, b| (a.who.operation, &a.time, &a.who).cmp(&(b.who.operation, &b.time, &b.who)));
        let entries = self.0.iter().map(|e| {
            let mut entry = json!({
                "manager": e.who.manager,
                "operation": if e.who.operation == Operation::Apply { "Apply" } else { "Update" },
                "apiVersion": e.who.api_version,
                "time": e.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": e.set.to_json(),
            });
            if e.time.is_empty()
                && let Some(fields) = entry.as_object_mut()
            {
                fields.shift_remove("time");
            }
            if !e.who.subresource.is_empty() {
                entry["subresource"] = e.who.subresource.as_str().into();
            }
            entry
        });
        let entries: Vec<Value> = entries.collect();
        metadata.insert("managedFields".into(), entries.into());
    }
}

/// Fields that another manager owns and that would change.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// The manager that owns the fields and did not apply.
    pub who: Who,
    /// The fields that both would own, as paths in the server's notation such as `.spec.replicas`.
    pub paths: Vec<String>,
}

/// 409, naming each manager and field.
pub(super) fn refuse(conflicts: &[Conflict]) -> Refusal {
    let count: usize = conflicts.iter().map(|c| c.paths.len()).sum();
    let causes = conflicts.iter().flat_map(|c| {
        c.paths.iter().map(|path| {
            json!({"reason": "FieldManagerConflict", "message": format!("conflict with {}", c.who), "field": path})
        })
    });
    let details = json!({"causes": causes.collect::<Vec<_>>()});
    let message = match conflicts {
        [one] if count == 1 => {
            format!("Apply failed with 1 conflict: conflict with {}: {}", one.who, one.paths[0])
        }
        many => {
            let mut lines = Vec::new();
            for conflict in many {
                lines.push(format!("conflicts with {}:", conflict.who));
                lines.extend(conflict.paths.iter().map(|path| format!("- {path}")));
            }
            format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
        }
    };
    Refusal { details, ..Refusal::plain(409, "Conflict", message) }
}
