// Generated from the server's views: UPDATE=1 cargo test -p api typescript. Do not edit.

/** Something that a person may do now. */
export interface ActionView {
  /** The action's word, as the API takes it. */
  action: string;
  /** What the button says. */
  label: string;
  /** What it will do, as a sentence. */
  effect: string;
}

/** An answer to a question. */
export type AnswerView = "approved" | "refused" | "expired";

/** What came of a question. */
export interface AnsweredView {
  /** What the person answered. */
  answer: AnswerView;
  /** Who said so, such as `person:ann`. */
  by: string;
  /** When, in ms since the epoch. */
  at_ms: number;
}

/** An application with what its stage says. */
export interface AppPage {
  /** The application's stream, `app/<cluster>/<namespace>/<name>`. */
  stream: string;
  /** The application as it was observed last. */
  app: AppView;
  /** What the sync does or waits for. */
  status: StatusView | null;
  /** The newest entries of its journal, oldest first. */
  journal: EntryView[];
}

/** An application in one line. */
export interface AppSummary {
  /** The application's stream, `app/<cluster>/<namespace>/<name>`. */
  stream: string;
  /** The Application, as `namespace/name`. */
  name: string;
  /** The cluster's name in the configuration. */
  cluster: string;
  /** The repository and the path in it. */
  source: string;
  /** The revision of the last look. */
  revision: string;
  /** `synced`, `out-of-sync` or `unknown`. */
  sync: string;
  /** The word that Argo CD shows for its health. */
  health: string;
  /** Whether Bespin acts on it: `owned` or `observed`. */
  ownership: string;
  /** How many resources it has. */
  resources: number;
  /** How many of them are not as git says. */
  differing: number;
  /** What the sync does or waits for. */
  status: StatusView | null;
}

/** An application, as last seen. */
export interface AppView {
  /** `namespace/name` of the Application object. */
  name: string;
  /** The cluster's name in the configuration. */
  cluster: string;
  /** The repository that says what is wanted. */
  repo: string;
  /** The path in it. */
  path: string;
  /** The revision that the last look compared with (a full commit id). */
  revision: string;
  /** `synced`, `out-of-sync` or `unknown`. */
  sync: string;
  /** Argo's words: `Healthy`, `Progressing`, `Degraded`, `Suspended`, `Missing`, `Unknown`. */
  health: string;
  /** Whether Bespin owns it, or only observes: `owned` or `observed`. */
  ownership: string;
  /** Its resources, in the order of the sync. */
  resources: ResourceView[];
  /** What ended lately, newest first. */
  history: SyncedView[];
  /** Warnings, such as a rule that matches nothing. */
  warnings: string[];
}

/** What a person is asked before a step starts. */
export interface ApprovalView {
  /** The question; before it is asked, as the pipeline has it. */
  ask: string;
  /** The operators who may answer; empty means any. */
  by: string[];
  /** How long an answer is waited for, in ms. */
  timeout_ms: number;
  /** Since when it is asked, in ms since the epoch. */
  asked_ms: number | null;
  /** What came of it; absent while it stands. */
  answered: AnsweredView | null;
}

/** An ability that a plugin asks for. */
export interface AskView {
  /** The ability, as a grant names it. */
  ability: string;
  /** What permission to use it means. */
  means: string;
  /** Whether it needs no permission. */
  free: boolean;
}

/** An attempt of a step. */
export interface AttemptView {
  /** Its number, from 1. */
  attempt: number;
  /** When it started, in ms since the epoch. */
  started_ms: number;
  /** When it ended, in ms since the epoch. */
  ended_ms: number | null;
  /** `running`, `succeeded`, `rejected`, `transient`, `timed-out`, `limit`, `lost` or `cancelled`. */
  outcome: string;
  /** Why it ended so; empty where there is nothing to say. */
  because: string;
}

/** The data of the events `hello` and `beat`. */
export interface BeatView {
  /** The server's clock, in ms since the epoch. */
  now_ms: number;
  /** The newest global sequence. */
  seq: number;
  /** Counts up with each change of what is shown and not journaled. */
  board: number;
}

/** What changed in the journal: the data of the event `journal`, whose id is the newest sequence. */
export interface ChangedView {
  /** The newest global sequence. */
  seq: number;
  /** The streams that changed. */
  streams: string[];
}

