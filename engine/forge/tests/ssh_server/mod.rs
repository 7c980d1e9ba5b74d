//! An `sshd` of the test's own: own port, own host key, two authorized keys. It
//! runs as whoever runs the test, and lets only that user in.

#[path = "../../../../tests/world/port.rs"]
mod port;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A pair of keys.
#[derive(Clone)]
pub(crate) struct Key {
    /// The private key's text, as the configuration's file holds it, without the last newline.
    pub private: String,
    /// The public key: kind and base64.
    pub public: String,
    /// What the private key is encrypted with.
    pub passphrase: Option<&'static str>,
    /// The private key's file.
    pub file: PathBuf,
}

impl Key {
    /// Makes an ed25519 key.
    pub(crate) fn make(dir: &Path, name: &str, passphrase: Option<&'static str>) -> Key {
        let file = dir.join(name);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-C", name, "-N", passphrase.unwrap_or_default(), "-f"]).arg(&file);
        assert!(keygen.status().unwrap().success(), "ssh-keygen makes a key");
        let private = std::fs::read_to_string(&file).unwrap().trim_end().to_owned();
        let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
        let public = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        Key { private, public, passphrase, file }
    }
}

/// A running `sshd`; it ends with this value.
pub(crate) struct SshServer {
    /// Where it listens on loopback.
    pub port: u16,
    /// The host's key.
    pub host: Key,
    keys: [Key; 2],
    user: String,
    log: Arc<Mutex<String>>,
    sshd: Child,
    _dir: tempfile::TempDir,
}

impl SshServer {
    /// Starts it; `None`, said loudly, where there is no `sshd`.
    pub(crate) fn start() -> Option<SshServer> {
        let sshd = find()?;
        let dir = tempfile::tempdir().unwrap();
        let host = Key::make(dir.path(), "host", None);
        let keys = [Key::make(dir.path(), "one", None), Key::make(dir.path(), "two", Some("open sesame"))];
        let authorized = dir.path().join("authorized_keys");
        std::fs::write(&authorized, keys.clone().map(|key| format!("restrict {}\n", key.public)).concat()).unwrap();
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned();
        let is_root = user == "root";
        if is_root {
            // Where `sshd` gives up its rights; a service manager makes it otherwise.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = port::free_port();
        let config = dir.path().join("sshd_config");
        let text = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nAllowUsers {user}\nPidFile none\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             UsePAM no\nStrictModes no\nLogLevel VERBOSE\n",
            host.file.display(),
            authorized.display(),
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(&sshd);
        command.args(["-D", "-e", "-f"]).arg(&config).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut sshd = command.spawn().unwrap();
        let log = Arc::default();
        assert!(listens(&mut sshd, &log), "sshd ended: {}", log.lock().unwrap());
        Some(SshServer { port, host, keys, user, log, sshd, _dir: dir })
    }

    /// The two keys that are let in; the second one is encrypted.
    pub(crate) fn keys(&self) -> [&Key; 2] {
        self.keys.each_ref()
    }

    /// The address of a bare repository.
    pub(crate) fn url(&self, bare: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port, bare.display())
    }

    /// The line by which this server is known.
    pub(crate) fn known_hosts(&self) -> String {
        format!("[127.0.0.1]:{} {}\n", self.port, self.host.public)
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _gone_already = self.sshd.kill();
        let _status = self.sshd.wait();
    }
}

/// Waits until it says that it listens, and keeps whatever it says; false when it ends instead.
fn listens(sshd: &mut Child, log: &Arc<Mutex<String>>) -> bool {
    let mut lines = BufReader::new(sshd.stderr.take().unwrap()).lines().map_while(Result::ok);
    let listens = lines.by_ref().any(|line| {
        log.lock().unwrap().push_str(&format!("{line}\n"));
        line.starts_with("Server listening on 127.0.0.1")
    });
    let log = log.clone();
    std::thread::spawn(move || lines.for_each(|line| log.lock().unwrap().push_str(&format!("{line}\n"))));
    listens
}

/// `sshd` wants to be started by its whole path, which is not in everybody's `PATH`.
fn find() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&paths).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = dirs.map(|dir| dir.join("sshd")).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("BESPIN_REAL").is_none(), "sshd is missing, and every real part is demanded");
        eprintln!("NOT CHECKED: sshd is missing; git over SSH");
    }
    found
}
