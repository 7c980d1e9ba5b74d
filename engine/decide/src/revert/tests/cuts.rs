//! The server dies after every entry and every act, and forgets outcomes: a revert comes to the same end.

use super::*;

/// Whether the forge takes a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Absent,
    Takes,
    Refuses,
}

/// A remote with one file, whose branches take a commit only on top of the parent that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Remote {
    /// The file's texts on `main`, oldest first.
    main: Vec<String>,
    /// Its text on the pull request's branch.
    aside: Option<String>,
    api: Api,
    pulls: usize,
    is_protected: bool,
}

impl Remote {
    fn new(api: Api) -> Remote {
        Remote { main: vec![manifest(GOOD), manifest(BAD)], aside: None, api, pulls: 0, is_protected: false }
    }

    fn head(&self) -> String {
        format!("commit{}", self.main.len())
    }

    fn look(&self, state: &State, outcomes: &Outcomes<Act, Reply>) -> Observed {
        if state.looked_for().is_none() {
            return Observed::Nothing;
        }
        let file = |text: &String| folder("petclinic/was.yaml", text.clone());
        let refusals = Refusals::of(outcomes);
        Observed::Branch(Box::new(Branch {
            head: self.head(),
            files: file(self.main.last().unwrap()),
            aside: self.aside.as_ref().map_or(Aside::Absent, |text| Aside::There { files: file(text) }),
            request: match (self.api, self.pulls, refusals.pull_request) {
                (Api::Absent, ..) => Request::NoApi,
                (_, 1.., _) => Request::Open { url: "https://forge.example/pull/1".into() },
                (_, 0, Some(because)) => Request::Refused { because },
                (_, 0, None) => Request::Absent,
            },
            refused: refusals.push,
            ..branch()
        }))
    }

    fn act(&mut self, act: &Act) -> Reply {
        match act {
            Act::Commit { .. } if self.is_protected => return Reply::Refused("protected".into()),
            Act::Commit { branch, parent, files, .. } => {
                assert_eq!(*parent, self.head(), "nobody else commits here");
                let text = files[0].1.clone();
                if branch == "main" { self.main.push(text) } else { self.aside = Some(text) }
            }
            Act::Request { .. } if self.api == Api::Refuses || self.pulls > 0 => {
                return Reply::Refused("not for you".into());
            }
            Act::Request { .. } => self.pulls += 1,
            Act::Notify => {}
        }
        Reply::Done
    }
}

/// A journal and the remote.
#[derive(Clone, Debug, PartialEq, Eq)]
struct World {
    journal: Vec<Entry>,
    remote: Remote,
}

impl World {
    fn new(how: How, remote: Remote) -> World {
        World { journal: vec![asked(intent(how))], remote }
    }

    fn state(&self) -> State {
        State::replay(&self.journal)
    }

    /// Drives a revert as a server does from its start: until it has ended, or the server has died at its `dies`-th
    /// entry or act. `forgets` says before each turn whether what came of the acts is lost.
    fn drive(&mut self, dies: usize, mut forgets: impl FnMut() -> bool) -> Ending {
        let (mut outcomes, mut points) = (Outcomes::default(), 0);
        for _ in 0..400 {
            let state = self.state();
            let is_kept = state.open().is_some() && !forgets();
            outcomes.retain(|_| is_kept);
            let next = decide(&state, &self.remote.look(&state, &outcomes), 0);
            for entry in next.record {
                // What cannot be read again is lost in a restart.
                let text = serde_json::to_string(&entry).unwrap();
                self.journal.push(serde_json::from_str(&text).unwrap());
                points += 1;
                if points == dies {
                    return Ending::Died;
                }
            }
            for act in next.acts {
                let reply = self.remote.act(&act);
                outcomes.keep(act, Ok(reply), 0);
                points += 1;
                if points == dies {
                    return Ending::Died;
                }
            }
            if next.wake == Wake::Never {
                return Ending::Ended;
            }
        }
        panic!("never ends: {:?}", self.journal);
    }

