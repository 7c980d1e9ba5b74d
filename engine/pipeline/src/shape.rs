//! The shape of a pipeline file: which keys there are, and what they hold.
//!
//! The parser knows its keys from these types, and `pipelines/schema.json` is
//! generated from them, so that an editor completes what the parser reads.

use schemars::JsonSchema;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A pipeline of Bespin: what starts it, and its steps.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PipelineSchema {
    /// Its name, in lower case; part of every run's id.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9._-]{0,62}$"))]
    pub name: String,
    /// The events that start a run.
    pub on: OnForm,
    /// Which runs stand in each other's way.
    pub concurrency: Option<ConcurrencyForm>,
    /// Names for expressions, as in `${{ env.repository }}`.
    pub env: Option<BTreeMap<String, Scalar>>,
    /// What happens. A step follows the one before it unless it says `needs`.
    #[schemars(length(min = 1))]
    pub steps: Vec<StepSchema>,
    /// What happens at the end, whatever became of the steps.
    pub finally: Option<Vec<StepSchema>>,
}

/// One event, several, or events with their filters.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum OnForm {
    /// One event without filters.
    One(EventSchema),
    /// Several events without filters.
    Many(Vec<EventSchema>),
    /// Events by name, each with its filters.
    Map(Box<OnSchema>),
}

/// What may start a pipeline.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum EventSchema {
    /// A push to a branch.
    Push,
    /// A push of a tag.
    Tag,
    /// Pull requests into matching branches.
    #[schemars(rename = "pull_request")]
    PullRequest,
    /// A run that a person starts.
    Manual,
}

/// Events with their filters.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OnSchema {
    /// A push to a branch.
    pub push: Option<PushSchema>,
    /// A push of a tag.
    pub tag: Option<TagForm>,
    /// A pull request; the pipeline file is the one of the branch that it asks to change.
    pub pull_request: Option<PullRequestSchema>,
    /// A run that a person starts.
    pub manual: Option<ManualSchema>,
}

/// Which pushes count. Patterns are GitHub's: `*` stops at a slash, `**` does
/// not, `?` makes the character before it optional, `!` takes back.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PushSchema {
    /// The branches that count; without it, all.
    pub branches: Option<Texts>,
    /// The branches that do not; not together with `branches`.
    pub branches_ignore: Option<Texts>,
    /// The changed paths that count; without it, all.
    pub paths: Option<Texts>,
    /// The changed paths that do not; not together with `paths`.
    pub paths_ignore: Option<Texts>,
    /// What a push does that brings nothing but Bespin's own commits, such as a bump's; `ignore` without it.
    pub own_commits: Option<OwnCommitsSchema>,
}

/// What a push of Bespin's own commits does.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum OwnCommitsSchema {
    /// It starts nothing.
    Ignore,
    /// It starts a run, as every other push does.
    Run,
}

/// Which pull requests count; patterns as for pushes.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PullRequestSchema {
    /// The branches that they ask to change; without it, all.
    pub branches: Option<Texts>,
    /// The branches that do not count; not together with `branches`.
    pub branches_ignore: Option<Texts>,
    /// The paths that they change since they left that branch; without it, all.
    pub paths: Option<Texts>,
    /// The paths that do not count; not together with `paths`.
    pub paths_ignore: Option<Texts>,
    /// What happened to them; without it, `opened`, `synchronize` and `reopened`.
    pub types: Option<Activities>,
}

/// One activity, or a list of them.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Activities {
    /// One kind of activity.
    One(ActivitySchema),
    /// Several kinds of activity.
    Many(Vec<ActivitySchema>),
}

/// What happened to a pull request.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum ActivitySchema {
    /// The pull request was opened.
    Opened,
    /// It has other commits than before.
    Synchronize,
    /// It was closed, and is open again.
    Reopened,
    /// It is no draft any more.
    ReadyForReview,
}

/// The tags whose pushes start a run.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum TagForm {
    /// Glob patterns of tag names.
    Patterns(Texts),
    /// Patterns, under a name.
    Map(TagSchema),
}

/// The tags whose pushes start a run.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TagSchema {
    /// Patterns of tags; without it, all.
    pub tags: Option<Texts>,
}

/// A person may start it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ManualSchema {
    /// What the person gives, by name; expressions name it as in `${{ inputs.version }}`. A run that nobody started by
    /// hand has the defaults. They are no secrets: they stand in the run's page and in its journal.
    pub inputs: Option<BTreeMap<String, Option<InputSchema>>>,
}

/// A value that a person gives.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct InputSchema {
    /// What it is for; the form shows it.
    pub description: Option<String>,
    /// Which values it takes; `string` without it.
    #[schemars(rename = "type")]
    pub kind: Option<InputTypeSchema>,
    /// The values of a `choice`.
    pub options: Option<Texts>,
    /// Whether a person has to give it, where it has no default.
    pub required: Option<bool>,
    /// Its value where nobody gives one; without it, the empty text, `false` or 0.
    pub default: Option<Scalar>,
}

/// Which values an input takes.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum InputTypeSchema {
    /// Any text.
    String,
    /// `true` or `false`; a checkbox.
    Boolean,
    /// A number.
    Number,
    /// One of its `options`.
    Choice,
}

