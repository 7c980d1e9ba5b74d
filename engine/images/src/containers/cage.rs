//! The cage: everything that a container is given, and so everything that it is not.
//!
//! It is what Kubernetes calls the restricted profile
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>) and more: no network either.

use super::{ATTEMPT, Access, Bounds, OWNER, Spec, WORKSPACE};
use crate::error::Error;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, ImageInspect, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType, ResourcesUlimits,
};
use decide::retry::Retry;
use std::collections::HashMap;

/// Files and sockets that one process may have open.
const OPEN_FILES: i64 = 16_384;
/// Of the usual 1,024, so that whatever else the machine does goes first.
const CPU_SHARES: i64 = 256;
/// The kernel ends a container before the server that runs it.
const OOM_SCORE: i64 = 500;
/// The bytes of `/dev/shm`.
const SHARED_MEMORY: i64 = 64 << 20;
/// Where it may write without leaving anything.
const TEMPORARY: &str = "/tmp";
/// The most volumes that an image may declare.
const VOLUMES: usize = 16;

/// Refuses an engine whose containers would be free to make any system call.
///
/// # Errors
/// It has no seccomp filter.
pub(super) fn must_filter(security_options: &[String]) -> Result<(), Error> {
    let filter = security_options.iter().find(|option| option.split(',').any(|part| part == "name=seccomp"));
    match filter {
        Some(option) if !option.contains("profile=unconfined") => Ok(()),
        _ => Err(Error::Engine {
            tried: "running containers",
            problem: "Docker Engine runs them without a seccomp filter; start it with one".into(),
            retry: Retry::NeedsPerson,
        }),
    }
}

/// What is read of an image before a container is made of it.
pub(super) struct Image {
    /// What it is, whatever its name names by then.
    id: String,
    /// Where its containers are to have volumes: Docker would make each one on its own disk, without a bound.
    volumes: Vec<String>,
    /// Where its containers are to start.
    workdir: String,
}

impl Image {
    pub(super) fn read(name: &str, seen: ImageInspect) -> Image {
        let config = seen.config.unwrap_or_default();
        Image {
            id: seen.id.unwrap_or_else(|| name.to_owned()),
            volumes: config.volumes.unwrap_or_default(),
            workdir: config.working_dir.unwrap_or_default(),
        }
    }
}

/// Refuses what no image needs and an attacker may.
///
/// # Errors
/// A user that is root.
pub(super) fn check(spec: &Spec) -> Result<(), Error> {
    match spec.user.uid == 0 || spec.user.gid == 0 {
        true => Err(Error::Input("a container step does not run as root".into())),
        false => Ok(()),
    }
}

/// A path from the root, without what changes nothing in it; `None` where it leads upwards.
fn clean(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.contains(&"..")).then(|| format!("/{}", parts.join("/")))
}

/// Whether a cleaned path is this folder, or in it.
fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where it starts; always said, so that the image's word counts only once it was looked at.
fn workdir(spec: &Spec, image: &Image) -> Result<String, Error> {
    let has_workspace = spec.mounts.iter().any(|mounted| mounted.target == WORKSPACE);
    let directory = match &spec.workdir {
        Some(absolute) if absolute.starts_with('/') => absolute.clone(),
        Some(relative) => format!("{WORKSPACE}/{relative}"),
        None if has_workspace => WORKSPACE.to_owned(),
        None => image.workdir.clone(),
    };
    match clean(&directory) {
        // `/proc/self/fd/7` was once the host's own directory (CVE-2024-21626).
        Some(path) if !is_in(&path, "/proc") => Ok(path),
        _ => Err(Error::Input(format!("workdir: `{directory}` leads out of the workspace and the image"))),
    }
}

