//! Who gets in, and who does not.

use super::*;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn login() -> Login {
    let user = User { name: "ann".into(), role: Role::Viewer, hash: hash_password("a long password").unwrap() };
    Login::new(vec![user], &Url::parse("https://bespin.example:8443/").unwrap()).unwrap()
}

#[tokio::test]
async fn only_the_right_password_opens() {
    let login = login();
    let cookie = login.enter("ann", "a long password", PEER, 0).await.unwrap();
    let session = login.session(&cookie, 1).unwrap();
    assert_eq!((session.name.as_str(), session.role), ("ann", Role::Viewer));
    assert_eq!(login.enter("ann", "another", PEER, 0).await, Err(Refusal::Wrong));
    assert_eq!(login.enter("bob", "a long password", PEER, 0).await, Err(Refusal::Wrong));
    login.leave(&cookie);
    assert_eq!(login.session(&cookie, 2), None);
}

#[tokio::test]
async fn the_eleventh_try_of_a_minute_waits() {
    let login = login();
    for _ in 0..10 {
        assert_eq!(login.enter("bob", "guess", PEER, 5_000).await, Err(Refusal::Wrong));
    }
    assert_eq!(login.enter("ann", "a long password", PEER, 35_000).await, Err(Refusal::TooOften(30)));
    assert!(login.enter("ann", "a long password", PEER, 65_000).await.is_ok());
}

#[tokio::test]
async fn nobody_learns_which_names_there_are_or_locks_one_out() {
    let login = login();
    let from = |n: u8| IpAddr::from([192, 0, 2, n]);
    for n in 0..6 {
        for name in ["ann", "bob"] {
            assert_eq!(login.enter(name, "guess", from(n), 5_000).await, Err(Refusal::Wrong), "{name}");
        }
    }
    assert!(login.enter("ann", "a long password", from(99), 6_000).await.is_ok(), "her name is not locked");
    for name in ["ann", "bob"] {
        let guess = (client::network(from(50)), digest(name));
        assert!((0..29).all(|_| login.by_name.take(guess, 10_000).is_none()), "so many guesses within the hour");
        assert_eq!(login.enter(name, "guess", from(50), 20_000).await, Err(Refusal::Wrong), "{name}");
        assert_eq!(login.enter(name, "guess", from(50), 430_000).await, Err(Refusal::TooOften(3180)), "{name}");
        assert_eq!(login.enter(name, "guess", from(51), 430_000).await, Err(Refusal::Wrong), "{name} elsewhere");
    }
}

#[tokio::test]
async fn a_crowd_is_told_to_come_back_and_holds_nothing() {
    let login = login();
    let site = |n: usize| client::site(client::network(IpAddr::from([192, 0, 2, u8::try_from(n).unwrap()])));
    let crowd: Vec<_> = (0..waiting::WAITING).map(|n| login.waiting.take(site(n / 8)).unwrap()).collect();
    let early = login.enter("ann", "a long password", PEER, 0).await;
    assert_eq!(early, Err(Refusal::TooOften(1)));
    drop(crowd);
    assert!(login.enter("ann", "a long password", PEER, 0).await.is_ok());
}

#[tokio::test]
async fn one_site_with_many_64s_does_not_take_every_place() {
    let login = login();
    let from = |n: u16| IpAddr::from([0x2001, 0xdb8, 7, n, 0, 0, 0, 1]);
    let site = client::site(client::network(from(1)));
    let crowd: Vec<_> = (0..waiting::OF_ONE_SITE).map(|_| login.waiting.take(site).unwrap()).collect();
    assert_eq!(login.enter("ann", "a long password", from(9), 0).await, Err(Refusal::TooOften(1)));
    assert!(login.enter("ann", "a long password", PEER, 0).await.is_ok(), "the others' places are theirs");
    drop(crowd);
    for n in 1..100 {
        assert_eq!(login.by_site.take(site, 5_000), None, "{n}");
    }
    assert_eq!(login.enter("ann", "guess", from(1), 5_000).await, Err(Refusal::Wrong), "the hundredth try");
    for n in 2..1_000 {
        assert_eq!(login.enter("ann", "guess", from(n), 6_000).await, Err(Refusal::TooOften(59)), "{n}");
    }
    assert_eq!((login.by_client.remembered(), login.by_name.remembered()), (2, 1), "nothing is left of them");
    let neighbour = IpAddr::from([0x2001, 0xdb8, 8, 1, 0, 0, 0, 1]);
    assert!(login.enter("ann", "a long password", neighbour, 6_000).await.is_ok());
    for _ in 0..20 {
        let _refused = login.enter("ann", "guess", IpAddr::from([0x2001, 0xdb8, 9, 1, 0, 0, 0, 1]), 6_000).await;
    }
    let other = client::site(client::network(IpAddr::from([0x2001, 0xdb8, 9, 2, 0, 0, 0, 1])));
    assert!((0..90).all(|_| login.by_site.take(other, 6_000).is_none()), "a client's surplus is not its neighbours'");
}

