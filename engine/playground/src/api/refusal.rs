//! Refusals, worded as kube-apiserver words them (apimachinery, pkg/api/errors/errors.go).

use serde_json::{Value, json};

use super::kind::Kind;

/// Why a request was refused: a `Status` object in the making.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason, such as `NotFound`.
    pub reason: &'static str,
    /// The sentence for a person.
    pub message: String,
    /// What it is about; `null` where the real server gives none.
    pub details: Value,
}

/// One reason among several, in `details.causes`.
#[derive(Clone, Debug)]
pub struct Cause {
    /// The machine-readable reason, such as `FieldValueRequired`.
    pub reason: &'static str,
    /// The sentence, without the field.
    pub message: String,
    /// The path of the field, such as `spec.selector`.
    pub field: String,
}

impl Refusal {
    /// A refusal without details.
    pub fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: Value::Null }
    }

    fn about(code: u16, reason: &'static str, message: String, kind: &Kind, name: &str) -> Refusal {
        Refusal { code, reason, message, details: details(kind, name) }
    }

    /// 404 for an object.
    pub fn not_found(kind: &Kind, name: &str) -> Refusal {
        Self::about(404, "NotFound", format!("{} \"{name}\" not found", kind.resource()), kind, name)
    }

    /// 404 for a namespace that something was to be created in.
    pub fn no_namespace(name: &str) -> Refusal {
        let details = json!({"name": name, "kind": "namespaces"});
        Refusal { details, ..Self::plain(404, "NotFound", format!("namespaces \"{name}\" not found")) }
    }

    /// 409 for a name that is taken.
    pub fn already_exists(kind: &Kind, name: &str) -> Refusal {
        Self::about(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.resource()), kind, name)
    }

    /// 409 for a write that rests on an old read or fails its preconditions.
    pub fn conflict(kind: &Kind, name: &str, because: &str) -> Refusal {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {because}", kind.resource());
        Self::about(409, "Conflict", message, kind, name)
    }

    /// 409 for a replacement of another object than the one that is there.
    pub fn other_object(kind: &Kind, namespace: &str, name: &str, asked: &str, found: &str) -> Refusal {
        let group = if kind.custom { format!("{}/", kind.group) } else { String::new() };
        let namespace = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let because = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{group}{}/{namespace}{name}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {asked}, UID in object meta: {found}",
            kind.plural
        );
        Self::conflict(kind, name, &because)
    }

    /// 422 for a patch that would change what can never change; the real server gives the cause twice.
    pub fn immutable_uid(kind: &Kind, name: &str, asked: &str) -> Refusal {
        let cause = Cause {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {asked:?}: field is immutable"),
            field: "metadata.uid".into(),
        };
        let mut refusal = Self::invalid(kind, name, vec![cause]);
        let twice = [refusal.details["causes"][0].clone(), refusal.details["causes"][0].clone()];
        refusal.details["causes"] = twice.to_vec().into();
        refusal
    }

    /// 422 for a replacement of a custom resource that does not say which version it replaces.
    pub fn unversioned(kind: &Kind, name: &str) -> Refusal {
        let message = "Invalid value: 0: must be specified for an update";
        let cause = json!({"reason": "FieldValueInvalid", "message": message, "field": "metadata.resourceVersion"});
        let mut details = details(kind, name);
        details["causes"] = vec![cause].into();
        let message = format!("{} \"{name}\" is invalid: metadata.resourceVersion: {message}", kind.resource());
        Refusal { details, ..Self::plain(422, "Invalid", message) }
    }

    /// 409 for a resourceVersion that is not the newest.
    pub fn stale(kind: &Kind, name: &str) -> Refusal {
        let because = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, because)
    }

    /// 409 for a deletion whose precondition fails; the real server names the kind here, not the resource.
    pub fn unmet(kind: &Kind, name: &str, what: &str, asked: &str, found: &str, hint: &str) -> Refusal {
        let qualified = if kind.group.is_empty() { kind.kind.clone() } else { format!("{}.{}", kind.kind, kind.group) };
        let message = format!(
            "Operation cannot be fulfilled on {qualified} \"{name}\": the {what} in the precondition ({asked}) does not \
             match the {what} in record ({found}). The object might have been {hint}"
        );
        let mut details = details(kind, name);
        details["kind"] = kind.kind.as_str().into();
        Refusal { details, ..Self::plain(409, "Conflict", message) }
    }

    /// 403 for an object that may not be written, with the reason as the server words it.
    pub fn forbidden(kind: &Kind, name: &str, because: &str) -> Refusal {
        let message = format!("{} \"{name}\" is forbidden: {because}", kind.resource());
        Self::about(403, "Forbidden", message, kind, name)
    }

    /// 404 for an address that names no resource.
    pub fn nothing_here() -> Refusal {
        let message = "the server could not find the requested resource";
        Refusal { details: json!({}), ..Self::plain(404, "NotFound", message) }
    }

    /// 400 for an object that has a value which its kind cannot hold.
    pub fn unreadable(kind: &Kind, because: &str) -> Refusal {
        let (name, version) = (&kind.kind, &kind.version);
        Self::bad_request(format!("{name} in version {version:?} cannot be handled as a {name}: {because}"))
    }

    /// 422 for a patch that leaves a value which the kind cannot hold; the real server names no object, and shows all of it.
    pub fn unreadable_patch(patched: &Value, because: &str) -> Refusal {
        let message = format!("Invalid value: {:?}: {because}", patched.to_string());
        let cause = json!({"reason": "FieldValueInvalid", "message": message, "field": "patch"});
        let details = json!({"causes": [cause]});
        Refusal { details, ..Self::plain(422, "Invalid", format!(" \"\" is invalid: patch: {message}")) }
    }

    /// 500 for an applied object that has a value which its kind cannot hold: the real server takes it for its own fault,
    /// and gives no reason.
    pub fn unreadable_apply(kind: &Kind, namespace: &str, name: &str, because: &str) -> Refusal {
        let full = format!("{}, Kind={}", kind.api_version(), kind.kind);
        let message = format!(
            "failed to convert new object ({namespace}/{name}; {full}) to proper version: unable to convert unstructured \
             object to {full}: {because}"
        );
        Self::plain(500, "", message)
    }

    /// 422 for an apply that does not say who applies.
    pub fn anonymous_apply() -> Refusal {
        let cause = json!({"reason": "FieldValueRequired", "message": "Required value: is required for apply patch",
            "field": "fieldManager"});
        let details = json!({"group": "meta.k8s.io", "kind": "PatchOptions", "causes": [cause]});
        let message =
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
        Refusal { details, ..Self::plain(422, "Invalid", message) }
    }

    /// 400 for a request that cannot be read.
    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Self::plain(400, "BadRequest", message)
    }

    /// 405 for a method that the resource does not have.
    pub fn method_not_allowed() -> Refusal {
        let message = "the server does not allow this method on the requested resource";
        Refusal { details: json!({}), ..Self::plain(405, "MethodNotAllowed", message) }
    }

    /// 415, naming what is accepted.
    pub fn unsupported_media(accepted: &str) -> Refusal {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::plain(415, "UnsupportedMediaType", message)
    }

    /// 410 for a resourceVersion that the history no longer reaches.
    pub fn expired(asked: u64, oldest: u64) -> Refusal {
        Self::plain(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// 500 for a fault of the playground itself; a test that meets it has found one.
    pub fn internal(message: impl std::fmt::Display) -> Refusal {
        let details = json!({"causes": [{"message": message.to_string()}]});
        Refusal { details, ..Self::plain(500, "InternalError", format!("Internal error occurred: {message}")) }
    }

    /// 422 for an object whose content is wrong.
    pub fn invalid(kind: &Kind, name: &str, causes: Vec<Cause>) -> Refusal {
        // The sentence says once what several causes say.
        let mut said: Vec<String> = Vec::new();
        for sentence in causes.iter().map(|c| format!("{}: {}", c.field, c.message)) {
            if !said.contains(&sentence) {
                said.push(sentence);
            }
        }
        let list = match said.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = if kind.group.is_empty() { kind.kind.clone() } else { format!("{}.{}", kind.kind, kind.group) };
        let mut details = json!({"kind": kind.kind});
        for (field, value) in [("name", name), ("group", kind.group.as_str())] {
            if !value.is_empty() {
                details[field] = value.into();
            }
        }
        details["causes"] =
            causes.iter().map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field})).collect();
        let message = format!("{qualified} \"{name}\" is invalid: {list}");
        Refusal { details, ..Self::plain(422, "Invalid", message) }
    }

    /// The `Status` object that goes over the wire.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status["code"] = self.code.into();
        status
    }
}

fn details(kind: &Kind, name: &str) -> Value {
    match kind.group.is_empty() {
        true => json!({"name": name, "kind": kind.plural}),
        false => json!({"name": name, "group": kind.group, "kind": kind.plural}),
    }
}

/// The `Status` object of a deletion that is done.
pub fn deleted(kind: &Kind, name: &str, uid: &str) -> Value {
    let mut details = details(kind, name);
    details["uid"] = uid.into();
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
