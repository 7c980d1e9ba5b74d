//! Who may look and who may act: users, sessions, one-time links.
//!
//! Sessions live in memory: a restart asks everyone to log in again, and a
//! stolen backup holds none. Only a token's digest is kept, so that looking
//! one up takes the same time whatever was guessed.

mod throttle;
mod waiting;

use crate::client;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use axum::http::HeaderMap;
use base64::Engine as _;
use decide::by::By;
use decide::next::Timestamp;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use throttle::Throttle;
use tokio::sync::Semaphore;
use url::{Host, Url};
use waiting::WaitingLogins;

/// How long a session lasts without being used, in ms.
const IDLE_MS: u64 = 12 * 60 * 60 * 1000;

/// How long a session lasts at most, in ms.
const LONGEST_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// How long a one-time link waits to be opened, in ms.
const LINK_MS: u64 = 24 * 60 * 60 * 1000;

/// How many sessions there may be; the oldest gives way.
const MAX_SESSIONS: usize = 1000;

/// A password longer than this is refused unread, in bytes.
const MAX_PASSWORD: usize = 1024;

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads everything, changes nothing.
    Viewer,
    /// Also retries, cancels, syncs, promotes and aborts.
    Operator,
}

/// A person of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// What they log in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their password as an argon2 PHC string, `$argon2id$v=19$...`; `bespin hash-password` prints one.
    pub hash: String,
}

/// Somebody who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The name by which the user logs in.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// What every change must carry in the header `x-bespin-csrf`.
    pub csrf: String,
}

impl Session {
    /// The person as the author of a journal entry.
    pub fn by(&self) -> By {
        By::Person(self.name.clone())
    }
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name or the password is wrong; which of them is not said.
    Wrong,
    /// Too many tries; come back after this many seconds.
    TooOften(u64),
}

/// A user of the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("user `{name}`: {got}; {help}")]
pub struct BadUser {
    name: String,
    got: String,
    help: &'static str,
}

/// The users and their sessions.
pub struct Login {
    users: HashMap<String, (Role, String)>,
    url: Url,
    /// Verified when the name is unknown, so that a name cannot be guessed by the time it takes: one for each user, of as
    /// much work as theirs.
    decoys: Vec<String>,
    /// Chooses a name's decoy, the same one each time, in a way that nobody outside can work out.
    decoy_key: [u8; 32],
    sessions: Mutex<HashMap<[u8; 32], Live>>,
    links: Mutex<HashMap<[u8; 32], Timestamp>>,
    /// A name is slowed down for those who guess, and for nobody else. Names that there are not count as all others.
    by_name: Throttle<(IpNet, [u8; 32])>,
    by_client: Throttle<IpNet>,
    /// A site has many clients, and is slowed down for what they try together.
    by_site: Throttle<IpNet>,
    /// Those whose word counts about who asks.
    proxies: Vec<IpNet>,
    /// A verification takes 19 MiB and tens of ms; two at once are enough.
    verifying: Arc<Semaphore>,
    /// Those who are verified or wait for it: everybody else is told to come back, and holds no connection meanwhile.
    waiting: WaitingLogins,
}

struct Live {
    session: Session,
    since: Timestamp,
    used: Timestamp,
}

impl Login {
    /// Takes the configuration's users, and the address at which people reach the server.
    ///
    /// # Errors
    /// When a hash is no argon2 PHC string, or a name is empty or used twice.
    pub fn new(users: Vec<User>, url: &Url) -> Result<Login, BadUser> {
        let (mut known, mut decoys) = (HashMap::new(), Vec::new());
        for user in users {
            let bad = |got: String, help| BadUser { name: user.name.clone(), got, help };
            if user.name.trim().is_empty() {
                return Err(bad("the name is empty".into(), "write what they log in with"));
            }
            let Some(decoy) = PasswordHash::new(&user.hash).ok().as_ref().and_then(decoy_of) else {
                let help = "write a PHC string that starts with `$argon2id$`; `bespin hash-password` prints one";
                return Err(bad("the hash is no argon2 hash".into(), help));
            };
            decoys.push(decoy);
            if known.insert(user.name.clone(), (user.role, user.hash.clone())).is_some() {
                return Err(bad("the name is used twice".into(), "remove one of them"));
            }
        }
        Ok(Login {
            users: known,
            url: url.clone(),
            decoys,
            decoy_key: rand::random(),
            sessions: Mutex::default(),
            links: Mutex::default(),
            by_name: Throttle::new(30, 60 * 60 * 1000),
            by_client: Throttle::new(10, 60 * 1000),
            by_site: Throttle::new(100, 60 * 1000),
            proxies: Vec::new(),
            verifying: Arc::new(Semaphore::new(2)),
            waiting: WaitingLogins::default(),
        })
    }

    /// The same behind reverse proxies, whose `X-Forwarded-For` is believed.
    pub fn behind(self, proxies: Vec<IpNet>) -> Login {
        Login { proxies, ..self }
    }

