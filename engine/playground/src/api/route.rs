//! Which object or collection an address names.

use std::collections::HashMap;
use std::sync::Arc;

use super::kind::{Kind, Kinds};
use super::refusal::Refusal;
use super::select::{Fields, Labels, Selection};

/// A parsed address below `/api/v1` or `/apis/GROUP/VERSION`.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// The kind that the group, the version and the plural name of the address are served as.
    pub kind: Arc<Kind>,
    /// The namespace; empty for all, or for kinds without one.
    pub namespace: String,
    /// The object's name; a collection without it.
    pub name: Option<String>,
    /// The subresource, such as `status`.
    pub subresource: Option<String>,
}

/// The parameters of an address.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(HashMap<String, String>);

impl Query {
    /// Reads the part after the question mark.
    pub(super) fn parse(query: &str) -> Query {
        Query(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// One parameter; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a parameter says yes.
    pub(super) fn says(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1" | "True" | "t"))
    }

    /// A number.
    ///
    /// # Errors
    /// 400 when it is none.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Refusal::bad_request(format!("invalid value for parameter {name}: {text:?}")))
        };
        self.get(name).map(parse).transpose()
    }

    /// Both selectors.
    ///
    /// # Errors
    /// 400 when one is malformed.
    pub(super) fn selection(&self) -> Result<Selection, Refusal> {
        Ok(Selection {
            labels: Labels::parse(self.get("labelSelector").unwrap_or_default())?,
            fields: Fields::parse(self.get("fieldSelector").unwrap_or_default())?,
        })
    }
}

/// Reads a path; `None` when nothing is served there.
pub(super) fn parse(kinds: &Kinds, path: &str) -> Option<Route> {
    let decoded: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| {
            // A form decoder also turns plus signs into spaces, which are none in a path.
            let plus = segment.replace('+', "%2B");
            url::form_urlencoded::parse(format!("x={plus}").as_bytes()).next().map(|(_, v)| v.into_owned())
        })
        .collect::<Option<_>>()?;
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let find = |plural: &str| kinds.find(group, version, plural);
    let route = |kind, namespace: &str, name: Option<&str>, subresource: Option<&str>| Route {
        kind,
        namespace: namespace.to_owned(),
        name: name.map(str::to_owned),
        subresource: subresource.map(str::to_owned),
    };
    let namespaced = |plural: &str| find(plural).filter(|kind| kind.namespaced());
    match rest {
        ["namespaces", name, sub @ ("status" | "finalize")] if group.is_empty() => {
            Some(route(find("namespaces")?, "", Some(name), Some(sub)))
        }
        ["namespaces", namespace, plural] => Some(route(namespaced(plural)?, namespace, None, None)),
        ["namespaces", namespace, plural, name] => Some(route(namespaced(plural)?, namespace, Some(name), None)),
        ["namespaces", namespace, plural, name, sub] => {
            Some(route(namespaced(plural)?, namespace, Some(name), Some(sub)))
        }
        [plural] => Some(route(find(plural)?, "", None, None)),
        [plural, name] => Some(route(find(plural).filter(|k| !k.namespaced())?, "", Some(name), None)),
        [plural, name, sub] => Some(route(find(plural).filter(|k| !k.namespaced())?, "", Some(name), Some(sub))),
        _ => None,
    }
}
