//! What the sync sees: one application, git's head, and the cluster.

use super::Revision;
use super::application::{self, Application, Ownership};
use super::object::{self, Id};
use super::objects::{Objects, Standing};
use super::outcomes::{Refused, TakenObject, WrittenStatus};
use super::plan::{self, Plan};
use crate::health::Judged;
use crate::next::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// What an observation comes to.
#[derive(Clone, Debug)]
pub enum Observed {
    /// The Application is not there, or is going.
    Gone,
    /// The Application asks for what this version cannot do.
    Unreadable {
        /// Why, with the help.
        because: String,
        /// Whose the application is, which decides how much is said of it.
        ownership: Ownership,
    },
    /// It can be compared.
    Present(Box<Context>),
}

/// An application and all that belongs to it.
#[derive(Clone, Debug)]
pub struct Context {
    /// The Application, as it lives.
    pub object: Value,
    /// What the Application asks for, as far as this version can do it.
    pub application: Application,
    /// Whether Bespin writes, or only looks on.
    pub ownership: Ownership,
    /// The commit that each source's target revision names now.
    pub head: Revision,
    /// The comparison, or the mistakes in git.
    pub plan: Result<Plan, Vec<String>>,
    /// Live objects of the application, its extras and their children.
    pub live: Vec<Value>,
    /// How the head stands to each wanted revision.
    pub standing: BTreeMap<Revision, Standing>,
    /// What the API server refused.
    pub refused: Vec<Refused>,
    /// What it would accept, by a rehearsal; a hint that may be lost.
    pub rehearsed: Vec<TakenObject>,
    /// What was applied, the newest first; a hint that may be lost.
    pub applied: Vec<TakenObject>,
    /// The status that was written last.
    pub written: Option<WrittenStatus>,
    /// What plugins say of live objects.
    pub judged: Judged,
}

impl Observed {
    /// Understands what was read.
    pub fn read(objects: Objects) -> Observed {
        let Some(object) = &objects.application else { return Observed::Gone };
        if object::is_going(object) {
            return Observed::Gone;
        }
        let ownership = application::ownership(object);
        let application = match application::read(object) {
            Ok(application) => application,
            Err(because) => return Observed::Unreadable { because, ownership },
        };
        if let Some(because) = objects.lacking.clone() {
            return Observed::Unreadable { because, ownership };
        }
        let plan = match &objects.manifests {
            Some(Ok(manifests)) => plan::make(&application, manifests, &objects),
            Some(Err(mistakes)) => Err(mistakes.clone()),
            None => Err(vec!["the manifests were not read".into()]),
        };
        Observed::Present(Box::new(Context {
            object: object.clone(),
            application,
            ownership,
            head: objects.head,
            plan,
            live: objects.live,
            standing: objects.standing,
            refused: objects.refused,
            rehearsed: objects.rehearsed,
            applied: objects.applied,
            written: objects.written,
            judged: objects.judged,
        }))
    }
}

impl Context {
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