    /// Who asks: `peer` is the other end of the connection.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        client::client(peer, headers, &self.proxies)
    }

    /// Lets somebody in by name and password, and returns the cookie's token.
    /// `peer` is the address that asks, as [`Login::client`] says; `now` in ms.
    pub async fn enter(&self, name: &str, password: &str, peer: IpAddr, now: Timestamp) -> Result<String, Refusal> {
        let known = self.users.get(name);
        let client = client::network(peer);
        let guess = (client, digest(name));
        // First: whoever is turned away for others' sake has not tried.
        let site = client::site(client);
        let _place = self.waiting.take(site).ok_or(Refusal::TooOften(1))?;
        // A site whose tries are used up leaves nothing in the tables of its many clients.
        let wait = self.by_site.wait(&site, now);
        if let Some(seconds) = wait.or_else(|| self.by_client.take(client, now).max(self.by_name.take(guess, now))) {
            return Err(Refusal::TooOften(seconds));
        }
        // Last: what a client tries beyond its own number takes nothing from its neighbours.
        if let Some(seconds) = self.by_site.take(site, now) {
            return Err(Refusal::TooOften(seconds));
        }
        if password.len() > MAX_PASSWORD {
            return Err(Refusal::Wrong);
        }
        let hash = known.map_or_else(|| self.decoy(name), |(_, hash)| hash.clone());
        let password = password.to_owned();
        let _leave = self.verifying.acquire().await.map_err(|_| Refusal::Wrong)?;
        let right = tokio::task::spawn_blocking(move || verify(&password, &hash)).await.unwrap_or(false);
        match known {
            Some((role, _)) if right => {
                self.by_name.forget(&guess);
                // Those of a site who know their passwords do not use up each other's tries.
                self.by_site.give_back(&site);
                Ok(self.begin(name, *role, now))
            }
            _ => Err(Refusal::Wrong),
        }
    }

    /// A token that lets one browser on this machine in, once, as the operator `local`.
    /// The link is `/login/once?token=...`.
    pub fn one_time_link(&self) -> String {
        let token = token();
        let mut links = self.links.lock().expect("nobody panics while holding the links");
        links.insert(digest(&token), crate::clock::now() + LINK_MS);
        token
    }

    /// Spends a one-time token, and returns the cookie's token. `None` when it
    /// is unknown, spent or too old.
    pub fn enter_once(&self, once: &str, now: Timestamp) -> Option<String> {
        let until = self.links.lock().expect("nobody panics while holding the links").remove(&digest(once))?;
        (now < until).then(|| self.begin("local", Role::Operator, now))
    }

    /// Who holds this cookie; using a session keeps it alive. `now` in ms.
    pub fn session(&self, cookie: &str, now: Timestamp) -> Option<Session> {
        let key = digest(cookie);
        let mut sessions = self.sessions();
        let live = sessions.get_mut(&key)?;
        if now.saturating_sub(live.used) > IDLE_MS || now.saturating_sub(live.since) > LONGEST_MS {
            sessions.remove(&key);
            return None;
        }
        live.used = now;
        Some(live.session.clone())
    }

    /// Ends a session; its cookie logs nobody in any more.
    pub fn leave(&self, cookie: &str) {
        self.sessions().remove(&digest(cookie));
    }

    /// Whether cookies are for HTTPS only: when people reach the server by it.
    pub fn secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether a request's `Host` is one of this server's names. A page of
    /// another site can have its own name point at this machine (DNS
    /// rebinding), but cannot do so with an IP address or `localhost`.
    pub fn is_our_host(&self, host: &str) -> bool {
        let Ok(asked) = Url::parse(&format!("http://{host}/")) else { return false };
        match asked.host() {
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            Some(Host::Domain(name)) => {
                name == "localhost" || name.ends_with(".localhost") || Some(name) == self.url.host_str()
            }
            None => false,
        }
    }

    fn decoy(&self, name: &str) -> String {
        let chosen = Sha256::new().chain_update(self.decoy_key).chain_update(name).finalize();
        let chosen = u64::from_be_bytes(chosen[..8].try_into().expect("a digest has 32 bytes"));
        let chosen = usize::try_from(chosen).unwrap_or_default().checked_rem(self.decoys.len());
        chosen.map_or_else(nobodys_hash, |chosen| self.decoys[chosen].clone())
    }

    fn begin(&self, name: &str, role: Role, now: Timestamp) -> String {
        let cookie = token();
        let session = Session { name: name.to_owned(), role, csrf: token() };
        let mut sessions = self.sessions();
        sessions.retain(|_, live| now.saturating_sub(live.used) <= IDLE_MS);
        if sessions.len() >= MAX_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, live)| live.used).map(|(key, _)| *key);
            oldest.map(|key| sessions.remove(&key));
        }
        sessions.insert(digest(&cookie), Live { session, since: now, used: now });
        cookie
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Live>> {
        self.sessions.lock().expect("nobody panics while holding the sessions")
    }
}

/// What a hash takes: 19 MiB and two passes (OWASP's advice).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// A hash that is as much work as another, and of no password that anybody knows.
fn nobodys_hash() -> String {
    let random = || base64::engine::general_purpose::STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>());
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${}${}", random(), random())
}

/// A hash that is as much work as this one, and of no password that anybody knows; `None` where it is no argon2 hash.
fn decoy_of(hash: &PasswordHash) -> Option<String> {
    let length = hash.hash.as_ref()?.as_bytes().len();
    hash.salt.as_ref()?;
    if !hash.algorithm.as_str().starts_with("argon2") {
        return None;
    }
    let random = |length: usize| {
        let bytes: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
    };
    let version = hash.version.map(|version| format!("$v={version}")).unwrap_or_default();
    Some(format!("${}{version}${}${}${}", hash.algorithm, hash.params, random(16), random(length)))
}

/// A password as a PHC string for the configuration, by argon2id.
///
/// # Errors
/// When the system has no randomness to give.
pub fn hash_password(password: &str) -> Result<String, String> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|error| error.to_string())?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// 256 random bits, for use in addresses and cookies.
fn token() -> String {
    let bytes: [u8; 32] = rand::random();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests;
