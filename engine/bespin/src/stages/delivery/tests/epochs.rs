//! What a restored journal opens: what waited while its backup was made, and what became of it since.

use super::*;

/// A journal that was restored from a backup of just this receipt, and goes on with it.
async fn resumed(world: &World, name: &str, push: Push) -> (Server, Vec<String>) {
    let server = server_restored(&world.git, &world.directory, name, None, 1);
    let delivery = push.delivery.clone();
    let stream = Received::Push(push.clone()).stream();
    let receipt = encode(&[Entry::Received(push)], &By::Server, 0).unwrap();
    server.0.journal().append(stream.as_str(), 0, receipt).await.unwrap();
    server.1.resume(&server.0).await.unwrap();
    let ended = ended(&server.0, &delivery).await;
    (server, ended)
}

#[tokio::test]
async fn a_push_that_waited_in_the_backup_is_not_deployed_over_newer_ones() {
    let world = World::new(&[(".bespin/was.yaml", PIPELINE), ("was/a", "1")]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let (server, opened) = resumed(&world, "stands", push_of("d1", NOTHING, &first, compare())).await;
    assert_eq!(opened, ["user/petclinic/petclinic-was/56"], "main stands there still");
    server.0.stop().await;
    world.git.commit(REPOSITORY, "main", &[("was/a", "2")], "lost");
    let (server, opened) = resumed(&world, "moved", push_of("d1", NOTHING, &first, compare())).await;
    assert!(opened[0].contains("has moved on since the backup"), "{opened:?}");
    server.0.stop().await;
    let never = server_restored(&world.git, &world.directory, "never", None, 0);
    let push = Received::Push(push_of("d1", NOTHING, &first, compare()));
    never.0.open(&push.stream(), &By::Server, &push.entry()).await.unwrap();
    assert_eq!(ended(&never.0, "d1").await, ["user/petclinic/petclinic-was/56"], "it was never restored");
    never.0.stop().await;
}

#[tokio::test]
async fn a_run_does_not_inherit_the_logs_of_a_lost_one() {
    let world = World::new(&[(".bespin/was.yaml", PIPELINE), (".bespin/bad.yaml", "not: a pipeline\n")]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    for (kept, number) in [("logs", 57), ("artifacts", 58), ("plans", 59), ("workspaces", 60)] {
        let lost = |pipeline: &str| world.directory.path().join(kept).join(REPOSITORY).join(pipeline);
        std::fs::create_dir_all(lost("petclinic-was").join(number.to_string()).join("image")).unwrap();
        std::fs::create_dir_all(lost("bad").join((number - 50).to_string())).unwrap();
        std::fs::create_dir_all(lost("other").join("90")).unwrap();
        let server = server_with(&world.git, &world.directory, kept, None);
        let push = Received::Push(push_of("d1", NOTHING, &first, Paths::Compare { because: "a test".into() }));
        server.0.open(&push.stream(), &By::Server, &push.entry()).await.unwrap();
        let (bad, was) =
            (format!("{REPOSITORY}/bad/{}", number - 49), format!("{REPOSITORY}/petclinic-was/{}", number + 1));
        assert_eq!(ended(&server.0, "d1").await, [bad, was.clone()], "after {kept}");
        let written = read::<RunEntry>(server.0.journal(), &format!("run/{was}")).await.unwrap();
        let RunEntry::Opened { run } = &written[0].entry else { panic!("{written:?}") };
        server.0.stop().await;
        // A journal that does not know even this one.
        let empty = server_with(&world.git, &world.directory, &format!("{kept}-again"), None);
        assert_eq!(empty.1.number_again(run).await.unwrap(), number + 1, "after {kept}");
        empty.0.stop().await;
    }
}

/// What a look since the restore has seen of main.
async fn seen(server: &Server, at: &str) {
    let heads = BTreeMap::from([("refs/heads/main".to_owned(), at.to_owned())]);
    let looked = encode(&[decide::heads::Entry::Looked { heads }], &By::Server, 0).unwrap();
    server.0.journal().append(&format!("heads/{REPOSITORY}"), 0, looked).await.unwrap();
}

async fn tell(server: &Server, push: Push) -> Vec<String> {
    let id = push.delivery.clone();
    let received = Received::Push(push);
    server.0.open(&received.stream(), &By::Server, &received.entry()).await.unwrap();
    ended(&server.0, &id).await
}

#[tokio::test]
async fn a_push_of_the_lost_time_that_is_told_again_is_not_deployed_over_newer_ones() {
    let world = World::new(&[(".bespin/was.yaml", PIPELINE), ("was/a", "1")]).await;
    let mut commits = vec![world.git.git(REPOSITORY, &["rev-parse", "main"])];
    let commit = |n: u32| world.git.commit(REPOSITORY, "main", &[("was/a", &n.to_string())], "more");
    commits.extend([2, 3, 4].map(commit));
    let [a, b, c, d] = &commits[..] else { panic!("{commits:?}") };
    let server = server_restored(&world.git, &world.directory, "restored", None, 1);
    let other = encode(&[Entry::Missed { because: "it came with the backup".into() }], &By::Server, 0).unwrap();
    server.0.journal().append("delivery/default/backup", 0, other).await.unwrap();
    let is_late = |ended: &[String]| ended[0].contains("has moved on since the backup");
    let early = tell(&server, push_of("before-a-look", a, b, compare())).await;
    assert!(is_late(&early), "{early:?}");
    seen(&server, d).await;
    for (delivery, before, after) in [("old", a, b), ("follows-the-old", b, c), ("made", &NOTHING.to_owned(), a)] {
        let late = tell(&server, push_of(delivery, before, after, compare())).await;
        assert!(is_late(&late), "{delivery}: {late:?}");
    }
    let run = |number: u32| vec![format!("user/petclinic/petclinic-was/{number}")];
    assert_eq!(tell(&server, push_of("newest", c, d, compare())).await, run(56), "main stands there");
    // Two pushes, of which the first is worked off when the second has happened.
    let [e, f] = [5, 6].map(commit);
    assert_eq!(tell(&server, push_of("new", d, &e, compare())).await, run(57), "it follows what was seen");
    assert_eq!(tell(&server, push_of("newer", &e, &f, compare())).await, run(58));
    server.0.stop().await;
}

const BUMPS: &str = "name: petclinic-was
on: { push: {} }
steps:
  - id: bump
    uses: bump
    with: { repo: '${{ env.MANIFESTS }}', path: was, image: x }
    grants: { git: ['${{ env.ALLOWED }}'] }
";

#[tokio::test]
async fn what_became_of_a_run_in_the_lost_time_is_seen_in_git() {
    use crate::stages::run::LostTime as _;
    use decide::run::SinceBackup;
    let world = World::new(&[("README", "1")]).await;
    world.git.create("user/manifests", &[("was", "image: x")]);
    let (url, host) = (&world.git.url, &world.git.url[7..]);
    let env = format!("env: {{ MANIFESTS: '{url}/user/manifests.git', ALLOWED: '{host}/user/manifests' }}\n");
    let pipeline = format!("{env}{BUMPS}");
    let head = world.git.commit(REPOSITORY, "main", &[(".bespin/was.yaml", &pipeline)], "a pipeline");
    assert_eq!(world.push("d1", NOTHING, &head, compare()).await, ["user/petclinic/petclinic-was/56"]);
    let RunEntry::Opened { run } = &world.run("user/petclinic/petclinic-was/56").await[0] else { panic!("it is open") };
    assert!(run.mistakes.is_empty(), "{:?}", run.mistakes);
    let policy = toml::from_str(&format!("grants = {{ git = [\"{host}/user/*\"] }}")).unwrap();
    let registries = Arc::new(images::Registries::new(Vec::new()).unwrap());
    let lost = ExternalRunNumbers::new(world.stage.forge.clone(), registries, vec![policy], world.directory.path());
    let shows = async || lost.shows(run).await.unwrap();
    assert_eq!(shows().await, None);
    let others = "bump\n\nBespin-Run: user/petclinic/petclinic-was/5";
    world.git.commit("user/manifests", "main", &[("was", "image: y")], others);
    assert_eq!(shows().await, None, "it is another run's");
    world.git.commit(REPOSITORY, "main", &[("README", "2")], "lost");
    let moved = Some(SinceBackup::Moved { reference: "refs/heads/main".into() });
    assert_eq!(shows().await, moved);
    world.git.commit("user/manifests", "main", &[("was", "image: z")], &format!("bump\n\nBespin-Run: {}", run.id));
    let bumped = Some(SinceBackup::Bumped { repo: format!("{url}/user/manifests.git") });
    assert_eq!(shows().await, bumped, "the branch may have moved since the restore, and the bump has not");
}