    fn ended(mut self) -> World {
        assert_eq!(self.drive(0, || false), Ending::Ended);
        self
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ending {
    Ended,
    Died,
}

/// Every way that a revert may go, with the word on disk by which it ends.
fn worlds() -> Vec<(World, &'static str)> {
    let mut is_protected = Remote::new(Api::Absent);
    is_protected.is_protected = true;
    let mut clean = Remote::new(Api::Takes);
    clean.main.push(manifest(GOOD));
    let taken_back = |cause: Withdrawal| {
        let mut world = World::new(How::Revert, Remote::new(Api::Absent));
        world.journal.extend(world.state().withdraw(&intent(How::Revert), &cause));
        world
    };
    vec![
        (World::new(How::Revert, Remote::new(Api::Takes)), "clean"),
        (World::new(How::PullRequest, clean), "clean"),
        (World::new(How::PullRequest, Remote::new(Api::Takes)), "requested"),
        (World::new(How::PullRequest, Remote::new(Api::Absent)), "pushed"),
        (World::new(How::PullRequest, Remote::new(Api::Refuses)), "pushed"),
        (World::new(How::PullRequest, is_protected.clone()), "failed"),
        (World::new(How::Revert, is_protected), "failed"),
        (taken_back(Withdrawal::Overtaken), "overtaken"),
        (taken_back(Withdrawal::Dropped { because: "it was given back".into() }), "dropped"),
    ]
}

fn word(world: &World) -> String {
    serde_json::to_value(world.state().outcome.unwrap()).unwrap()["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn killed_anywhere_it_ends_the_same() {
    for (world, expected) in worlds() {
        let whole = world.clone().ended();
        assert_eq!(word(&whole), expected, "{whole:?}");
        let mut deaths = 0;
        loop {
            let mut cut = world.clone();
            if cut.drive(deaths + 1, || false) == Ending::Ended {
                break;
            }
            deaths += 1;
            assert_eq!(cut.ended(), whole, "death {deaths}");
        }
        assert!(deaths >= 2, "at least its answer is recorded and told");
    }
}

#[test]
fn every_prefix_of_the_journal_ends_the_same() {
    for (world, _) in worlds() {
        let whole = world.ended();
        for length in 1..whole.journal.len() {
            let mut cut = whole.clone();
            cut.journal.truncate(length);
            let ended = cut.ended();
            // What was taken back and is not any more may go on, but nothing is done twice.
            if whole.state().withdrawn.is_none() {
                assert_eq!(ended, whole, "{length} entries");
            }
            assert!(ended.remote.main.len() <= 3 && ended.remote.pulls <= 1, "{ended:?}");
        }
    }
}

#[test]
fn whatever_outcomes_are_lost_it_ends_the_same() {
    for (world, _) in worlds() {
        let whole = world.clone().ended();
        for seed in 1..200_u64 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let forgets = || {
                // Xorshift: the same for the same seed.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % 2 == 0
            };
            let mut forgetful = world.clone();
            assert_eq!(forgetful.drive(0, forgets), Ending::Ended);
            assert_eq!(forgetful, whole, "seed {seed}");
        }
    }
}

#[test]
fn taken_back_at_any_moment_it_changes_nothing_more_and_tells_what_git_says() {
    let causes = [Withdrawal::Overtaken, Withdrawal::Dropped { because: "it was given back".into() }];
    for ((world, _), cause) in worlds().into_iter().flat_map(|one| causes.clone().map(|cause| (one.clone(), cause))) {
        for point in 1.. {
            let mut cut = world.clone();
            if cut.drive(point, || false) == Ending::Ended {
                break;
            }
            let had_ended = cut.state().outcome;
            cut.journal.extend(cut.state().withdraw(&intent(How::Revert), &cause));
            let before = cut.remote.clone();
            let ended = cut.ended();
            assert_eq!(ended.remote, before, "point {point}");
            let names_bad = ended.remote.main.last().unwrap().contains(BAD);
            let expected = match (&had_ended, &cause) {
                (Some(_), _) => had_ended,
                (None, Withdrawal::Dropped { because }) => Some(Outcome::Dropped { because: because.clone() }),
                (None, Withdrawal::Overtaken) if names_bad => Some(Outcome::Overtaken),
                (None, Withdrawal::Overtaken) => Some(Outcome::Clean { commit: ended.remote.head() }),
            };
            assert_eq!(ended.state().outcome, expected, "point {point}");
        }
    }
}
