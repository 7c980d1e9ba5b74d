//! cosign itself, without the internet: keys in files, and no transparency log.
//!
//! It signs as its third major version does, into bundles, or as the second did.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, with a home of its own.
pub struct Cosign {
    program: PathBuf,
    home: PathBuf,
}

/// How a signature is kept.
#[derive(Clone, Copy)]
pub enum Form {
    /// In a bundle that refers to the artifact, as since cosign 3.
    Bundle,
    /// Under the artifact's own tag, as until cosign 2.
    Attached,
}

impl Form {
    fn options(self) -> &'static [&'static str] {
        match self {
            Form::Bundle => &["--use-signing-config=false", "--tlog-upload=false"],
            Form::Attached => &["--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false"],
        }
    }
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
    pub fn sign(&self, reference: &str, key: &str, form: Form) {
        let plain = ["--allow-http-registry", "--allow-insecure-registry"];
        self.said(&[&["sign", "--yes", "--key", key][..], form.options(), &plain, &[reference]].concat());
    }

    /// Whether it accepts a signature of an artifact by this public key, and all that it printed. Where there are
    /// bundles, it looks at nothing else unless it is told to.
    pub fn verifies(&self, reference: &str, key: &str, form: Form) -> (bool, String) {
        let plain = ["--allow-http-registry", "--allow-insecure-registry"];
        let form = match form {
            Form::Bundle => "--new-bundle-format=true",
            Form::Attached => "--new-bundle-format=false",
        };
        self.run(&[&["verify", "--insecure-ignore-tlog=true", form, "--key", key][..], &plain, &[reference]].concat())
    }

    /// Signs a file; the signature goes to `<file>.sig`, or to the bundle `<file>.sigstore.json`.
    pub fn sign_file(&self, file: &str, key: &str, form: Form) {
        let (option, to) = match form {
            Form::Bundle => ("--bundle", format!("{file}.sigstore.json")),
            Form::Attached => ("--output-signature", format!("{file}.sig")),
        };
        self.said(&[&["sign-blob", "--yes", "--key", key, option, &to][..], form.options(), &[file]].concat());
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
