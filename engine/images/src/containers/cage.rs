//! The cage: everything that a container is given, and so everything that it is not.
//!
//! It is what Kubernetes calls the restricted profile
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>) and more: no network either.

use super::{ATTEMPT, Access, Bounds, OWNER, Spec, WORKSPACE};
use crate::error::Error;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
};
use std::collections::HashMap;

/// Files and sockets that one process may have open.
const OPEN_FILES: i64 = 16_384;
/// Of the usual 1,024, so that whatever else the machine does goes first.
const CPU_SHARES: i64 = 256;
/// The kernel ends a container before the server that runs it.
const OOM_SCORE: i64 = 500;
/// The bytes of `/dev/shm`.
const SHARED_MEMORY: i64 = 64 << 20;

/// Refuses an engine whose containers would be free to make any system call.
///
/// # Errors
/// It has no seccomp filter.
pub(super) fn must_filter(security_options: &[String]) -> Result<(), Error> {
    let filter = security_options.iter().find(|option| option.split(',').any(|part| part == "name=seccomp"));
    match filter {
        Some(option) if !option.contains("profile=unconfined") => Ok(()),
        _ => Err(Error::Refused(
            "Docker Engine runs containers without a seccomp filter; start it with one to run container steps".into(),
        )),
    }
}

/// Refuses what no image needs and an attacker may.
///
/// # Errors
/// A user that is root, or a directory to start in that leads to open files of the engine.
pub(super) fn check(spec: &Spec) -> Result<(), Error> {
    if spec.user.uid == 0 || spec.user.gid == 0 {
        return Err(Error::Refused("a container step does not run as root".into()));
    }
    let directory = spec.workdir.as_deref().unwrap_or_default();
    // `/proc/self/fd/7` was once the host's own directory (CVE-2024-21626).
    let leads_astray = directory.split('/').any(|part| part == "..") || directory.starts_with("/proc");
    match leads_astray {
        true => Err(Error::Refused(format!("workdir: `{directory}` leads out of the workspace and the image"))),
        false => Ok(()),
    }
}

/// One container in its cage.
pub(super) fn body(spec: &Spec, owner: &str, cores: u64) -> ContainerCreateBody {
    let workdir = match &spec.workdir {
        Some(absolute) if absolute.starts_with('/') => Some(absolute.clone()),
        Some(relative) => Some(format!("{WORKSPACE}/{relative}")),
        None => spec.mounts.iter().any(|mounted| mounted.target == WORKSPACE).then(|| WORKSPACE.to_owned()),
    };
    // The home of a user without a name is nowhere.
    let home = (!spec.env.iter().any(|variable| variable.starts_with("HOME="))).then(|| "HOME=/tmp".to_owned());
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.args.clone(),
        env: Some(spec.env.iter().cloned().chain(home).collect()),
        user: Some(format!("{}:{}", spec.user.uid, spec.user.gid)),
        working_dir: workdir,
        labels: Some(HashMap::from([(ATTEMPT.to_owned(), spec.attempt.clone()), (OWNER.to_owned(), owner.to_owned())])),
        host_config: Some(host(spec, cores)),
        ..ContainerCreateBody::default()
    }
}

fn host(spec: &Spec, cores: u64) -> HostConfig {
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
    let Bounds { memory_bytes, nano_cpus, processes, file_bytes, log_bytes: _ } = spec.bounds;
    // Build tools unpack programs there and run them, as they can in the workspace.
    let temporary = format!("rw,nosuid,nodev,exec,mode=1777,size={}", memory_bytes / 2);
    HostConfig {
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges".into()]),
        readonly_rootfs: Some(true),
        mounts: Some(mounts.collect()),
        tmpfs: Some(HashMap::from([("/tmp".into(), temporary)])),
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
    use super::must_filter;

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
