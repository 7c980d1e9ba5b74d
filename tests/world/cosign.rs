//! cosign itself, without the internet: keys in files, and no transparency log.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, with a home of its own.
pub struct Cosign {
    program: PathBuf,
    home: PathBuf,
}

impl Cosign {
    /// The one that xtask built, if it is there; it keeps its files in `home`.
    pub fn found(home: &Path) -> Option<Cosign> {
        Some(Cosign { program: super::given("BESPIN_COSIGN")?, home: home.to_owned() })
    }

    /// Makes a pair of keys, `<name>.key` (encrypted) and `<name>.pub`, in its home.
    pub fn keys(&self, name: &str) {
        self.said(&["generate-key-pair", "--output-key-prefix", name]);
    }

    /// Signs an artifact of a registry on loopback, which must be named by its digest.
    pub fn sign(&self, reference: &str, key: &str) {
        let plain = ["--allow-http-registry", "--allow-insecure-registry"];
        self.said(&[&["sign", "--yes", "--tlog-upload=false", "--key", key][..], &plain, &[reference]].concat());
    }

    /// Whether it accepts a signature of an artifact by this public key, and all that it printed.
    pub fn verifies(&self, reference: &str, key: &str) -> (bool, String) {
        let plain = ["--allow-http-registry", "--allow-insecure-registry"];
        self.run(&[&["verify", "--insecure-ignore-tlog=true", "--key", key][..], &plain, &[reference]].concat())
    }

    /// Signs a file; the signature goes to `<file>.sig`.
    pub fn sign_file(&self, file: &str, key: &str) {
        let signature = format!("{file}.sig");
        self.said(&["sign-blob", "--yes", "--tlog-upload=false", "--key", key, "--output-signature", &signature, file]);
    }

    /// Whether it accepts `<file>.sig` as the file's signature by this public key, and all that it printed.
    pub fn verifies_file(&self, file: &str, key: &str) -> (bool, String) {
        let signature = format!("{file}.sig");
        self.run(&["verify-blob", "--insecure-ignore-tlog=true", "--key", key, "--signature", &signature, file])
    }

    fn said(&self, arguments: &[&str]) {
        let (is_done, printed) = self.run(arguments);
        assert!(is_done, "cosign {arguments:?}: {printed}");
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(&self.program);
        // It looks for sigstore's own keys even where a key is named; nobody answers there.
        command
            .env("HOME", &self.home)
            .env("TUF_MIRROR", "http://127.0.0.1:9")
            .env("COSIGN_PASSWORD", "of the stories");
        let output = command.current_dir(&self.home).args(arguments).output().expect("cosign runs");
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
    }
}