/// A group, alone or with what a newer run does to an older one.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum ConcurrencyForm {
    /// The name of the group, shared with other pipelines.
    Group(String),
    /// The group, and what a newer run does to an older one.
    Map(ConcurrencySchema),
}

/// Which runs stand in each other's way.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConcurrencySchema {
    /// Runs of one repository with the same group go one after the other. Expressions in it may name `ref`, `commit`,
    /// `env`, `event` and `inputs`.
    pub group: String,
    /// What a newer run does to an older one of the same pipeline and branch; `until-bump` without it.
    pub supersede: Option<SupersedeSchema>,
}

/// What a newer run does to an older one of its group.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum SupersedeSchema {
    /// It waits behind it.
    Never,
    /// It takes its place until the older one's bump is recorded.
    UntilBump,
    /// It always takes its place.
    Always,
}

/// A step: one call of a plugin.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct StepSchema {
    /// Its id, unique in the pipeline; without it, the plugin's name.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,62}$"))]
    pub id: Option<String>,
    /// The plugin: a built-in by name, or a reference to a component.
    pub uses: String,
    /// The settings that the plugin reads.
    pub with: Option<BTreeMap<String, Value>>,
    /// The steps that it follows; without it, the one before it; `[]` for none.
    pub needs: Option<Texts>,
    /// A condition, such as `commit.branch == 'main'` or `failure()`. What needs a failed or a skipped step is skipped
    /// unless its condition says otherwise, as `always()` and `not failure()` do.
    #[schemars(rename = "if")]
    pub condition: Option<BoolOrText>,
    /// How long it may take, such as `90s`, `15m` or `1h30m`; without it, an hour.
    #[schemars(regex(pattern = r"^([0-9]+(ms|s|m|h|d))+$"))]
    pub timeout: Option<String>,
    /// How often it is tried again after it failed or ran out of time; without it, only after a restart of the server.
    /// A mistake in this file, or what the server's policy refuses, is never tried again.
    #[schemars(range(min = 0, max = 10))]
    pub retry: Option<u32>,
    /// What the plugin may use, within what the server's policy leaves to it.
    pub grants: Option<GrantsSchema>,
    /// What a person is asked before it starts: the question, or the question with who may answer.
    pub approval: Option<ApprovalForm>,
    /// Not used by this version, and warned about.
    pub cache: Option<Value>,
}

/// The question, alone or with who may answer.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum ApprovalForm {
    /// The question that a person answers.
    Ask(String),
    /// The question, who may answer, and for how long it stands.
    Map(ApprovalSchema),
}

/// What a person is asked before a step starts.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ApprovalSchema {
    /// The question, such as `Apply to production?`; it may hold expressions.
    pub ask: String,
    /// The names of the operators who may answer; without it, any of them.
    pub by: Option<Texts>,
    /// How long an answer is waited for, such as `8h`; without it, a day. None by then counts as a refusal.
    #[schemars(regex(pattern = r"^([0-9]+(ms|s|m|h|d))+$"))]
    pub timeout: Option<String>,
}

/// Abilities with what each is for.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct GrantsSchema {
    /// Images that may run as processes, by reference.
    pub containers: Option<Texts>,
    /// What may be done with images: `build`.
    pub images: Option<Texts>,
    /// Image repositories that may be pushed to, as `host/name`.
    pub registry: Option<Texts>,
    /// Repositories that may be committed to, as `host/owner/name`.
    pub git: Option<Texts>,
    /// Hosts that may be asked, as `host` or `host:port`.
    pub http: Option<Texts>,
    /// Names of the server's secrets that the step may read.
    pub secrets: Option<Texts>,
    /// Infrastructure that may be planned or applied, as `plan FOLDER` and `apply FOLDER`.
    pub terraform: Option<Texts>,
    /// Applications that may be synced, as `cluster/namespace/name`.
    pub cluster: Option<Texts>,
    /// Rollouts that may be walked, as `cluster/namespace/name`.
    pub canary: Option<Texts>,
    /// Metric providers that may be asked, by name.
    pub metrics: Option<Texts>,
}

/// One text, or a list of them.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Texts {
    /// One text.
    One(String),
    /// Several texts.
    Many(Vec<String>),
}

/// A text, a number or a truth; kept as it is written.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Scalar {
    /// A text, which may hold expressions.
    Text(String),
    /// A number, passed on as it is written.
    Number(f64),
    /// `true` or `false`, passed on as text.
    Bool(bool),
}

/// A condition, or a constant.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum BoolOrText {
    /// A condition that is evaluated when the step could start.
    Text(String),
    /// A condition that is known beforehand.
    Bool(bool),
}

/// The schema of the file, as JSON Schema 2020-12. Made once: a file of twenty steps asks for its keys forty times.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(PipelineSchema).to_value();
    schema["title"] = "A pipeline of Bespin".into();
    schema
});

/// The schema of the file, as JSON Schema 2020-12.
pub fn schema() -> Value {
    SCHEMA.clone()
}

/// The keys of one of the types above, in their order.
pub(super) fn keys<T: JsonSchema>() -> Vec<String> {
    let name = T::schema_name();
    let shape = if name == PipelineSchema::schema_name() { &*SCHEMA } else { &SCHEMA["$defs"][&*name] };
    let properties = shape["properties"].as_object();
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}
