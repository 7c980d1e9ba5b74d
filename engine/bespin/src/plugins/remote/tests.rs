//! The store of fetched plugins, before a registry that comes and goes.

use super::*;
use images::plugin::{New, Tag};
use images::signature::SigningKey;
use images::{Auth, RegistrySettings};
use pipeline::declaration::Declared;
use playground::faults::Faults;
use playground::registry::Registry;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use tokio_util::sync::CancellationToken;

const HOST: &str = "registry.example";

struct World {
    dir: tempfile::TempDir,
    registries: Arc<Registries>,
    /// What the registry has, pinned.
    pinned: ImageRef,
    stop: CancellationToken,
}

fn openssl(arguments: &[&str]) {
    assert!(Command::new("openssl").args(arguments).output().expect("openssl runs").status.success());
}

impl World {
    async fn new() -> World {
        World::with(bytes::Bytes::from_static(b"\0asm")).await
    }

    /// A registry that has this component.
    async fn with(wasm: bytes::Bytes) -> World {
        let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path().join("registry"), None, None, Faults::default()).unwrap();
        let (listener, address) = playground::serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(playground::serve::run(listener, registry, stop.clone()));
        let endpoint = Some(format!("http://{address}"));
        let settings = RegistrySettings { host: HOST.into(), endpoint, auth: Auth::None };
        let registries = Arc::new(Registries::new(vec![settings]).unwrap());
        let file = |name: &str| dir.path().join(name).display().to_string();
        for key in ["acme", "stranger"] {
            openssl(&["genpkey", "-algorithm", "ed25519", "-out", &file(&format!("{key}.key"))]);
            let (private, public) = (file(&format!("{key}.key")), file(&format!("{key}.pub")));
            openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
        }
        let to: ImageRef = format!("{HOST}/acme/lint:1").parse().unwrap();
        let new = New { wasm, imports: Vec::new(), exports: Vec::new() };
        let digest = registries.of(HOST).unwrap().push_plugin(&to, &new, Tag::Stays).await.unwrap();
        let key = SigningKey::from_pem(&std::fs::read_to_string(file("acme.key")).unwrap()).unwrap();
        registries.of(HOST).unwrap().sign_plugin(&to, &digest, &key).await.unwrap();
        World { dir, registries, pinned: to.pinned(&digest), stop }
    }

    /// A server that trusts this key for these plugins.
    fn remote(&self, pattern: &str, key: &str) -> Remote {
        let file = self.dir.path().join(format!("{key}.pub"));
        let keys = vec![crate::config::KeyFile { file }];
        let source = PluginSource { pattern: format!("{HOST}/{pattern}"), keys };
        Remote::new(self.dir.path().join("fetched"), self.registries.clone(), &[source]).unwrap()
    }

    fn kept(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.dir.path().join("fetched")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn because(got: Result<Trusted, Error>) -> String {
    got.err().map(|error| error.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn what_is_kept_is_checked_and_a_damaged_copy_is_fetched_anew() {
    let world = World::new().await;
    let remote = world.remote("acme/*", "acme");
    let fetched = remote.get(&world.pinned).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(&fetched.plugin.wasm[..], b"\0asm");
    let [kept] = &world.kept()[..] else { panic!("one file is kept") };
    let whole = std::fs::read(kept).unwrap();
    for damaged in [whole[..whole.len() - 1].to_vec(), [&whole[..], b"x"].concat(), b"{}\n\0asm".to_vec(), Vec::new()] {
        std::fs::write(kept, damaged).unwrap();
        let again = remote.get(&world.pinned).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.plugin, fetched.plugin);
        assert_eq!(std::fs::read(kept).unwrap(), whole, "the copy is mended");
    }
    world.stop.cancel();
    assert!(remote.get(&world.pinned).await.is_ok(), "the registry is not needed for what is kept");
    std::fs::write(kept, b"damaged").unwrap();
    let away = remote.get(&world.pinned).await.err().map(|error| error.retry());
    assert_eq!(away, Some(decide::retry::Retry::PASSING), "and nothing damaged runs instead");
}

#[tokio::test]
async fn what_is_kept_needs_a_key_that_is_known_now() {
    let world = World::new().await;
    assert!(world.remote("acme/*", "acme").get(&world.pinned).await.is_ok());
    let other = because(world.remote("acme/*", "stranger").get(&world.pinned).await);
    assert!(other.contains("has a signature by another key"), "{other}");
    let nobody = because(world.remote("acme/other", "acme").get(&world.pinned).await);
    assert!(nobody.contains("is of no source") && nobody.contains("[[plugin-source]]"), "{nobody}");
    let tag = ImageRef { tag: Some("1".into()), digest: None, ..world.pinned.clone() };
    let unpinned = because(world.remote("acme/*", "acme").get(&tag).await);
    assert!(unpinned.contains("bespin plugin lock"), "{unpinned}");
}

#[tokio::test]
async fn signatures_of_both_forms_are_kept_and_an_entry_of_before_is_read() {
    let world = World::new().await;
    let plugin =
        world.remote("acme/*", "acme").get(&world.pinned).await.unwrap_or_else(|error| panic!("{error}")).plugin;
    let one = |form, text: &str| Signature { form, payload: text.into(), signature: text.into() };
    let both = [one(Form::Payload, "a"), one(Form::Payload, "b"), one(Form::Statement, "c")];
    let whole = entry(&plugin, &both);
    assert_eq!(read(&world.pinned, &whole), Some((plugin.clone(), both.to_vec())));
    let statements = br#","statements":[["Yw==","Yw=="]]"#;
    let at = whole.windows(statements.len()).position(|window| window == statements).unwrap();
    let before = [&whole[..at], &whole[at + statements.len()..]].concat();
    assert_eq!(read(&world.pinned, &before), Some((plugin, both[..2].to_vec())));
}

/// A component that declares that it takes any settings.
const DECLARING: &[u8] = b"\0asm\x0d\0\x01\0\0\x2e\x0fbespin:settings{\"settings\":{\"type\":\"object\"}}";

#[tokio::test]
async fn a_verdict_on_a_file_does_not_depend_on_what_was_fetched() {
    let world = World::with(bytes::Bytes::from_static(DECLARING)).await;
    let folder = world.dir.path().join("plugins");
    std::fs::create_dir(&folder).unwrap();
    let remote = Arc::new(world.remote("acme/*", "acme"));
    let plugins = crate::plugins::Plugins::of(&folder).and(remote.clone());
    let uses = world.pinned.to_string();
    let declared = || plugins.declarations(BTreeSet::from([uses.clone()])).unwrap().of(&uses).cloned();
    let before = declared();
    assert!(matches!(&before, Some(Declared::Unchecked { because }) if because.contains("as its step starts")));
    assert!(remote.get(&world.pinned).await.is_ok());
    assert_eq!(declared(), before, "another server, which has not fetched it, says the same");
    let known = stored(remote.dir(), &world.pinned).unwrap().map(|wasm| sandbox::declared(&wasm));
    assert!(matches!(known, Some(Declared::Known(_))), "lint reads it: {known:?}");
}

#[tokio::test]
async fn what_is_stored_counts_for_the_digest_that_the_lock_file_names_and_no_other() {
    let world = World::new().await;
    let remote = world.remote("acme/*", "acme");
    assert!(remote.get(&world.pinned).await.is_ok());
    assert!(stored(remote.dir(), &world.pinned).unwrap().is_some());
    let [kept] = &world.kept()[..] else { panic!("one file is kept") };
    let other = ImageRef { digest: Some(Digest::of(b"other")), ..world.pinned.clone() };
    std::fs::copy(kept, path(remote.dir(), &other, &Digest::of(b"other"))).unwrap();
    assert_eq!(stored(remote.dir(), &other).unwrap(), None, "another plugin's file in its place is not believed");
    let tag = ImageRef { tag: Some("1".into()), digest: None, ..world.pinned.clone() };
    assert_eq!(stored(remote.dir(), &tag).unwrap(), None);
    std::fs::write(kept, [&std::fs::read(kept).unwrap()[..], b"x"].concat()).unwrap();
    assert_eq!(stored(remote.dir(), &world.pinned).unwrap(), None, "nor is a damaged one");
}
