//! `bespin plugin push`, `pull`, `sign` and `verify`.

use crate::Configured;
use crate::component::{read, unchecked};
use crate::reach::{RegistryOptions, told};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use clap::Args;
use images::plugin::{New, Tag};
use images::signature::{PublicKey, SigningKey, signer};
use pipeline::ImageRef;
use pipeline::lock::plugin_reference;
use sandbox::World;
use sandbox::inspect::{LONGEST, inspect};
use std::path::{Path, PathBuf};

/// What `bespin plugin push` is asked.
#[derive(Args)]
pub struct PushOptions {
    file: PathBuf,
    /// Where it goes: `host/name:tag`.
    reference: String,
    /// Sign it with this key: a PEM file, ed25519 or ECDSA on P-256, as `openssl genpkey -algorithm ed25519` makes one.
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Let the tag move, where it names another plugin. Whoever locked the old one keeps it.
    #[arg(long)]
    move_tag: bool,
    #[command(flatten)]
    reach: RegistryOptions,
}

/// What `bespin plugin pull` is asked.
#[derive(Args)]
pub struct PullOptions {
    /// What: `host/name:tag` or `host/name@sha256:...`.
    reference: String,
    /// The file to write; the name's last part and `.wasm` when absent.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    reach: RegistryOptions,
}

/// What `bespin plugin sign` is asked.
#[derive(Args)]
pub struct Sign {
    /// A reference, whose signature goes to its registry; or a file, whose signature goes to FILE.sig.
    plugin: String,
    /// The key, in a PEM file.
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    #[command(flatten)]
    reach: RegistryOptions,
}

/// What `bespin plugin verify` is asked.
#[derive(Args)]
pub struct Verify {
    /// A reference; or a file, whose signature stands in FILE.sig, or in FILE.sigstore.json as `cosign sign-blob
    /// --bundle` writes it.
    plugin: String,
    /// A public key, in a PEM file; may be given several times, and one of them must have signed.
    #[arg(long = "key", value_name = "PUB", required = true)]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    reach: RegistryOptions,
}

/// Pushes a component, which must be a plugin.
///
/// # Errors
/// It is none, the key is none, or the registry refuses.
pub(crate) async fn push(options: &PushOptions, configured: Configured) -> Result<(), String> {
    let to = by_tag(&options.reference)?;
    // A key that cannot sign is told before anything is pushed.
    let key = options.sign.as_deref().map(signing_key).transpose()?;
    let wasm = read(&options.file)?;
    let plugin = inspect(&wasm).map_err(|refused| format!("{}: {refused}", options.file.display()))?;
    if let (World::Step, Some(why)) = (plugin.world, unchecked(&plugin.declared)) {
        eprintln!("note: {why}");
    }
    let imports = plugin.asks.iter().map(|ability| format!("bespin:plugin/{ability}")).chain(plugin.wasi).collect();
    let new = New { wasm: Bytes::from(wasm), imports, exports: plugin.exports };
    let registry = options.reach.registry(&to.host, configured)?;
    let tag = if options.move_tag { Tag::Moves } else { Tag::Stays };
    let digest = registry.push_plugin(&to, &new, tag).await.map_err(told)?;
    println!("{to}@{digest}");
    if let Some(key) = key {
        registry.sign_plugin(&to, &digest, &key).await.map_err(told)?;
        println!("signed by {}", key.public());
    }
    Ok(())
}

/// Pulls a component; its digests are checked, and it is written only if it is a plugin.
///
/// # Errors
/// There is none, it is damaged, or the file cannot be written.
pub(crate) async fn pull(options: &PullOptions, configured: Configured) -> Result<(), String> {
    let from = reference(&options.reference)?;
    let registry = options.reach.registry(&from.host, configured)?;
    let pulled = registry.pull_plugin(&from, LONGEST).await.map_err(told)?;
    inspect(&pulled.wasm).map_err(|refused| format!("{from}: {refused}"))?;
    let last = from.repository.rsplit('/').next().unwrap_or("plugin");
    let file = options.output.clone().unwrap_or_else(|| PathBuf::from(format!("{last}.wasm")));
    let failed = |error| format!("{}: {error}; name a file that can be written by --output", file.display());
    std::fs::write(&file, &pulled.wasm).map_err(failed)?;
    println!("{}@{} as {}", from.name(), pulled.manifest, file.display());
    Ok(())
}

/// Signs a plugin where it is.
///
/// # Errors
/// The key is none, or the plugin cannot be found.
pub(crate) async fn sign(options: &Sign, configured: Configured) -> Result<(), String> {
    let key = signing_key(&options.key)?;
    match Where::of(&options.plugin)? {
        Where::File(file) => {
            let (wasm, beside) = (read(&file)?, beside(&file, "sig"));
            let text = format!("{}\n", BASE64.encode(key.sign(&wasm)));
            std::fs::write(&beside, text).map_err(|error| format!("{}: {error}", beside.display()))?;
            println!("{}: signed by {}", beside.display(), key.public());
        }
        Where::Registry(artifact) => {
            let registry = options.reach.registry(&artifact.host, configured)?;
            let pulled = registry.pull_plugin(&artifact, LONGEST).await.map_err(told)?;
            let signed = registry.sign_plugin(&artifact, &pulled.manifest, &key).await;
            signed.map_err(told)?;
            println!("{}@{}: signed by {}", artifact.name(), pulled.manifest, key.public());
        }
    }
    Ok(())
}

