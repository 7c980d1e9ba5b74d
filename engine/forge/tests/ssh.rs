//! The adapter against a real `sshd`: the same mirrors and bumps, over SSH.

mod git_server;
mod ssh_server;

use forge::{Credentials, Forge, NewCommit, Pushed, Remote, Settings, SshKey};
use git_server::GitServer;
use ssh_server::{Key, SshServer};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A server with the repository `user/m`, or `None` where there is no `sshd`.
async fn start() -> Option<(GitServer, SshServer)> {
    let ssh = SshServer::start()?;
    let git = GitServer::start().await;
    git.create("user/m", &[("a", "1"), ("b", "1")]);
    Some((git, ssh))
}

/// An adapter of its own, as another server has one.
fn adapter(dir: &Path, git: &GitServer, ssh: &SshServer, key: &Key, known_hosts: &str) -> Arc<Forge> {
    let dir = tempfile::tempdir_in(dir).unwrap().keep();
    let file = dir.join("known_hosts");
    std::fs::write(&file, known_hosts).unwrap();
    let private_key = key.private.clone().into();
    let passphrase = key.passphrase.map(Into::into);
    let credentials = Credentials::SshKey(SshKey { private_key, passphrase, known_hosts: file });
    let url = ssh.url(&git.bare("user/m"));
    let remotes = vec![Remote { url: url.clone(), credentials, plain_http: Default::default() }];
    let repositories = [("user/m".to_owned(), url)].into();
    Forge::new(Settings { remotes, repositories, ..Settings::default() }, dir.join("mirrors")).unwrap()
}

async fn refusal(forge: &Forge) -> String {
    forge.repository("user/m").unwrap().fetch(Instant::now()).await.expect_err("it must not be trusted").to_string()
}

/// Writes a file, and looks again until it has landed, as the stage does.
async fn bump(forge: &Forge, path: &str) -> String {
    let mirror = forge.repository("user/m").unwrap();
    loop {
        mirror.fetch(Instant::now()).await.unwrap();
        let parent = mirror.resolve("main").await.unwrap().unwrap();
        let files = vec![(path.to_owned(), b"2".to_vec())];
        let message = format!("{path}\n\nBespin-Run: a/b/c/1\n");
        match mirror.push(NewCommit { branch: "main".into(), parent, files, message }).await.unwrap() {
            Pushed::Landed { sha } => return sha,
            Pushed::Stale => {}
            Pushed::Refused { because, .. } => panic!("{because}"),
        }
    }
}

#[tokio::test]
async fn two_bumps_at_once_both_land() {
    let Some((git, ssh)) = start().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let adapters = ssh.keys().map(|key| adapter(dir.path(), &git, &ssh, key, &ssh.known_hosts()));
    let [one, two] = &adapters;
    let landed = tokio::join!(bump(one, "a"), bump(two, "b"));
    assert_eq!(git.git("user/m", &["rev-list", "--count", "main"]), "3");
    assert_eq!(git.git("user/m", &["show", "main:a", "main:b"]), "22");
    let log = git.git("user/m", &["log", "--format=%H", "main"]);
    assert!(log.contains(&landed.0) && log.contains(&landed.1), "{landed:?} in {log}");
    let mirror = one.repository("user/m").unwrap();
    mirror.fetch(Instant::now()).await.unwrap();
    assert_eq!(mirror.default_branch().await.unwrap().as_deref(), Some("main"));
    let head = log.lines().next().unwrap();
    assert_eq!(mirror.trailered(head, 10).await.unwrap().len(), 2);
    git.refuse("user/m");
    let files = vec![("a".to_owned(), b"3".to_vec())];
    let third = NewCommit { branch: "main".into(), parent: head.to_owned(), files, message: "third".into() };
    let refused = mirror.push(third).await.unwrap();
    assert!(matches!(&refused, Pushed::Refused { because, .. } if because.contains("hook")), "{refused:?}");
}

#[tokio::test]
async fn a_host_that_is_not_known_is_not_talked_to() {
    let Some((git, ssh)) = start().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let [key, _] = ssh.keys();
    let port = ssh.port;
    let unknown = refusal(&adapter(dir.path(), &git, &ssh, key, "github.com ssh-ed25519 AAAA\n")).await;
    assert!(unknown.contains(&format!("`ssh-keyscan -p {port} 127.0.0.1`")), "{unknown}");
    let changed = ssh.known_hosts().replace(&ssh.host.public, &key.public);
    let changed = refusal(&adapter(dir.path(), &git, &ssh, key, &changed)).await;
    assert!(changed.contains("another ssh-ed25519 key than the one listed"), "{changed}");
    let revoked = refusal(&adapter(dir.path(), &git, &ssh, key, &format!("@revoked {}", ssh.known_hosts()))).await;
    assert!(revoked.contains("is revoked"), "{revoked}");
    let ended = || ssh.log().matches("Connection closed by").count();
    while ended() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let log = ssh.log();
    assert_eq!(log.matches("[preauth]").count(), 3, "nobody logs in at a host that is not trusted:\n{log}");
}

#[tokio::test]
async fn a_key_that_is_not_taken_is_not_shown() {
    let Some((git, ssh)) = start().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let [_, known] = ssh.keys();
    let stranger = Key::make(dir.path(), "stranger", None);
    let mute = Key { private: "no key at all".into(), ..stranger.clone() };
    let locked = Key { passphrase: Some("wrong"), ..known.clone() };
    for (key, problem) in [
        (&stranger, "the remote refused the configured credentials"),
        (&mute, "Unsupported private key format"),
        (&locked, "private key"),
    ] {
        let refused = refusal(&adapter(dir.path(), &git, &ssh, key, &ssh.known_hosts())).await;
        assert!(refused.contains(problem) && refused.contains("127.0.0.1"), "{refused}");
        let secret = key.private.lines().chain(key.passphrase);
        assert!(secret.filter(|line| !line.is_empty()).all(|line| !refused.contains(line)), "{refused}");
    }
}
