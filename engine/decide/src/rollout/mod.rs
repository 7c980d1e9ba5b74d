//! The stage `rollout`: takes a new version through the steps of its Rollout, to all of the traffic or back.
//!
//! `decide` has the rules in their order. What they read is the `context`: the `state` that the journal adds up to,
//! what was `observed` of the cluster, and the `strategy` that the Rollout asks for. `transitions` move the position,
//! `desired` brings the cluster to it, `status` mirrors it as Argo's clients read it, and `messages` say it to people.

mod act;
mod adopt;
mod alert;
mod alert_judge;
mod alert_notification;
mod alert_rule;
mod application;
mod condition;
mod context;
mod decide;
mod desired;
mod entry;
mod events;
mod fields;
mod fold;
mod git;
mod hash;
mod hold;
mod intent;
mod marks;
mod messages;
mod metadata;
mod observed;
mod orphan;
mod outcomes;
mod ping_pong;
mod pods;
mod progress;
mod progress_deadline;
mod refused;
pub mod replicas;
mod restart;
pub mod router;
mod safety;
mod selector;
mod service;
mod services;
mod shares;
pub mod spec;
mod stable_version;
mod state;
mod status;
mod status_patch;
mod step;
pub mod strategy;
mod targets;
mod template;
mod transitions;
mod turn;
mod weight;
mod write_key;

#[cfg(test)]
mod tests;

pub use act::{Act, Guard, Marked, RolloutEvent, RolloutEventType, Split};
pub use adopt::is_unadopted;
pub use alert::{Alert, AlertAction};
pub use alert_judge::heed_alert;
pub use alert_notification::{AlertState, Notification, ToldAlert, read_notification};
pub use alert_rule::{AlertRule, PlannedAlert, plan_alerts};
pub use application::{Origin, application_of};
pub use decide::{Shown, decide, show};
pub use entry::Entry;
pub use hash::HASH;
pub use intent::{Action, Cause, Intent, OnTimeout, Routed, Start, Through};
pub use messages::{Offer, allowed};
pub use metadata::{EPHEMERAL, PodMetadata, SetMetadata};
pub use observed::{CaughtUp, DEADLINE, Objects, Observed, ObservedRollout, Owner, REVISION, Set};
pub use outcomes::{ActKey, AskedShare, Removal, Reply, is_current, is_hint};
pub use ping_pong::PingPong;
pub use pods::{Failing, Pod};
pub use progress::{Progress, ProgressState};
pub use router::alb::{Ingress, carries_action};
pub use router::balancer::{BalancerQuery, BalancerReading, GroupTargets, IngressReading, TargetGroup, TargetHealth};
pub use router::plugin::{Remedy, RouterFailure, RouterReply, RouterResponse, RouterStatus, Serves, VERIFY_AGAIN_MS};
pub use router::rules::hear;
pub use service::{MANAGED_BY, Service};
pub use shares::StableScale;
pub use spec::RolloutSpec;
pub use state::{AbortStatus, Refused, Requested, State, Undo, Version, Weighed};
pub use step::{Length, Scale, Step, span};
pub use turn::{Sharing, Turn};
pub use write_key::WriteKey;
