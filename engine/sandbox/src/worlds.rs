//! The worlds that a component can be of, and what each of them may ask.

use std::fmt;

use pipeline::permission::Ability;

/// What a plugin is for. A component is of exactly one world, by what it exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum World {
    /// A step of a pipeline.
    Step,
    /// The health of a kind of object.
    Health,
    /// Manifests from a source folder.
    Generate,
    /// Measures a metric for a rollout.
    Measure,
    /// Shares the traffic of rollouts.
    Route,
}

impl World {
    /// All worlds, in the contract's order.
    pub const ALL: [World; 5] = [World::Step, World::Health, World::Generate, World::Measure, World::Route];

    /// The name in the contract, such as `step`.
    pub fn name(self) -> &'static str {
        match self {
            World::Step => "step",
            World::Health => "health",
            World::Generate => "generate",
            World::Measure => "measure",
            World::Route => "route",
        }
    }

    /// The interface that its plugins export, such as `health-guest`.
    pub fn guest(self) -> &'static str {
        match self {
            World::Step => "guest",
            World::Health => "health-guest",
            World::Generate => "generate-guest",
            World::Measure => "measure-guest",
            World::Route => "route-guest",
        }
    }

    /// What its plugins may import. Whatever else one asks for keeps it from being loaded.
    pub fn may_ask(self) -> &'static [Ability] {
        match self {
            World::Step => &Ability::ALL,
            World::Health => &[Ability::Log],
            World::Generate => &[Ability::Log, Ability::Workspace],
            World::Measure => &[Ability::Log, Ability::Http, Ability::Secrets, Ability::Metrics],
            World::Route => &[Ability::Log, Ability::Http, Ability::Secrets],
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How an object is, by a plugin of the world `health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What the plugin judges the object to be.
    pub status: HealthStatus,
    /// Why; may be empty.
    pub message: String,
}

/// How an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStatus {
    /// It does what it is there for.
    Healthy,
    /// It is on its way there.
    Progressing,
    /// It does not, and will not without help.
    Degraded,
    /// It was stopped on purpose.
    Suspended,
    /// It is not there.
    Missing,
    /// It cannot be told.
    Unknown,
}

impl HealthStatus {
    /// All statuses, from the best to the unknown.
    pub const ALL: [HealthStatus; 6] = [
        HealthStatus::Healthy,
        HealthStatus::Progressing,
        HealthStatus::Degraded,
        HealthStatus::Suspended,
        HealthStatus::Missing,
        HealthStatus::Unknown,
    ];

    /// As the contract spells it.
    pub fn name(self) -> &'static str {
        match self {
            HealthStatus::Healthy => "healthy",
            HealthStatus::Progressing => "progressing",
            HealthStatus::Degraded => "degraded",
            HealthStatus::Suspended => "suspended",
            HealthStatus::Missing => "missing",
            HealthStatus::Unknown => "unknown",
        }
    }
}

/// One measurement, by a plugin of the world `measure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// What was measured: a number, a list of numbers, or whatever the metric's conditions can read.
    pub value: serde_json::Value,
    /// What the plugin thinks of it.
    pub judgement: Judgement,
    /// Why; may be empty.
    pub message: String,
}

/// What a plugin thinks of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing: the metric's own conditions judge it.
    Unjudged,
    /// The measurement is good, whatever the metric's conditions would say.
    Successful,
    /// The measurement is bad, whatever the metric's conditions would say.
    Failed,
    /// A person has to look.
    Inconclusive,
}

impl Judgement {
    /// All judgements, in the contract's order.
    pub const ALL: [Judgement; 4] =
        [Judgement::Unjudged, Judgement::Successful, Judgement::Failed, Judgement::Inconclusive];

    /// As the contract spells it.
    pub fn name(self) -> &'static str {
        match self {
            Judgement::Unjudged => "unjudged",
            Judgement::Successful => "successful",
            Judgement::Failed => "failed",
            Judgement::Inconclusive => "inconclusive",
        }
    }
}

/// How the traffic of a rollout is to be shared, for a plugin of the world `route`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The whole Rollout, as a JSON object.
    pub rollout: String,
    /// The canary's share, 0 to 100.
    pub weight: u32,
    /// Shares of other pods; what is left over is the stable pods'.
    pub others: Vec<Destination>,
}

/// Pods beside the canary and the stable ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The service in front of them.
    pub service: String,
    /// The hash of their pod template.
    pub hash: String,
    /// Their share, 0 to 100.
    pub weight: u32,
}

/// Whether the traffic is shared as it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The router serves the shares that were asked for.
    Verified,
    /// It is not, or not yet.
    NotVerified,
    /// The router cannot tell.
    NotSupported,
}

impl Verification {
    /// All answers, in the contract's order.
    pub const ALL: [Verification; 3] = [Verification::Verified, Verification::NotVerified, Verification::NotSupported];

    /// As the contract spells it.
    pub fn name(self) -> &'static str {
        match self {
            Verification::Verified => "verified",
            Verification::NotVerified => "not-verified",
            Verification::NotSupported => "not-supported",
        }
    }
}