/** What a plugin declares of itself. */
export interface DeclaredView {
  /** Why the settings of its steps are not checked, where they are not; there are no rows then. */
  unchecked: string | null;
  /** The settings, those that a step must have first. */
  settings: SettingView[];
  /** The outputs that are known by name. */
  outputs: OutputView[];
  /** The setting whose keys are outputs as well. */
  outputs_named_by: string | null;
}

/** A page of deliveries. */
export interface DeliveriesView {
  /** The deliveries, newest first. */
  deliveries: DeliveryView[];
  /** How many there are in all that match. */
  total: number;
  /** How many of all wait, whether they match or not. */
  waiting: number;
}

/** What became of a delivery. */
export type DeliveryState = "waiting" | "opened" | "ignored";

/** One delivery, and what became of it. */
export interface DeliveryView {
  /** The delivery's stream, `delivery/<hook>/<id>`. */
  stream: string;
  /** The hook that it came by. */
  hook: string;
  /** GitHub's id of the delivery; what the server found by itself has one of its own. */
  delivery: string;
  /** `push` or `pull-request`; another word for what an older dashboard does not know. */
  event: string;
  /** The repository, as `owner/name`. */
  repository: string;
  /** The full reference, such as `refs/heads/main`. */
  reference: string;
  /** The commit; zeros where the reference was deleted. */
  sha: string;
  /** The login of who did it. */
  sender: string;
  /** When it was recorded, in ms since the epoch. */
  received_ms: number;
  /** When its end was recorded, in ms since the epoch. */
  ended_ms: number | null;
  /** Whether it waits, or how it ended. */
  state: DeliveryState;
  /** What became of it and why, as a sentence. */
  message: string;
  /** The ids of the runs that it opened. */
  runs: string[];
  /** The pipeline files that it opened no run of, and why. */
  skipped: SkippedView[];
  /** What it waits for, while it does. */
  status: StatusView | null;
}

/** One journal entry, as the timeline shows it. */
export interface EntryView {
  /** Its place in the whole journal. */
  seq: number;
  /** The stream in which it stands. */
  stream: string;
  /** When, in ms since the epoch. */
  at_ms: number;
  /** Who caused the entry: `server`, `person:`, `delivery:`, `run:` or `alert:`. */
  by: string;
  /** What kind of entry. */
  kind: string;
  /** What the entry says, by its kind. */
  body: unknown;
}

/** A part of what was sent that is wrong. */
export interface FieldView {
  /** Its name, such as `ref` or `inputs.version`. */
  field: string;
  /** What is wrong with it, as a sentence. */
  message: string;
  /** How to fix it. */
  help: string;
}

/** How many there are of each kind of thing that a person should know of. */
export interface HomeCounts {
  /** Rollouts with too few available pods, or with traffic to a version without a ready one. */
  unserved: number;
  /** Pipelines whose newest run at a reference failed. */
  failed_runs: number;
  /** Canaries that were aborted. */
  aborted: number;
  /** Stages that cannot go on without a person. */
  blocked: number;
  /** Applications and rollouts that are degraded, missing, or of unknown health. */
  degraded: number;
  /** Applications that cannot be compared with git. */
  unreadable: number;
  /** Plugins that stages need and that were refused. */
  plugins_refused: number;
  /** Deliveries that have not ended, those that are just being worked on too. */
  deliveries_waiting: number;
  /** Runs that wait for somebody's approval. */
  approvals: number;
  /** Applications that are not as git says. */
  differing: number;
  /** What is warned of: a reference that cannot be fetched, a mirror that was damaged. */
  warnings: number;
}

/** Home: what moves, what is wrong, what ended lately. */
export interface HomeView {
  /** Every run on its way, newest first. */
  open: RunRowView[];
  /** What failed, is degraded, out of sync or stuck, the worst first. */
  troubles: TroubleView[];
  /** How many there are of each kind: no kind is left out. */
  counts: HomeCounts;
  /** What ended lately, newest first. */
  ended: RunRowView[];
  /** How many applications are seen. */
  apps: number;
  /** How many rollouts are seen. */
  rollouts: number;
  /** How many runs are known. */
  runs: number;
}

/** Which values an input takes. */
export type InputKindView = "string" | "boolean" | "number" | "choice";