/// Where the image's volumes are that nothing is mounted at yet.
fn volumes(spec: &Spec, image: &Image) -> Result<Vec<String>, Error> {
    let mounted: Vec<_> = spec.mounts.iter().filter_map(|mounted| clean(&mounted.target)).collect();
    let mut targets = Vec::new();
    for volume in &image.volumes {
        let is_the_cages = |path: &String| path == "/" || ["/proc", "/sys", "/dev"].iter().any(|own| is_in(path, own));
        let Some(target) = clean(volume).filter(|path| !is_the_cages(path)) else {
            return Err(Error::Input(format!("the image has a volume at `{volume}`; no container step has one there")));
        };
        if target != TEMPORARY && !mounted.contains(&target) && !targets.contains(&target) {
            targets.push(target);
        }
    }
    match targets.len() > VOLUMES {
        true => Err(Error::Input(format!("the image has {} volumes; {VOLUMES} are the most", targets.len()))),
        false => Ok(targets),
    }
}

/// One container in its cage.
///
/// # Errors
/// A directory to start in that leads to open files of the engine, or volumes that cannot be bounded.
pub(super) fn body(spec: &Spec, image: &Image, owner: &str, cores: u64) -> Result<ContainerCreateBody, Error> {
    // The home of a user without a name is nowhere.
    let home = (!spec.env.iter().any(|variable| variable.starts_with("HOME="))).then(|| format!("HOME={TEMPORARY}"));
    Ok(ContainerCreateBody {
        image: Some(image.id.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.args.clone(),
        env: Some(spec.env.iter().cloned().chain(home).collect()),
        user: Some(format!("{}:{}", spec.user.uid, spec.user.gid)),
        working_dir: Some(workdir(spec, image)?),
        labels: Some(HashMap::from([(ATTEMPT.to_owned(), spec.attempt.clone()), (OWNER.to_owned(), owner.to_owned())])),
        host_config: Some(host(spec, &volumes(spec, image)?, cores)),
        ..ContainerCreateBody::default()
    })
}

fn host(spec: &Spec, volumes: &[String], cores: u64) -> HostConfig {
    let Bounds { memory_bytes, nano_cpus, processes, file_bytes, log_bytes: _ } = spec.bounds;
    // In memory, and so within its bound; empty, whatever the image has there.
    let volumes = volumes.iter().map(|target| Mount {
        typ: Some(MountType::TMPFS),
        target: Some(target.clone()),
        tmpfs_options: Some(MountTmpfsOptions {
            size_bytes: Some(whole(memory_bytes / 2)),
            mode: Some(0o1777),
            ..MountTmpfsOptions::default()
        }),
        ..Mount::default()
    });
    let mounts = spec.mounts.iter().map(|mounted| Mount {
        typ: Some(MountType::BIND),
        source: Some(mounted.source.display().to_string()),
        target: Some(mounted.target.clone()),
        read_only: Some(mounted.access == Access::Read),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    });
    // Build tools unpack programs there and run them, as they can in the workspace.
    let temporary = format!("rw,nosuid,nodev,exec,mode=1777,size={}", memory_bytes / 2);
    HostConfig {
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges".into()]),
        readonly_rootfs: Some(true),
        mounts: Some(mounts.chain(volumes).collect()),
        tmpfs: Some(HashMap::from([(TEMPORARY.into(), temporary)])),
        devices: Some(Vec::new()),
        network_mode: Some("none".into()),
        // An engine may be set up to share the first with its host.
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        ipc_mode: Some("private".into()),
        shm_size: Some(SHARED_MEMORY),
        memory: Some(whole(memory_bytes)),
        memory_swap: Some(whole(memory_bytes)),
        nano_cpus: Some(whole(nano_cpus.min(cores * 1_000_000_000))),
        cpu_shares: Some(CPU_SHARES),
        pids_limit: Some(whole(processes)),
        oom_score_adj: Some(OOM_SCORE),
        ulimits: Some(vec![
            ulimit("nofile", OPEN_FILES),
            ulimit("core", 0),
            ulimit("memlock", 64 << 10),
            ulimit("fsize", whole(file_bytes)),
        ]),
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        ..HostConfig::default()
    }
}

fn ulimit(name: &str, most: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.into()), soft: Some(most), hard: Some(most) }
}

