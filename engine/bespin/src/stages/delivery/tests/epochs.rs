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