/** A value that a person gives. */
export interface InputView {
  /** Its name; a start gives it by this. */
  name: string;
  /** What it is for; may be empty. */
  description: string;
  /** Which values it takes. */
  kind: InputKindView;
  /** The values of a choice; empty for the other types. */
  options: string[];
  /** Whether it has to be given, unless it has a default. */
  required: boolean;
  /** Its value where nobody gives one; absent where that is the empty value of its type. */
  default: unknown;
}

/** A line of a log. */
export interface Line {
  /** Its number, from 1. */
  n: number;
  /** When it was written, in ms since the epoch. */
  at: number;
  /** `debug`, `info`, `warn`, `error`; `stdout` or `stderr` of a process; `cut` ends a log that became too long. */
  level: string;
  /** What it says, secrets hidden. */
  text: string;
}

/** An output of a plugin. */
export interface OutputView {
  /** Its name, as expressions read it. */
  name: string;
  /** What it is; may be empty. */
  description: string;
  /** The setting and its value without which there is none, such as `action: plan`. */
  when: string | null;
}

/** The phase of a stage, as in `decide::next`. */
export type PhaseView = "progressing" | "waiting" | "blocked" | "done";

/** Where a plugin comes from. */
export type PluginOrigin = "registry" | "built-in";

/** One plugin that this server knows. */
export interface PluginView {
  /** The name or the reference that steps use. */
  uses: string;
  /** Where it comes from. */
  origin: PluginOrigin;
  /** The component's digest; absent where it was not loaded since the start, or was refused. */
  digest: string | null;
  /** The digest of its manifest in the registry. */
  manifest: string | null;
  /** The key that signed it: the algorithm, and the beginning of the key's SHA-256. */
  signer: string | null;
  /** The world that it is of, such as `step`; absent where it is not loaded. */
  world: string | null;
  /** What it asks for. */
  asks: AskView[];
  /** What it declares of its settings and outputs; absent where it is not loaded, and for plugins that are no steps. */
  declared: DeclaredView | null;
  /** What the server's own stages use it for, by the rows of the configuration. */
  serves: ServeView[];
  /** Where runs used it lately, newest first. */
  used: UseView[];
}

/** Every plugin that is ready or was used lately. */
export interface PluginsView {
  /** The plugins, those of registries first, then by name. */
  plugins: PluginView[];
  /** How many of the newest runs were looked at. */
  runs: number;
}

/** One pod of a ReplicaSet. */
export interface PodView {
  /** The pod's name. */
  name: string;
  /** `Running`, `Pending`, `Failed`, with the container's reason where it has one. */
  phase: string;
  /** Whether it is ready. */
  ready: boolean;
}

/** What an error answers: what was tried, what came back, what to do. */
export interface ProblemView {
  /** The request or action that failed. */
  tried: string;
  /** The answer in place of what was expected. */
  got: string;
  /** What to do about it. */
  help: string;
  /** Which parts of what was sent are wrong, where that is known. */
  fields: FieldView[];
}

/** One object of an application. */
export interface ResourceView {
  /** API group, empty for the core group. */
  group: string;
  /** API version without the group. */
  version: string;
  /** The object's kind. */
  kind: string;
  /** Namespace, empty for cluster-scoped kinds. */
  namespace: string;
  /** The object's name. */
  name: string;
  /** `synced`, `out-of-sync`, `missing`, `extra`, `observed` (a child that git does not name). */
  sync: string;
  /** Argo's word for its health, empty where the kind has none. */
  health: string;
  /** Why the health is what it is. */
  message: string;
  /** The owner among the resources, as `kind/name`, empty at the root. */
  parent: string;
  /** Who owns fields that git would otherwise set, such as `replicas: 4, owned by HPA was-hpa, 2 to 10`. */
  owned: string[];
  /** The object as git says, as YAML; empty where git does not name it. */
  desired: string;
  /** The live object without what the server adds, as YAML; empty where it is missing. Secrets' values are masked. */
  live: string;
}

/** What a retry answers. */
export interface RetriedView {
  /** The new run's id. */
  run: string;
}

