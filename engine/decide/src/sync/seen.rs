//! What the sync sees: one application, git's head, and the cluster.

use super::application::{self, Application, Ownership};
use super::object::{self, Id};
use super::plan::{self, Plan};
use super::prepare::Served;
use crate::health::Judged;
use crate::next::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// A kind as objects name it: `apiVersion` and `kind`.
pub type Gvk = (String, String);

/// One look, as it came in.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The Application, where it is still there.
    pub application: Option<Value>,
    /// The commit that its target revision names now; empty where the
    /// Application cannot be read.
    pub head: String,
    /// What git names at that commit, or every mistake in it.
    pub manifests: Option<Result<Vec<Value>, Vec<String>>>,
    /// Live objects of the kinds in use.
    pub live: Vec<Value>,
    /// How the cluster serves the kinds that git names.
    pub served: BTreeMap<Gvk, Served>,
    /// The namespaces that exist, of those that matter.
    pub namespaces: Vec<String>,
    /// How the head stands to each revision that is wanted.
    pub standing: BTreeMap<String, Standing>,
    /// What the API server refused, by what was sent.
    pub refused: Vec<Refused>,
    /// What plugins say of the live objects of their kinds.
    pub judged: Judged,
    /// What the Application asks for and this server has not, with the mend.
    pub lacking: Option<String>,
    /// Whether every kind of the cluster has been looked through once.
    pub scope: Scope,
}

/// How git's head stands to a wanted revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The head is the revision or comes after it.
    Contained,
    /// The head comes before it: the branch has not arrived there yet.
    Behind,
    /// The branch went another way.
    Diverged,
    /// It cannot be told, with the reason.
    Unknown(String),
}

/// Something that was tried and refused for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The object that was sent; for anything else than an apply, nothing.
    pub sent: Option<Value>,
    /// The API server's answer, naming the object.
    pub because: String,
    /// When, in ms since the epoch.
    pub at: Timestamp,
}

/// How much of the cluster has been looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The kinds in use only: nothing may be pruned yet.
    #[default]
    InUse,
    /// Every kind, once since the server started.
    Full,
}

/// A look, understood.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The Application is not there, or is going.
    Gone,
    /// The Application asks for what this version cannot do.
    Unreadable {
        /// Why, with the mend.
        because: String,
        /// Whose it is.
        ownership: Ownership,
    },
    /// It can be compared.
    Present(Box<Look>),
}

/// An application and all that belongs to it.
#[derive(Clone, Debug)]
pub struct Look {
    /// The Application, as it lives.
    pub object: Value,
    /// The Application, understood.
    pub application: Application,
    /// Whose it is.
    pub ownership: Ownership,
    /// Git's head.
    pub head: String,
    /// The comparison, or the mistakes in git.
    pub plan: Result<Plan, Vec<String>>,
    /// Live objects of the application, its extras and their children.
    pub live: Vec<Value>,
    /// How the head stands to each wanted revision.
    pub standing: BTreeMap<String, Standing>,
    /// What the API server refused.
    pub refused: Vec<Refused>,
    /// What plugins say of live objects.
    pub judged: Judged,
}

impl Seen {
    /// Understands a look.
    pub fn read(objects: Objects) -> Seen {
        let Some(object) = &objects.application else { return Seen::Gone };
        if object::is_going(object) {
            return Seen::Gone;
        }
        let ownership = application::ownership(object);
        let application = match application::read(object) {
            Ok(application) => application,
            Err(because) => return Seen::Unreadable { because, ownership },
        };
        if let Some(because) = objects.lacking.clone() {
            return Seen::Unreadable { because, ownership };
        }
        let plan = match &objects.manifests {
            Some(Ok(manifests)) => plan::make(&application, manifests, &objects),
            Some(Err(mistakes)) => Err(mistakes.clone()),
            None => Err(vec!["the manifests were not read".into()]),
        };
        Seen::Present(Box::new(Look {
            object: object.clone(),
            application,
            ownership,
            head: objects.head,
            plan,
            live: objects.live,
            standing: objects.standing,
            refused: objects.refused,
            judged: objects.judged,
        }))
    }
}

impl Look {
    /// The live object with an id.
    pub fn live(&self, id: &Id) -> Option<&Value> {
        self.live.iter().find(|object| Id::of(object) == *id)
    }

    /// The newest write by a controller of Argo CD since a moment, with the
    /// object and the writer: the application has two masters then.
    pub fn foreign_write(&self, since: Timestamp) -> Option<String> {
        let ours = self.plan.iter().flat_map(|plan| &plan.items).filter_map(|item| item.live.as_ref());
        let mut all = std::iter::once(&self.object).chain(ours);
        all.find_map(|object| {
            let shares = super::fields::shares(object);
            let share =
                shares.iter().find(|share| is_controller(share.manager) && written_at(share.time) > Some(since))?;
            Some(format!("{} wrote {} at {}", share.manager, Id::of(object), share.time))
        })
    }

    /// When a controller of Argo CD wrote last, in ms since the epoch.
    pub fn newest_foreign_write(&self) -> Option<Timestamp> {
        let ours = self.plan.iter().flat_map(|plan| &plan.items).filter_map(|item| item.live.as_ref());
        let shares = std::iter::once(&self.object).chain(ours).flat_map(super::fields::shares);
        shares.filter(|share| is_controller(share.manager)).filter_map(|share| written_at(share.time)).max()
    }
}

/// Argo CD's controllers; a person's `kubectl edit` is drift, not a second master.
fn is_controller(manager: &str) -> bool {
    matches!(manager, "argocd-controller" | "argocd-application-controller")
}

/// A time of managedFields, which has a grain of one second.
fn written_at(time: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = time.parse().ok()?;
    time.as_millisecond().try_into().ok()
}