#[tokio::test]
async fn a_right_password_gives_its_try_back_to_the_site() {
    let login = login();
    let from = |n: u16| IpAddr::from([0x2001, 0xdb8, 7, n, 0, 0, 0, 1]);
    let site = client::site(client::network(from(1)));
    assert!((0..98).all(|_| login.by_site.take(site, 5_000).is_none()));
    for n in 1..=4 {
        assert!(login.enter("ann", "a long password", from(n), 6_000).await.is_ok(), "{n}");
    }
    for n in 5..=6 {
        assert_eq!(login.enter("ann", "guess", from(n), 6_000).await, Err(Refusal::Wrong), "{n}");
    }
    let right = login.enter("ann", "a long password", from(7), 7_000).await;
    assert_eq!(right, Err(Refusal::TooOften(58)), "a hundred guesses are enough for a minute");
    assert!(login.enter("ann", "a long password", from(7), 65_000).await.is_ok(), "and for no longer");
}

#[tokio::test]
async fn a_whole_64_is_slowed_down_as_one() {
    let login = login();
    let from = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]);
    for n in 0..10 {
        assert_eq!(login.enter("ann", "guess", from(n), 5_000).await, Err(Refusal::Wrong));
    }
    assert!(matches!(login.enter("ann", "guess", from(11), 5_000).await, Err(Refusal::TooOften(_))));
    let neighbour = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
    assert!(login.enter("ann", "a long password", neighbour, 5_000).await.is_ok());
}

#[test]
fn an_unknown_name_is_as_much_work_as_the_users() {
    let work = |hash: &str| {
        let hash = PasswordHash::new(hash).unwrap();
        (hash.algorithm.to_string(), hash.version, hash.params.to_string(), hash.hash.unwrap().as_bytes().len())
    };
    let params = Params::new(8 * 1024, 5, 1, Some(48)).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password(b"x").unwrap();
    let user = User { name: "ann".into(), role: Role::Viewer, hash: hash.to_string() };
    let login = Login::new(vec![user.clone()], &Url::parse("http://127.0.0.1/").unwrap()).unwrap();
    assert_eq!(work(&login.decoy("bob")), work(&user.hash));
    assert_eq!(login.decoy("bob"), login.decoy("bob"));
    let nobody = Login::new(Vec::new(), &Url::parse("http://127.0.0.1/").unwrap()).unwrap();
    assert_eq!(work(&nobody.decoy("bob")), work(&hash_password("x").unwrap()));
}

#[test]
fn sessions_end_when_idle_and_after_a_week() {
    let login = login();
    let cookie = login.begin("ann", Role::Viewer, 0);
    assert!(login.session(&cookie, IDLE_MS).is_some());
    assert!(login.session(&cookie, 2 * IDLE_MS + 1).is_none());
    let cookie = login.begin("ann", Role::Viewer, 0);
    let mut now = 0;
    while now < LONGEST_MS {
        now += IDLE_MS;
        login.session(&cookie, now);
    }
    assert!(login.session(&cookie, now + 1).is_none());
}

#[test]
fn a_link_opens_once() {
    let login = login();
    let link = login.one_time_link();
    let cookie = login.enter_once(&link, crate::clock::now()).unwrap();
    assert_eq!(login.session(&cookie, crate::clock::now()).unwrap().role, Role::Operator);
    assert!(login.enter_once(&link, crate::clock::now()).is_none());
    assert!(login.enter_once(&login.one_time_link(), crate::clock::now() + LINK_MS + 1).is_none());
}

#[test]
fn refuses_users_that_cannot_log_in() {
    let url = Url::parse("http://127.0.0.1/").unwrap();
    let user = |name: &str, hash: &str| User { name: name.into(), role: Role::Viewer, hash: hash.into() };
    let good = hash_password("x").unwrap();
    for users in [
        vec![user("ann", "hunter2")],
        vec![user("ann", "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E")],
        vec![user("", &good)],
        vec![user("ann", &good), user("ann", &good)],
    ] {
        let error = Login::new(users, &url).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("; "), "{error}");
    }
}

#[test]
fn a_rebound_name_is_not_ours() {
    let login = login();
    for ours in ["bespin.example:8443", "127.0.0.1:9", "[::1]:9", "localhost:9", "10.1.2.3"] {
        assert!(login.is_our_host(ours), "{ours}");
    }
    for other in ["evil.example", "bespin.example.evil.example", "", "127.0.0.1.nip.io:80"] {
        assert!(!login.is_our_host(other), "{other}");
    }
}

#[test]
fn an_unknown_name_costs_as_much_as_a_known_one() {
    let work = |hash: &str| {
        let hash = PasswordHash::new(hash).unwrap();
        (hash.algorithm.to_string(), hash.version, hash.params.to_string(), hash.hash.unwrap().as_bytes().len())
    };
    assert_eq!(work(&nobodys_hash()), work(&hash_password("x").unwrap()));
    assert_ne!(nobodys_hash(), nobodys_hash());
}