/** A ReplicaSet of a rollout. */
export interface RevisionView {
  /** The revision's number, counted up by one for each template. */
  revision: number;
  /** `stable`, `canary` or `old`. */
  role: string;
  /** The pod template's hash. */
  hash: string;
  /** The image of its first container. */
  image: string;
  /** How many pods the set is to have. */
  wanted: number;
  /** How many pods of the set are ready. */
  ready: number;
  /** The pods of the set, by name. */
  pods: PodView[];
}

/** What a person may do. */
export type Role = "viewer" | "operator";

/** A rollout with what its stage says. */
export interface RolloutPage {
  /** The rollout's stream, `rollout/<cluster>/<namespace>/<name>`. */
  stream: string;
  /** The rollout as it was observed last. */
  rollout: RolloutView;
  /** What the canary does or waits for. */
  status: StatusView | null;
  /** The newest entries of its journal, oldest first. */
  journal: EntryView[];
}

/** A rollout in one line. */
export interface RolloutSummary {
  /** The rollout's stream, `rollout/<cluster>/<namespace>/<name>`. */
  stream: string;
  /** The Rollout, as `namespace/name`. */
  name: string;
  /** The cluster's name in the configuration. */
  cluster: string;
  /** The phase as Argo Rollouts names it. */
  phase: string;
  /** Whether Bespin acts on it: `owned` or `observed`. */
  ownership: string;
  /** The index of the current step. */
  at: number;
  /** How many steps there are. */
  steps: number;
  /** Weight asked of the canary, in percent. */
  asked: number;
  /** Weight verified, in percent. */
  served: number | null;
  /** The image of the canary's pods. */
  canary_image: string;
  /** The image of the stable version's pods. */
  stable_image: string;
  /** What the canary does or waits for. */
  status: StatusView | null;
}

/** A rollout, as last seen. */
export interface RolloutView {
  /** The Application, as `namespace/name`. */
  name: string;
  /** The cluster's name in the configuration. */
  cluster: string;
  /** Argo's phase: `Healthy`, `Progressing`, `Paused`, `Degraded`. */
  phase: string;
  /** The message that Argo CD would show. */
  message: string;
  /** What is wrong with the pods that serve, as a sentence: too few, or none of a version that gets traffic. */
  lacking: string | null;
  /** Whether Bespin owns it, or only observes: `owned` or `observed`. */
  ownership: string;
  /** The steps as sentences, such as `send 10 % to the canary, then pause 30 s`. */
  steps: StepView[];
  /** The index of the current step; the number of steps when all are done. */
  at: number;
  /** Weight asked of the canary, in percent. */
  asked: number;
  /** Weight verified at the traffic router, in percent; absent where there is none or it is not known. */
  served: number | null;
  /** The image of the stable version's pods. */
  stable_image: string;
  /** The canary's image; equal to the stable one when nothing is moving. */
  canary_image: string;
  /** Its pods by revision. */
  revisions: RevisionView[];
  /** Weights over time, oldest first, bounded. */
  weights: WeightView[];
  /** What a person may do now: `promote`, `promote-full`, `abort`, `retry`, `resume`, each with what it will do. */
  actions: ActionView[];
  /** Until when the current pause lasts, in ms since the epoch. */
  paused_until_ms: number | null;
}

/** A row of the server's policy, as it is for one step of a run. */
export interface RowView {
  /** Which, counted from 1. */
  number: number;
  /** One of whom must approve the step before the row gives anything; empty where it asks for no approval. */
  approved_by: string[];
  /** Who of them did so in this run. */
  approved: string | null;
}

/** A push on its way, or one that arrived. */
export interface RunRowView {
  /** The run itself, as lists show it. */
  run: RunSummary;
  /** What it passes, in order: the delivery first, then the steps. */
  steps: StepSummary[];
}

/** How a run stands. */
export type RunState = "open" | "succeeded" | "failed" | "cancelled" | "superseded";

/** A step of a run. */
export interface RunStepView {
  /** How it stands, and what it waits for. */
  summary: StepSummary;
  /** The steps that it needs. */
  needs: string[];
  /** Whether it belongs to `finally`. */
  is_final: boolean;
  /** The pipeline's `with`, as written. */
  inputs: Record<string, unknown>;
  /** The pipeline's `grants`, as written, by ability. */
  grants: Record<string, string[]>;
  /** The step's `if`, as the pipeline file has it. */
  condition: string | null;
  /** How long an attempt may take, in ms. */
  timeout_ms: number;
  /** How many failures are tried again. */
  retry: number;
  /** Whose approval it needs before it starts, and what came of it. */
  approval: ApprovalView | null;
  /** The last attempt's outputs. */
  outputs: Record<string, unknown>;
  /** Why it was skipped. */
  skipped: string | null;
  /** Its attempts, oldest first. */
  attempts: AttemptView[];
}

