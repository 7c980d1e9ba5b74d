//! Branches and tags that go away and come back, pushes that are late or ours, and groups that are shared.

use super::*;

/// A pipeline for every branch and tag.
const EVERYWHERE: &str = "name: everywhere
on: { push: {}, tag: {} }
concurrency: { group: deploy, supersede: always }
steps: [{ uses: image }]
";

impl World {
    /// Has a reference moved at the git server; an empty commit deletes it.
    fn set(&self, reference: &str, commit: &str) {
        match commit == NOTHING {
            true => self.git.git(REPOSITORY, &["update-ref", "-d", reference]),
            false => self.git.git(REPOSITORY, &["update-ref", reference, commit]),
        };
    }

    /// Receives a move as the webhook does; the git server's reference is where it is.
    async fn told(&self, delivery: &str, reference: &str, before: &str, after: &str) {
        let change = match (before, after) {
            (_, NOTHING) => Change::Deleted,
            (NOTHING, _) => Change::New,
            _ => Change::Forced,
        };
        let push = Push {
            hook: "default".into(),
            delivery: delivery.into(),
            repository: REPOSITORY.into(),
            reference: reference.into(),
            before: before.into(),
            after: after.into(),
            change,
            pusher: "kim".into(),
            paths: compare(),
            source: Source::Webhook,
        };
        self.record(Received::Push(push)).await;
    }

    /// Moves a reference, and receives that.
    async fn moved(&self, delivery: &str, reference: &str, before: &str, after: &str) -> Vec<String> {
        self.set(reference, after);
        self.told(delivery, reference, before, after).await;
        self.ended(delivery).await
    }
}

fn run_of(number: u64) -> String {
    format!("user/petclinic/everywhere/{number}")
}

#[tokio::test]
async fn a_tag_that_is_pushed_deleted_and_pushed_again_opens_a_run_each_time() {
    let world = World::new(&[(".bespin/everywhere.yaml", EVERYWHERE)]).await;
    let head = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let tag = "refs/tags/v1";
    for n in 1..=3 {
        assert_eq!(world.moved(&format!("made-{n}"), tag, NOTHING, &head).await, [run_of(n)]);
        world.told(&format!("told-twice-{n}"), tag, NOTHING, &head).await;
        assert_eq!(world.ended(&format!("told-twice-{n}")).await, [run_of(n)], "by another hook");
        let gone = world.moved(&format!("gone-{n}"), tag, &head, NOTHING).await;
        assert!(gone[0].contains("was deleted"), "{gone:?}");
    }
}

