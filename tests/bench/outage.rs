//! How soon everything is built that was pushed while the server was down.

use super::{Better, Figure};
use playground::sample::APPLICATION;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;

/// How many repositories are watched.
const REPOSITORIES: usize = 20;
/// How many pushes are made, each to a branch of its own.
const PUSHES: usize = 50;
/// A pipeline whose run waits for a person, so that nothing but its opening is measured.
const PIPELINE: &str = "name: every\non: { push: {} }\nsteps: [{ id: gate, uses: approve, approval: 'Deploy?' }]\n";

/// Measures the seconds from a start to the last run opened.
pub(crate) async fn caught_up() {
    let names: Vec<String> = (0..REPOSITORIES - 1).map(|n| format!("user/service-{n}")).collect();
    let listed = names.clone();
    let mut estate = Estate::configured(Kind::Embedded, "1s", |config| {
        listed.iter().fold(config, |config, name| config.repository(name))
    })
    .await;
    let names: Vec<String> = names.into_iter().chain([APPLICATION.to_owned()]).collect();
    let files = [(".bespin/every.yaml".to_owned(), PIPELINE.to_owned())];
    for name in &names {
        let repositories = estate.sample.repositories();
        repositories.create(name).await.expect("git makes it");
        repositories.commit(name, "main", &files, "The pipeline").await.expect("git commits");
    }
    estate.restart(&[]).await;
    eventually("every repository was looked at", PATIENCE, || async {
        let looked = estate.bespin.journal("heads/").iter().filter(|entry| entry["kind"] == "looked").count();
        (looked == REPOSITORIES).then_some(())
    })
    .await;
    estate.bespin.process().kill();
    for n in 0..PUSHES {
        let file = [("notes".to_owned(), n.to_string()), files[0].clone()];
        let repositories = estate.sample.repositories();
        let branch = format!("change-{n}");
        repositories.commit(&names[n % names.len()], &branch, &file, "Words").await.expect("git commits");
    }
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    estate.restart(&[]).await;
    let last = eventually("every push has its run", PATIENCE, || async {
        let entries = estate.bespin.journal("run/");
        let opened =
            entries.iter().filter(|entry| entry["kind"] == "opened" && entry["body"]["run"]["title"] == "Words");
        let moments: Vec<u64> = opened.filter_map(|entry| entry["at_ms"].as_u64()).collect();
        assert!(moments.len() <= PUSHES, "{} runs of {PUSHES} pushes", moments.len());
        moments.iter().max().copied().filter(|_| moments.len() == PUSHES)
    })
    .await;
    let took = Duration::from_millis(last).saturating_sub(start).as_secs_f64();
    let (ours, better) = (took, Better::Lower);
    Figure { bench: "outage/caught-up", ours, peer: None, better, unit: "s", n: PUSHES }.print();
}
