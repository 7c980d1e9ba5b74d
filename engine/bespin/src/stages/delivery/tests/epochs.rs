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