#[tokio::test]
async fn a_branch_that_is_set_back_and_forth_opens_a_run_each_time() {
    let world = World::new(&[(".bespin/everywhere.yaml", EVERYWHERE)]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let second = world.git.commit(REPOSITORY, "next", &[("a", "2")], "second");
    let next = "refs/heads/next";
    assert_eq!(world.moved("d1", next, &first, &second).await, [run_of(1)]);
    assert_eq!(world.moved("d2", next, &second, &first).await, [run_of(2)]);
    assert_eq!(world.moved("d3", next, &first, &second).await, [run_of(3)], "the same as the first");
    assert_eq!(world.moved("d4", next, &second, NOTHING).await.len(), 1);
    assert_eq!(world.moved("d5", next, NOTHING, &second).await, [run_of(4)]);
    world.told("late", next, &second, &first).await;
    let late = world.ended("late").await;
    assert!(late[0].contains("has moved on"), "the other hook's, of the way back: {late:?}");
    assert_eq!(world.drivers.journal().streams("run/").await.unwrap().len(), 4);
}

#[tokio::test]
async fn what_came_back_and_has_left_again_says_why_it_has_no_run() {
    let world = World::new(&[(".bespin/everywhere.yaml", EVERYWHERE)]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let second = world.git.commit(REPOSITORY, "next", &[("a", "2")], "second");
    let next = "refs/heads/next";
    assert_eq!(world.moved("d1", next, &first, &second).await, [run_of(1)]);
    assert_eq!(world.moved("d2", next, &second, &first).await, [run_of(2)]);
    world.told("d3", next, &first, &second).await;
    let because = "`refs/heads/next` has moved on, and user/petclinic/everywhere/2 is a run of a newer commit";
    let left = world.ended("d3").await;
    assert!(left[0].contains(because), "{left:?}");
    world.told("d4", next, &second, &first).await;
    assert_eq!(world.ended("d4").await, [run_of(3)], "it stands there, since it came back");
}

#[tokio::test]
async fn a_push_ends_no_run_of_another_branch() {
    let world = World::new(&[(".bespin/everywhere.yaml", EVERYWHERE)]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    assert_eq!(world.moved("d1", "refs/heads/main", NOTHING, &first).await, [run_of(1)]);
    assert_eq!(world.moved("d2", "refs/heads/feature", NOTHING, &first).await, [run_of(2)]);
    assert_eq!(world.moved("d3", "refs/tags/v1", NOTHING, &first).await, [run_of(3)]);
    for n in 1..=3 {
        assert_eq!(world.run(&run_of(n)).await.len(), 1, "nobody asked {n} to end");
        let ahead = world.stage.index().ahead_of(&run_of(n)).await.unwrap();
        assert_eq!(ahead, (n > 1).then(|| run_of(n - 1)), "they queue");
    }
    let second = world.git.commit(REPOSITORY, "feature", &[("a", "2")], "second");
    world.told("d4", "refs/heads/feature", &first, &second).await;
    assert_eq!(world.ended("d4").await, [run_of(4)]);
    assert_eq!(world.run(&run_of(1)).await.len(), 1);
    let ended = world.run(&run_of(2)).await;
    assert!(matches!(&ended[1], RunEntry::CancelAsked { cause: CancelCause::Superseded, .. }), "{ended:?}");
}

#[tokio::test]
async fn a_pull_requests_head_that_is_back_is_checked_again() {
    let world = World::new(&[(".bespin/check.yaml", CHECK), ("was/a", "1")]).await;
    world.git.git(REPOSITORY, &["branch", "fork", "main"]);
    let head = "refs/pull/7/head";
    let first = world.head(&[("was/a", "2")]);
    assert_eq!(world.propose(asked("d1", &first)).await, ["user/petclinic/check/1"]);
    let second = world.head(&[("was/a", "3")]);
    assert_eq!(world.propose(asked("d2", &second)).await, ["user/petclinic/check/2"]);
    assert_eq!(world.propose(asked("late", &first)).await, ["user/petclinic/check/1"], "by another hook");
    world.set(head, &first);
    assert_eq!(world.propose(asked("d3", &first)).await, ["user/petclinic/check/3"]);
    assert_eq!(world.propose(asked("again", &first)).await, ["user/petclinic/check/3"], "told twice");
}

const BUMP: &str = "Bump was to v56\n\nBespin-Run: user/petclinic/everywhere/1\nBespin-Step: bump\n";

#[tokio::test]
async fn a_bump_into_the_applications_own_repository_starts_nothing() {
    let world = World::new(&[(".bespin/everywhere.yaml", EVERYWHERE)]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let main = "refs/heads/main";
    assert_eq!(world.moved("d1", main, NOTHING, &first).await, [run_of(1)]);
    let bump = world.git.commit(REPOSITORY, "main", &[("k8s/was.yaml", "image: v56")], BUMP);
    world.told("d2", main, &first, &bump).await;
    let ignored = world.ended("d2").await;
    assert!(ignored[0].contains("Bespin's own") && ignored[0].contains("own-commits"), "{ignored:?}");
    // Somebody else's branch is made of it, and somebody's commits may come with it.
    assert_eq!(world.moved("d3", "refs/heads/release", NOTHING, &bump).await, [run_of(2)]);
    let words = world.git.commit(REPOSITORY, "main", &[("README", "2")], "Words");
    let second = world.git.commit(REPOSITORY, "main", &[("k8s/was.yaml", "image: v57")], BUMP);
    world.told("d4", main, &bump, &second).await;
    assert_eq!(world.ended("d4").await, [run_of(3)]);
    let skipped = world.git.commit(REPOSITORY, "main", &[("README", "3")], "Words [skip ci]");
    world.told("d5", main, &second, &skipped).await;
    let ignored = world.ended("d5").await;
    assert!(ignored[0].contains("says `[skip ci]`"), "{ignored:?}");
    let asked_for = EVERYWHERE.replace("push: {}", "push: { own-commits: run }");
    let asking = world.git.commit(REPOSITORY, "main", &[(".bespin/everywhere.yaml", &asked_for)], BUMP);
    world.told("d6", main, &skipped, &asking).await;
    assert_eq!(world.ended("d6").await, [run_of(4)], "it asks for them");
    assert!(words != second);
}
