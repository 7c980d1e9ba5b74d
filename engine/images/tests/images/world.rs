//! What the tests stand on: contexts, logs, registries, and other programs.

use aws_lc_rs::hmac;
use decide::image::Network;
use images::{Auth, Choice, Images, Job, LogSink, Registries, RegistrySettings, Stream};
use playground::faults::Faults;
use playground::registry::Registry;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The host in the seed's image names; nothing listens there.
pub(crate) const HOST: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com";

/// Keeps every line.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<(Stream, String)>>);

impl LogSink for Log {
    fn line(&self, stream: Stream, text: &str) {
        self.0.lock().unwrap().push((stream, text.to_owned()));
    }
}

impl Log {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().iter().map(|(_, line)| format!("{line}\n")).collect()
    }
}

/// One file of a context: path, content or link target, mode.
pub(crate) enum Made<'a> {
    File(&'a str, &'a [u8], u32),
    Link(&'a str, &'a str),
}

/// Writes a context's tar; `at` is the time that its files bear.
pub(crate) fn context(path: &Path, at: u64, files: &[Made<'_>]) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(at);
        match file {
            Made::File(path, bytes, mode) => {
                header.set_mode(*mode);
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, path, *bytes).unwrap();
            }
            Made::Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                tar.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    tar.finish().unwrap();
}

/// The key of a step, by its name.
pub(crate) fn key(step: &str) -> decide::request::Key {
    decide::request::Key { run: "user/petclinic/was/56".into(), step: step.into() }
}

/// A builder with its layout and contexts in one directory.
pub(crate) struct Shop {
    pub images: Images,
    pub dir: TempDir,
}

impl Shop {
    pub(crate) fn new(choice: Choice) -> Shop {
        let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        Shop { images: Images::open(&dir.path().join("layout"), choice).unwrap(), dir }
    }

    /// What the engine calls the build with this label: an HMAC under the key beside the layout.
    pub(crate) fn name(&self, label: &str) -> String {
        let key = std::fs::read(self.dir.path().join("layout/key")).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        format!("bespin-building:{}", hex::encode(hmac::sign(&key, label.as_bytes())))
    }

    /// A job for these files, the Dockerfile among them.
    pub(crate) fn job(&self, step: &str, at: u64, files: &[Made<'_>]) -> Job {
        let path = self.dir.path().join(format!("{step}.tar"));
        context(&path, at, files);
        let (dockerfile, network) = ("Dockerfile".into(), Network::Builder);
        Job { key: key(step), dockerfile, build_args: BTreeMap::new(), network, context: path }
    }
}

/// The playground's registry, which admits `AWS` by the password `secret`.
pub(crate) struct Served {
    pub registry: Registry,
    pub faults: Faults,
    pub address: SocketAddr,
    /// Where it keeps its blobs, as `blobs/<hex>`.
    pub dir: TempDir,
    _stop: DropGuard,
}

impl Served {
    pub(crate) async fn start() -> Served {
        let dir = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let registry = Registry::open(dir.path(), Some("AWS".into()), Some("secret".into()), faults.clone()).unwrap();
        let (listener, address) = playground::serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(playground::serve::run(listener, registry.clone(), stop.clone()));
        Served { registry, faults, address, dir, _stop: stop.drop_guard() }
    }

    /// Registries that know the seed's host at this address.
    pub(crate) fn known(&self, password: &str) -> Registries {
        known(&format!("http://{}", self.address), Auth::Basic { username: "AWS".into(), password: password.into() })
    }
}

pub(crate) fn known(endpoint: &str, auth: Auth) -> Registries {
    Registries::new(vec![RegistrySettings { host: HOST.into(), endpoint: Some(endpoint.into()), auth }]).unwrap()
}

/// A program that ends with this value.
pub(crate) struct Program(Child);

impl Program {
    pub(crate) fn start(command: &mut Command, log: &Path) -> Program {
        let log = std::fs::File::create(log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        Program(child.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}")))
    }

    /// Waits until `check` holds, for a minute at most.
    pub(crate) async fn ready(&mut self, mut check: impl AsyncFnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !check().await {
            assert!(self.0.try_wait().unwrap().is_none(), "the program has ended");
            assert!(Instant::now() < end, "the program is not ready after a minute");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGTERM first: a daemon stops its own children on it.
        let _asked = Command::new("kill").arg(self.0.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(10);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _gone_already = self.0.kill();
        let _status = self.0.wait();
    }
}

/// The path of a program, or `None` said loudly; a failure where every real part is demanded.
pub(crate) fn real(program: &str, variable: Option<&str>) -> Option<PathBuf> {
    let named = variable.and_then(std::env::var_os).map(PathBuf::from).filter(|path| path.exists());
    let found = named.or_else(|| {
        std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.exists())
    });
    if found.is_none() {
        assert!(std::env::var_os("BESPIN_REAL").is_none(), "{program} is missing, and every real part is demanded");
        eprintln!("NOT CHECKED: {program} is missing on this machine");
    }
    found
}
