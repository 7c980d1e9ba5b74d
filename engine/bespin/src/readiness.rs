//! Whether the server can do its work: what `/readyz` answers.

use api::health::Readiness;
use async_trait::async_trait;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is asked: whether the start is over, and whether the disk takes what the journal writes.
pub struct ServerReadiness {
    data: PathBuf,
    /// Below this many free bytes the journal refuses to write.
    least_bytes: u64,
    is_started: AtomicBool,
}

impl ServerReadiness {
    /// Looks at the disk of this data folder.
    pub fn new(data: &Path) -> ServerReadiness {
        let least_bytes = journal::Settings::new(data).min_free_bytes;
        ServerReadiness { data: data.to_owned(), least_bytes, is_started: AtomicBool::new(false) }
    }

    /// The journal was read, and everything that was under way is driven again.
    pub fn started(&self) {
        self.is_started.store(true, Ordering::Release);
    }
}

#[async_trait]
impl Readiness for ServerReadiness {
    async fn hindrances(&self) -> Vec<String> {
        let mut all = Vec::new();
        if !self.is_started.load(Ordering::Acquire) {
            all.push("the server is starting: the journal is still being read".to_owned());
        }
        let (data, least) = (self.data.clone(), self.least_bytes);
        let disk = tokio::task::spawn_blocking(move || disk(&data, least)).await;
        all.extend(disk.unwrap_or_else(|_| vec!["the server is stopping".to_owned()]));
        all
    }
}

/// What is wrong with the data folder's disk. A write that reaches the disk is the one proof that the next one may.
fn disk(data: &Path, least: u64) -> Vec<String> {
    let mut all = Vec::new();
    match rustix::fs::statvfs(data).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)) {
        Ok(free) if free < least => {
            let (free, least) = (free >> 20, least >> 20);
            all.push(format!("the disk is full: {free} MiB are free, and below {least} MiB the journal takes nothing"));
        }
        Ok(_) => {}
        Err(error) => all.push(format!("the free room of the data folder is not known: {error}")),
    }
    let written = std::fs::File::create(data.join("readiness.probe"))
        .and_then(|mut file| file.write_all(b"written by /readyz\n").and_then(|()| file.sync_all()));
    if let Err(error) = written {
        all.push(format!("the data folder cannot be written, and the journal neither: {error}"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_is_ready_once_it_has_started_and_while_its_disk_takes_writes() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let ready = ServerReadiness::new(&data);
        let starting = ready.hindrances().await;
        assert!(starting.len() == 1 && starting[0].contains("is still being read"), "{starting:?}");
        ready.started();
        assert!(ready.hindrances().await.is_empty());
        let full = ServerReadiness { least_bytes: u64::MAX, ..ServerReadiness::new(&data) };
        full.started();
        let full = full.hindrances().await;
        assert!(full.len() == 1 && full[0].starts_with("the disk is full"), "{full:?}");
        std::fs::remove_dir_all(&data).unwrap();
        let gone = ready.hindrances().await.join("\n");
        assert!(gone.contains("the data folder cannot be written"), "{gone}");
        assert!(!gone.contains(dir.path().to_str().unwrap()), "strangers read it: {gone}");
    }
}