/** A run in one line. */
export interface RunSummary {
  /** The run's id, `owner/repo/pipeline/number`. */
  id: string;
  /** The run's number, which never repeats within its pipeline. */
  number: number;
  /** The repository, as `owner/name`. */
  repository: string;
  /** The pipeline's name, as its file says it. */
  pipeline: string;
  /** One line: the commit's subject, usually. */
  title: string;
  /** The full commit id. */
  sha: string;
  /** The author of the commit that is built. */
  author: string;
  /** The full reference, such as `refs/heads/main`. */
  reference: string;
  /** `push`, `tag` or `manual`. */
  event: string;
  /** Who opened it, such as `delivery:...` or `person:ann`. */
  by: string;
  /** The run that it repeats. */
  retry_of: string | null;
  /** Whether the run goes on, or how it ended. */
  state: RunState;
  /** When it was opened, in ms since the epoch. */
  opened_ms: number;
  /** When it ended, in ms since the epoch. */
  ended_ms: number | null;
  /** Why, while it is open; why it failed, once it has. */
  status: StatusView | null;
}

/** One run with its steps and its timeline. */
export interface RunView {
  /** The run in one line. */
  run: RunSummary;
  /** The file that the pipeline was read from. */
  pipeline_file: string;
  /** The commit's whole message. */
  message: string;
  /** The commit before; empty or zeros for a new branch. */
  before: string;
  /** The delivery's id; empty where no webhook was involved. */
  delivery: string;
  /** Whether history was rewritten. */
  forced: boolean;
  /** The inputs of a run that a person started, by name; empty of any other. */
  inputs: Record<string, unknown>;
  /** The mistakes of a pipeline file that did not parse. */
  mistakes: string[];
  /** Why it was asked to end early. */
  cancel_asked: string | null;
  /** The newest run of this pipeline at this reference that succeeded after this one: a retry of this one would put older code in the place of that. */
  newer: RunSummary | null;
  /** The steps, then the final steps, in the file's order. */
  steps: RunStepView[];
  /** The journal of the run and of its image and bump stages, oldest first. */
  journal: EntryView[];
}

/** A page of runs. */
export interface RunsView {
  /** The runs, newest first. */
  runs: RunRowView[];
  /** How many there are in all that match. */
  total: number;
}

/** What a stage uses a plugin for. */
export interface ServeView {
  /** The table of the row, such as `health`. */
  table: string;
  /** What the row is for, such as `cert-manager.io/Certificate`. */
  name: string;
  /** What the row lets it reach, by ability, as written. */
  grants: Record<string, string[]>;
  /** Why it is not ready, where it is not. */
  trouble: string | null;
}

/** Who is logged in, if anybody. */
export interface SessionView {
  /** The person; absent before the login. */
  user: UserView | null;
  /** What every change must carry in the header `x-bespin-csrf`; empty before the login. */
  csrf: string;
  /** The server's version, as `bespin --version` prints it. */
  version: string;
  /** The server's clock, in ms since the epoch. */
  now_ms: number;
}

/** A setting of a plugin. */
export interface SettingView {
  /** The key in `with`. */
  name: string;
  /** What is taken, in words, such as `a text`. */
  takes: string;
  /** Whether a step must have it. */
  required: boolean;
  /** What it is when absent, where it is something. */
  default: string | null;
  /** What it is for; may be empty. */
  description: string;
  /** The setting and its value without which it is none, such as `action: plan`. */
  when: string | null;
}

/** A pipeline file that a delivery opened no run of. */
export interface SkippedView {
  /** The file, relative to the repository's root. */
  file: string;
  /** Why, as a sentence. */
  because: string;
}

/** A pipeline that a person can start. */
export interface StartablePipeline {
  /** Its file, such as `.bespin/was.yaml`. */
  file: string;
  /** Its name, as its file says it. */
  name: string;
  /** What the person gives, in the file's order. */
  inputs: InputView[];
}