fn whole(bound: u64) -> i64 {
    i64::try_from(bound).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Access, Mounted, User};
    use super::*;

    fn spec(directory: Option<&str>, mounts: &[&str]) -> Spec {
        let mounted = |target: &&str| Mounted { source: "/".into(), target: (*target).into(), access: Access::Read };
        Spec {
            attempt: "a#b#1".into(),
            image: "a:1".into(),
            entrypoint: None,
            args: None,
            env: Vec::new(),
            workdir: directory.map(str::to_owned),
            user: User { uid: 1, gid: 1 },
            mounts: mounts.iter().map(mounted).collect(),
            floors: Vec::new(),
            bounds: Bounds::default(),
        }
    }

    fn image(directory: &str, volumes: &[&str]) -> Image {
        let volumes = volumes.iter().map(|volume| (*volume).to_owned()).collect();
        Image { id: "sha256:1".into(), volumes, workdir: directory.into() }
    }

    #[test]
    fn it_starts_in_the_workspace_or_where_it_is_told_and_never_in_proc() {
        let ours: &[&str] = &["/workspace"];
        for (directory, mounts, own, expected) in [
            (None, ours, "/app", Some("/workspace")),
            (None, &[], "/app/./sub//", Some("/app/sub")),
            (None, &[], "", Some("/")),
            (None, ours, "/proc/self/fd/7", Some("/workspace")),
            (None, &[], "/proc/self/fd/7", None),
            (None, &[], "/app/../proc/self/fd/7", None),
            (Some("was"), ours, "/app", Some("/workspace/was")),
            (Some("proc/self"), ours, "", Some("/workspace/proc/self")),
            (Some("/process"), ours, "", Some("/process")),
            (Some("/proc"), ours, "", None),
            (Some("/proc/self/fd/7"), ours, "", None),
            (Some("//proc/self/fd/7"), ours, "", None),
            (Some("/./proc/self/fd/7"), ours, "", None),
            (Some("/.//./proc"), ours, "", None),
            (Some("/workspace/../proc"), ours, "", None),
            (Some("../.."), ours, "", None),
        ] {
            let found = workdir(&spec(directory, mounts), &image(own, &[]));
            assert_eq!(found.as_deref().ok(), expected, "{directory:?}, {own}: {found:?}");
        }
    }

    #[test]
    fn each_volume_of_the_image_is_covered_once_or_refused() {
        let ours: &[&str] = &["/workspace", "/cache"];
        let many: Vec<String> = (0..=VOLUMES).map(|number| format!("/{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (declared, expected) in [
            (&["/data", "/data/", "//data", "/cache/", "/workspace/target", "/tmp"][..], Some(2)),
            (&many[1..], Some(VOLUMES)),
            (&many[..], None),
            (&["/"], None),
            (&["/proc/self"], None),
            (&["/./dev"], None),
            (&["/a/../sys"], None),
            (&["/device"], Some(1)),
        ] {
            let found = volumes(&spec(None, ours), &image("", declared));
            assert_eq!(found.as_ref().ok().map(Vec::len), expected, "{declared:?}: {found:?}");
        }
    }

    #[test]
    fn an_engine_without_a_filter_is_refused() {
        let rows = [
            ("name=seccomp,profile=default", true),
            ("name=seccomp,profile=builtin", true),
            ("name=seccomp,profile=/etc/docker/stricter.json", true),
            ("name=seccomp,profile=unconfined", false),
            ("name=apparmor", false),
        ];
        for (option, expected) in rows {
            let options = ["name=cgroupns".to_owned(), option.to_owned()];
            assert_eq!(must_filter(&options).is_ok(), expected, "{option}");
        }
        assert!(must_filter(&[]).is_err());
    }
}
