//! What the tests need beyond cargo: installed on Debian as root, named elsewhere.

use crate::process::{Failed, command, has, output, run, top};
use std::path::{Path, PathBuf};

/// A program of a Debian package, and what is not checked without it.
struct Part {
    program: &'static str,
    package: &'static str,
    checks: &'static str,
}

const PARTS: [Part; 13] = [
    Part { program: "dockerd", package: "docker.io", checks: "builds and container steps on Docker Engine" },
    Part { program: "mkfs.ext4", package: "e2fsprogs", checks: "that a container cannot fill the disk" },
    Part { program: "iptables", package: "iptables", checks: "Docker Engine" },
    Part { program: "docker-registry", package: "docker-registry", checks: "pushes to a real registry" },
    Part { program: "htpasswd", package: "apache2-utils", checks: "pushes to a real registry" },
    Part { program: "etcd", package: "etcd-server", checks: "the real control plane" },
    Part { program: "haproxy", package: "haproxy", checks: "that the weight asked is the weight served" },
    Part { program: "prometheus-alertmanager", package: "prometheus-alertmanager", checks: "that alerts act" },
    Part { program: "openssl", package: "openssl", checks: "the real control plane" },
    Part { program: "strace", package: "strace", checks: "what the journal survives of a power cut" },
    Part { program: "faketime", package: "faketime", checks: "that a clock which steps back loses no push" },
    Part { program: "sshd", package: "openssh-server", checks: "git over SSH" },
    Part { program: "chromium", package: "chromium", checks: "the dashboard in a browser" },
];

/// The release of Kubernetes whose control plane the tests run.
const KUBERNETES: &str = "v1.36.2";
/// The release of cosign that signs and verifies plugins beside ours; as in `tests/world/cosign/go.mod`.
const COSIGN: &str = "v3.1.3";
/// The release of OpenTofu that is built where there is no Terraform, and the digest of its module.
const TOFU: [&str; 2] = ["v1.10.10", "h1:ELFHOkY0x/bHvkgBP4KK3i7Y19CSFuHOyeZOLc0cqWY="];
/// The release of Argo Rollouts whose client drives our Rollouts, and the digest of its module.
const ROLLOUTS: [&str; 2] = ["v1.8.3", "h1:blbtQva4IK9r6gFh+dWkCrLnFdPOWiv9ubQYu36qeaA="];
/// The release of moto that answers for the ECR API.
const MOTO: &str = "moto[server]==5.2.5";

/// Where what is built once is kept, outside of the checkout.
pub(crate) fn cache() -> PathBuf {
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    home.unwrap_or_else(std::env::temp_dir).join("bespin")
}

/// The folder of `kube-apiserver` and `kube-controller-manager`.
pub(crate) fn kubernetes() -> PathBuf {
    cache().join("kubernetes").join(KUBERNETES)
}

/// The `cosign` program.
pub(crate) fn cosign() -> PathBuf {
    cache().join("cosign").join(COSIGN).join("cosign")
}

/// The `tofu` program, where neither it nor `terraform` is installed.
pub(crate) fn tofu() -> PathBuf {
    cache().join("tofu").join(TOFU[0]).join("tofu")
}

/// The client of Argo Rollouts, a plugin of kubectl.
pub(crate) fn rollouts_client() -> PathBuf {
    cache().join("rollouts").join(ROLLOUTS[0]).join("kubectl-argo-rollouts")
}

/// The `moto_server` program.
pub(crate) fn moto() -> PathBuf {
    cache().join("moto").join("bin").join("moto_server")
}

/// Installs the programs that Debian has, and returns a sentence for each that is missing afterwards.
///
/// # Errors
/// Without the target for plugins nothing can be tested at all.
pub(crate) fn tools() -> Result<Vec<String>, Failed> {
    wasm_target()?;
    debian();
    let missing = PARTS.iter().filter(|part| !has(part.program));
    Ok(missing.map(|part| format!("{} (Debian: {}): {}", part.program, part.package, part.checks)).collect())
}

/// Everything at once: [`tools`] and [`parts`].
///
/// # Errors
/// As [`tools`].
pub(crate) fn everything() -> Result<Vec<String>, Failed> {
    let mut missing = tools()?;
    missing.extend(parts());
    Ok(missing)
}

/// Builds the other parts, each once for each release, and returns a sentence for each that is missing afterwards.
pub(crate) fn parts() -> Vec<String> {
    let mut missing = Vec::new();
    missing.extend(control_plane().err().map(|failed| format!("the real control plane: {failed}")));
    missing.extend(cosign_itself().err().map(|failed| format!("cosign, signing and verifying: {failed}")));
    missing.extend(opentofu().err().map(|failed| format!("Terraform or OpenTofu: planning and applying: {failed}")));
    missing.extend(argo_rollouts_client().err().map(|failed| format!("the client of Argo Rollouts: {failed}")));
    missing.extend(moto_server().err().map(|failed| format!("the ECR API: {failed}")));
    missing
}

/// Adds the target that plugins are built for.
///
/// # Errors
/// There is no rustup, or it cannot add the target.
pub(crate) fn wasm_target() -> Result<(), Failed> {
    let installed = output(command("rustup").args(["target", "list", "--installed"]))?;
    if installed.contains("wasm32-wasip2") {
        return Ok(());
    }
    eprintln!("xtask: adding the target wasm32-wasip2");
    run(command("rustup").args(["target", "add", "wasm32-wasip2"]))
}

/// What Debian asks whether a service may be started.
const POLICY: &str = "/usr/sbin/policy-rc.d";

fn policy(text: &[u8]) -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(POLICY, text)
        .and_then(|()| std::fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755)))
        .map_err(|error| Failed(format!("{POLICY}: {error}")))
}