/// Verifies that one of the keys signed a plugin.
///
/// # Errors
/// None did, or the plugin cannot be found.
pub(crate) async fn verify(options: &Verify, configured: Configured) -> Result<(), String> {
    let keys = options.keys.iter().map(|file| public_key(file)).collect::<Result<Vec<_>, _>>()?;
    let known = || keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match Where::of(&options.plugin)? {
        Where::File(file) => {
            let (wasm, (beside, signature)) = (read(&file)?, signature(&file)?);
            let key = keys.iter().find(|key| key.verifies(&wasm, &signature)).ok_or_else(|| {
                format!("{}: {} is not its signature by any of: {}", file.display(), beside.display(), known())
            })?;
            println!("{}: signed by {key}", file.display());
        }
        Where::Registry(artifact) => {
            let registry = options.reach.registry(&artifact.host, configured)?;
            let pulled = registry.pull_plugin(&artifact, LONGEST).await.map_err(told)?;
            let digest = &pulled.manifest;
            let signatures = registry.signatures(&artifact, digest).await.map_err(told)?;
            let key = signer(digest, &signatures, &keys).ok_or_else(|| match signatures.len() {
                0 => format!("{artifact} ({digest}) is not signed; `bespin plugin sign` or `cosign sign` does it"),
                n => format!("{artifact} ({digest}): none of its {n} signatures is by any of: {}", known()),
            })?;
            println!("{}@{digest}: signed by {key}", artifact.name());
        }
    }
    Ok(())
}

/// Where a plugin is.
pub(crate) enum Where {
    File(PathBuf),
    Registry(ImageRef),
}

impl Where {
    /// A file where there is one of that name, and otherwise a reference.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn of(text: &str) -> Result<Where, String> {
        let file = PathBuf::from(text);
        if file.exists() {
            return Ok(Where::File(file));
        }
        // Without a `/` there is no registry in it: a file was meant.
        if !text.contains('/') || text.starts_with(['/', '.']) || text.ends_with(".wasm") {
            return Err(format!("there is no file {text}; name a component's file, or a reference: `host/name:tag`"));
        }
        plugin_reference(text)
            .map(Where::Registry)
            .map_err(|(message, help)| format!("there is no file {text}, and as a reference: {message}; {help}"))
    }
}

/// A reference by tag or digest.
///
/// # Errors
/// What is wrong with it, with the help.
pub(crate) fn reference(text: &str) -> Result<ImageRef, String> {
    plugin_reference(text).map_err(|(message, help)| format!("{message}; {help}"))
}

fn by_tag(text: &str) -> Result<ImageRef, String> {
    let to = reference(text)?;
    if to.digest.is_some() || to.tag.is_none() {
        let help = format!("write `{}:1`, or whatever its tag is to be", to.name());
        return Err(format!("{text}: a push goes to a tag, and the digest follows from the content; {help}"));
    }
    Ok(to)
}

/// A file's signature, and the file where it stands.
fn signature(file: &Path) -> Result<(PathBuf, Vec<u8>), String> {
    let (plain, bundle) = (beside(file, "sig"), beside(file, "sigstore.json"));
    let read = |from: &Path| {
        std::fs::read_to_string(from).map_err(|error| {
            format!("{}: {error}; `bespin plugin sign {} --key KEY` writes it", from.display(), file.display())
        })
    };
    let (from, signature, help) = if plain.exists() || !bundle.exists() {
        let signature = BASE64.decode(read(&plain)?.trim()).ok();
        (plain, signature, "it is not base64; `bespin plugin sign` or `cosign sign-blob` writes it anew")
    } else {
        let signature = images::bundle::of_file(read(&bundle)?.as_bytes());
        (bundle, signature, "it is no bundle with a file's signature; `cosign sign-blob --bundle` writes it anew")
    };
    let signature = signature.ok_or_else(|| format!("{}: {help}", from.display()))?;
    Ok((from, signature))
}

/// A file's name with an extension more.
fn beside(file: &Path, extension: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

fn signing_key(file: &Path) -> Result<SigningKey, String> {
    SigningKey::from_pem(&pem(file, "`openssl genpkey -algorithm ed25519` makes one")?)
        .map_err(|what| format!("the key {}: {what}", file.display()))
}

fn public_key(file: &Path) -> Result<PublicKey, String> {
    PublicKey::from_pem(&pem(file, "name the public half of the key that signs")?)
        .map_err(|what| format!("the key {}: {what}", file.display()))
}

fn pem(file: &Path, help: &str) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("the key {}: {error}; {help}", file.display()))
}
