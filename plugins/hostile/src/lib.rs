//! Misbehaves on request: each attack tries one thing that a plugin must not be able to do.
//!
//! An attack that fails as it should either never returns, or returns what the
//! host told it. One that gets what it wanted ends with the output `stolen`.
//! `attacks.toml` beside this crate says which there are and how each has to end.

mod files;
mod leaks;
mod leave;
mod network;
mod takes;

use bespin_sdk::{Deserialize, Outputs, Result};

/// What the pipeline says.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// What to try.
    attack: Attack,
    /// What to try it on, where that varies.
    #[serde(default)]
    on: String,
    /// A request's method.
    #[serde(default = "get")]
    method: String,
    /// A request's header.
    #[serde(default = "plain")]
    header: String,
    /// That header's value.
    #[serde(default = "plain")]
    value: String,
}

fn get() -> String {
    "GET".to_owned()
}

fn plain() -> String {
    "x-plain".to_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Attack {
    /// Spins for ever.
    Loop,
    /// Spins for ever, but asks the host something now and then.
    LoopWithCalls,
    /// Sleeps longer than it may.
    Sleep,
    /// Takes memory until there is none.
    Memory,
    /// Calls itself without end, which fills the engine's stack.
    Recursion,
    /// Calls itself without end with large frames, which runs the stack in its own memory below address zero.
    Frames,
    /// Logs without end.
    LogFlood,
    /// Logs a text that is all line breaks.
    EmptyLines,
    /// Prints without end, and then ends well: what was printed is cut off.
    PrintFlood,
    /// Answers with more than it may.
    OutputFlood,
    /// Answers with more names than it may.
    OutputNames,
    /// Asks the host without end.
    HostCallFlood,
    /// Collects handles to a secret without end.
    HandleFlood,
    /// Hands very long texts to every function of the host.
    LongTexts,
    /// Hands the host one text that is longer than all that it may hand over.
    GiantText,
    /// Sends a request with more headers than anybody needs.
    ManyHeaders,
    /// Asks for more random bytes than it may have at once.
    RandomFlood,
    /// Looks for environment variables.
    Environment,
    /// Looks for arguments.
    Arguments,
    /// Reads its standard input.
    Input,
    /// Reads a file of the host.
    File,
    /// Lists a folder of the host.
    Folder,
    /// Writes a file of the host.
    Write,
    /// Reads a path of the workspace.
    Workspace,
    /// Lists a path of the workspace.
    WorkspaceList,
    /// Reads the clocks as finely as it can.
    Clock,
    /// Connects to an address.
    Socket,
    /// Sends a datagram.
    Datagram,
    /// Listens.
    Listen,
    /// Resolves a name.
    Resolve,
    /// Sends a request.
    Request,
    /// Sends the same request twice.
    RequestTwice,
    /// Sends a request and follows where its answer points.
    FollowRedirect,
    /// Finds a secret.
    Find,
    /// Reads a secret that it may only use.
    Reveal,
    /// Puts a secret into the host name of a request.
    SecretInAddress,
    /// Repeats a secret in a header until it is very long.
    SecretRepeated,
    /// Reads a secret back from an answer that repeats the request.
    SecretEchoed,
    /// Tells a secret that it may read, by the way that `on` names.
    Leak,
    /// Pushes where it may not.
    Registry,
    /// Pushes where it may not, and says that all is well.
    RegistryHidden,
    /// Writes into a repository.
    Git,
    /// Syncs an application.
    Sync,
    /// Follows a rollout.
    Follow,
    /// Runs a container.
    Container,
    /// Builds an image.
    Build,
    /// Stores an artifact under a name.
    Artifact,
    /// Stores an artifact that is longer than it may be.
    ArtifactFlood,
    /// Saves an archive under a key.
    Archive,
    /// Searches the cache for very many prefixes.
    Prefixes,
    /// Asks a metric provider.
    Metrics,
    /// Plans a folder, in the workspace `value`.
    TerraformPlan,
    /// Applies a plan.
    TerraformApply,
    /// Plans with more variables than anybody has.
    TerraformVariables,
    /// Plans without end.
    TerraformFlood,
    /// Panics.
    Panic,
    /// Ends well, as an honest step does.
    None,
}

fn run(settings: Settings) -> Result<Outputs> {
    let on = settings.on.as_str();
    match settings.attack {
        Attack::None => Ok(Outputs::new().with("answer", "42")),
        Attack::Loop => takes::spin(),
        Attack::LoopWithCalls => takes::ask_and_spin(),
        Attack::Sleep => takes::sleep(),
        Attack::Memory => takes::memory(),
        Attack::Recursion => stolen(takes::recurse(1)),
        Attack::Frames => stolen(takes::recurse_with_frames(0)),
        Attack::LogFlood => takes::flood_log(),
        Attack::EmptyLines => takes::empty_lines(),
        Attack::PrintFlood => takes::flood_output(),
        Attack::OutputFlood => Ok(Outputs::new().with("flood", "x".repeat(8 << 20))),
        Attack::OutputNames => takes::many_names(),
        Attack::HostCallFlood => takes::flood_host(),
        Attack::HandleFlood => takes::flood_handles(),
        Attack::LongTexts => takes::long_texts(),
        Attack::GiantText => takes::giant_text(),
        Attack::ManyHeaders => network::many_headers(on),
        Attack::RandomFlood => takes::flood_random(),
        Attack::Environment => files::environment(),
        Attack::Arguments => files::arguments(),
        Attack::Input => files::input(),
        Attack::File => files::read(on),
        Attack::Folder => files::list(on),
        Attack::Write => files::write(on),
        Attack::Workspace => files::workspace(on),
        Attack::WorkspaceList => files::workspace_list(on),
        Attack::Clock => takes::clock(),
        Attack::Socket => network::connect(on),
        Attack::Datagram => network::datagram(on),
        Attack::Listen => network::listen(),
        Attack::Resolve => network::resolve(on),
        Attack::Request => network::request(&settings),
        Attack::RequestTwice => network::request(&settings).and_then(|_| network::request(&settings)),
        Attack::FollowRedirect => network::follow(on),
        Attack::Find => leaks::find(on),
        Attack::Reveal => leaks::reveal(on),
        Attack::SecretInAddress => leaks::in_address(on),
        Attack::SecretRepeated => leaks::repeated(on),
        Attack::SecretEchoed => leaks::echoed(on),
        Attack::Leak => leaks::tell(on),
        Attack::Registry => leave::push(on),
        Attack::RegistryHidden => leave::push(on).or_else(|_| Ok(Outputs::new().with("answer", "all is well"))),
        Attack::Git => leave::bump(on),
        Attack::Sync => leave::sync(on),
        Attack::Follow => leave::follow(on),
        Attack::Container => leave::container(on),
        Attack::Build => leave::build(on),
        Attack::Artifact => leave::artifact(on, b"hostile"),
        Attack::ArtifactFlood => leave::artifact("flood", &vec![1; 9 << 20]),
        Attack::Archive => leave::archive(on, b"hostile"),
        Attack::Prefixes => leave::prefixes(),
        Attack::Metrics => leave::metrics(on),
        Attack::TerraformPlan => leave::plan(on, &settings.value),
        Attack::TerraformApply => leave::apply(on),
        Attack::TerraformVariables => leave::plan_with_variables(),
        Attack::TerraformFlood => leave::plan_without_end(),
        Attack::Panic => panic!("the plugin panics as it was asked to"),
    }
}

/// What an attack that worked ends with.
fn stolen<T>(_loot: T) -> Result<Outputs> {
    Ok(Outputs::new().with("stolen", "yes"))
}

bespin_sdk::step!(run);