fn debian() {
    let packages: Vec<_> = PARTS.iter().filter(|part| !has(part.program)).map(|part| part.package).collect();
    if packages.is_empty() {
        return;
    }
    let is_root = output(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !has("apt-get") {
        eprintln!("xtask: please install: {}", packages.join(" "));
        return;
    }
    eprintln!("xtask: installing {}", packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut apt = command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "Dpkg::Use-Pty=0"]).args(arguments);
        output(&mut apt)
    };
    let installed = apt(&["update"]).and_then(|_| {
        // Debian starts services at installation; the tests start their own, and only those.
        let before = std::fs::read(POLICY).ok();
        policy(b"#!/bin/sh\nexit 101\n")?;
        let installed = apt(&[&["install", "-y", "--no-install-recommends"], packages.as_slice()].concat());
        match before {
            Some(theirs) => policy(&theirs)?,
            None => std::fs::remove_file(POLICY).map_err(|error| Failed(format!("{POLICY}: {error}")))?,
        }
        // Nor may the next boot open the machine to logins or to gossip, because somebody ran its tests.
        let listens =
            [("openssh-server", "ssh.service"), ("prometheus-alertmanager", "prometheus-alertmanager.service")];
        for (_, service) in listens.iter().filter(|(package, _)| packages.contains(package) && has("systemctl")) {
            output(command("systemctl").args(["disable", service]))?;
        }
        installed
    });
    if let Err(failed) = installed {
        eprintln!("xtask: {failed}");
    }
}

/// Builds the control plane from its Go modules, once for each release.
fn control_plane() -> Result<(), Failed> {
    let bin = kubernetes();
    if bin.join("kube-apiserver").exists() && bin.join("kube-controller-manager").exists() {
        return Ok(());
    }
    eprintln!("xtask: building kube-apiserver and kube-controller-manager {KUBERNETES}; this takes minutes, once");
    let version = format!("k8s.io/component-base/version.gitVersion={KUBERNETES}");
    let programs = ["k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kube-controller-manager"];
    go("tests/world/kube", &version, &programs, &bin)
}

/// Builds cosign from its Go module, once for each release.
fn cosign_itself() -> Result<(), Failed> {
    let program = cosign();
    if program.exists() {
        return Ok(());
    }
    eprintln!("xtask: building cosign {COSIGN}; this takes minutes, once");
    let bin = program.parent().expect("it is a file of a folder");
    let version = format!("sigs.k8s.io/release-utils/version.gitVersion={COSIGN}");
    go("tests/world/cosign", &version, &["github.com/sigstore/cosign/v3/cmd/cosign"], bin)
}

/// Builds OpenTofu from its Go module, once for each release, where there is no Terraform.
fn opentofu() -> Result<(), Failed> {
    let program = tofu();
    if has("terraform") || has("tofu") || program.exists() {
        return Ok(());
    }
    let version = "github.com/opentofu/opentofu/version.dev=no";
    from_its_own_folder("github.com/opentofu/opentofu", TOFU, version, "./cmd/tofu", &program)
}

/// Builds the client of Argo Rollouts from its Go module, once for each release.
fn argo_rollouts_client() -> Result<(), Failed> {
    let program = rollouts_client();
    if program.exists() {
        return Ok(());
    }
    let version = "github.com/argoproj/argo-rollouts/utils/version.version=1.8.3";
    from_its_own_folder("github.com/argoproj/argo-rollouts", ROLLOUTS, version, "./cmd/kubectl-argo-rollouts", &program)
}

/// Builds a program of a Go module which replaces modules of its own, so that it builds in its own folder only, by its
/// own `go.sum`.
fn from_its_own_folder(
    module: &str,
    [release, digest]: [&str; 2],
    version: &str,
    package: &str,
    program: &Path,
) -> Result<(), Failed> {
    if !has("go") {
        return Err(Failed("there is no go; install Go 1.26".into()));
    }
    eprintln!("xtask: building {module} {release}; this takes minutes, once");
    let module = format!("{module}@{release}");
    let said = output(command("go").args(["mod", "download", "-json", &module]))?;
    let said: serde_json::Value = serde_json::from_str(&said).map_err(|error| Failed(format!("{module}: {error}")))?;
    if said["Sum"] != digest {
        return Err(Failed(format!("{module} is not what it was: its digest is {}, and not {digest}", said["Sum"])));
    }
    let source = said["Dir"].as_str().ok_or_else(|| Failed(format!("{module} was not downloaded")))?;
    let bin = program.parent().expect("it is a file of a folder");
    go(source, version, &[package], bin)
}

/// Builds programs into a folder, from the modules that the `go.sum` of `module` has the digests of.
fn go(module: &str, version: &str, programs: &[&str], bin: &Path) -> Result<(), Failed> {
    if !has("go") {
        return Err(Failed("there is no go; install Go 1.26".into()));
    }
    // A release's dots are no extension.
    let mut partial = bin.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    std::fs::create_dir_all(&partial).map_err(|error| Failed(format!("{}: {error}", partial.display())))?;
    let mut go = command("go");
    go.current_dir(top().join(module)).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
    go.args(["build", "-trimpath", "-ldflags", &format!("-s -w -X {version}"), "-o"]).arg(&partial).args(programs);
    run(&mut go)?;
    std::fs::rename(&partial, bin).map_err(|error| Failed(format!("{}: {error}", bin.display())))
}

/// Installs moto into an environment of its own.
fn moto_server() -> Result<(), Failed> {
    if moto().exists() {
        return Ok(());
    }
    if !has("python3") {
        return Err(Failed("there is no python3".into()));
    }
    eprintln!("xtask: installing moto");
    let environment = cache().join("moto");
    run(command("python3").args(["-m", "venv"]).arg(&environment))?;
    run(command(environment.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", MOTO]))
}