/** What can be started of a repository. */
export interface StartableRepository {
  /** The repository, as `owner/name`. */
  repository: string;
  /** The full reference that its pipelines were read at; empty where there is none. */
  reference: string;
  /** The full id of the commit there; empty where there is none. */
  sha: string;
  /** The pipelines that start by hand, by file. */
  pipelines: StartablePipeline[];
  /** Why this may be old, or not all of it. */
  problem: string | null;
}

/** What can be started by hand. */
export interface StartableView {
  /** The repositories of the configuration, or the one that was asked for. */
  repositories: StartableRepository[];
}

/** What a start answers. */
export interface StartedView {
  /** The run's id; the older one where the same key has started it before. */
  run: string;
}

/** Where a stage stands, and since when. */
export interface StatusView {
  /** The name of the stage that drives it. */
  stage: string;
  /** Whether it acts, waits, needs a person, or is done. */
  phase: PhaseView;
  /** One sentence for a person. */
  message: string;
  /** Since when, in ms since the epoch. */
  since_ms: number;
}

/** How a step stands. */
export type StepState = "waiting" | "asking" | "running" | "queued" | "retrying" | "succeeded" | "failed" | "skipped" | "cancelled";

/** A step, or the delivery, as a row shows it. */
export interface StepSummary {
  /** The step's id; `delivery` for the first. */
  id: string;
  /** The plugin that the step uses. */
  uses: string;
  /** Whether the step waits, runs or has ended, and how. */
  state: StepState;
  /** When its first attempt started, in ms since the epoch. */
  started_ms: number | null;
  /** When its last attempt ended, in ms since the epoch. */
  ended_ms: number | null;
  /** Why, while it runs. */
  status: StatusView | null;
  /** The stage's stream that it waits for, such as `rollout/production/petclinic/was`. */
  stream: string | null;
}

/** A step of a canary. */
export interface StepView {
  /** `weight`, `pause` or `scale`. */
  kind: string;
  /** What it does, in words. */
  text: string;
  /** Percent, for a weight. */
  weight: number | null;
}

/** A sync that ended. */
export interface SyncedView {
  /** The full id of the commit that was synced. */
  revision: string;
  /** When, in ms since the epoch. */
  at_ms: number;
  /** How it ended, as a sentence. */
  outcome: string;
}

/** What kind of trouble something is, the worst first. The first ones need a person; `differs` and `warning` may wait. */
export type TroubleClass = "unserved" | "aborted" | "blocked" | "failed-run" | "degraded" | "unreadable" | "plugin-refused" | "delivery-waits" | "differs" | "warning";

/** Something that a person should know of. */
export interface TroubleView {
  /** `app/...`, `rollout/...`, `run/...`, `delivery/...`, `plugin/...`, the stream that is stuck, or `git/` and the name of a repository. */
  stream: string;
  /** What kind of trouble it is. */
  class: TroubleClass;
  /** In a word: `out of sync`, `Degraded`, `failed`, `stuck`, `warning`. */
  what: string;
  /** Why, as a sentence. */
  reason: string;
  /** Since when, in ms since the epoch, where that is known. */
  since_ms: number | null;
}

/** A step that used a plugin. */
export interface UseView {
  /** The newest run that has the step. */
  run: string;
  /** When that run was opened, in ms since the epoch. */
  opened_ms: number;
  /** The repository, as `owner/name`. */
  repository: string;
  /** The pipeline's name, as its file says it. */
  pipeline: string;
  /** The pipeline's file, relative to the repository. */
  file: string;
  /** The step's id in the pipeline file. */
  step: string;
  /** What the step grants it, by ability, as written. */
  grants: Record<string, string[]>;
  /** The rows of the server's policy that are for this plugin in this run and have something of that: both keys are needed. */
  rows: RowView[];
}

/** Who is logged in. */
export interface UserView {
  /** The name by which the user logged in. */
  name: string;
  /** What they may do. */
  role: Role;
}

/** The weights at one moment. */
export interface WeightView {
  /** When, in ms since the epoch. */
  at_ms: number;
  /** Asked of the canary, in percent. */
  asked: number;
  /** The canary's share of the traffic as it was verified, in percent. */
  served: number | null;
}
