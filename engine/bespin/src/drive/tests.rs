//! The loop over a real journal: what is published, what is kept of the acts, how a stream begins.

use super::*;
use decide::next::Wake;
use serde::Deserialize;
use std::sync::Mutex;
use std::time::Duration;

/// Ends its stream once its act has worked, which fails as often as it is told to.
/// `N` is the place of its family among [`Family::ALL`].
struct Brief<const N: usize> {
    failing: Mutex<u32>,
    /// How often in a row the act had failed, by each observation.
    observed: Mutex<Vec<u32>>,
}

impl<const N: usize> Brief<N> {
    fn failing(times: u32) -> Arc<Brief<N>> {
        Arc::new(Brief { failing: Mutex::new(times), observed: Mutex::default() })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
enum Entry {
    Begun,
    Ended,
}

/// What the entries add up to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Over,
}

#[async_trait]
impl<const N: usize> Stage for Brief<N> {
    const NAME: &'static str = "brief";
    const FAMILY: Family = Family::ALL[N];
    type Entry = Entry;
    type State = State;
    type Observed = bool;
    type Act = &'static str;
    type ActKey = &'static str;
    type Reply = u32;

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        match entries.iter().any(|written| matches!(written.entry, Entry::Ended)) {
            true => State::Over,
            false => State::Open,
        }
    }

    fn is_current(&self, state: &State, _: &&'static str) -> bool {
        *state == State::Open
    }

    async fn observe(&self, _: &Turn<'_>, _: &State, outcomes: &Outcomes<&'static str, u32>) -> Result<bool, Trouble> {
        let attempted = outcomes.of(&"try");
        self.observed.lock().unwrap().push(attempted.map_or(0, |attempted| attempted.failures));
        Ok(attempted.is_some_and(|attempted| attempted.result == Ok(7)))
    }

    fn decide(&self, state: &State, worked: &bool, _now: Timestamp) -> Next<Entry, &'static str> {
        match (state, worked) {
            (State::Over, _) => Next::done(Wake::Never, "it is over"),
            (State::Open, true) => Next { record: vec![Entry::Ended], ..Next::progressing(Wake::Now, "ending") },
            (State::Open, false) => Next { acts: vec!["try"], ..Next::progressing(Wake::Now, "trying") },
        }
    }

    async fn act(&self, _: &Turn<'_>, _: &State, _: &&'static str) -> Result<u32, Trouble> {
        let mut failing = self.failing.lock().unwrap();
        match *failing {
            0 => Ok(7),
            _ => {
                *failing -= 1;
                Err(Trouble::passing("it is away"))
            }
        }
    }
}

/// Two acts, the first of which fails once; then its stream ends.
struct Pair {
    then: Then,
    tried: Mutex<Vec<&'static str>>,
    /// What had come of both, by each observation: nothing, a failure or a success.
    observed: Mutex<Vec<[Option<bool>; 2]>>,
}

#[async_trait]
impl Stage for Pair {
    const NAME: &'static str = "pair";
    const FAMILY: Family = Family::Run;
    type Entry = Entry;
    type State = State;
    type Observed = [Option<bool>; 2];
    type Act = &'static str;
    type ActKey = &'static str;
    type Reply = ();

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        Brief::<1>::failing(0).replay(entries)
    }

    fn is_current(&self, state: &State, _: &&'static str) -> bool {
        *state == State::Open
    }

    async fn observe(
        &self,
        _: &Turn<'_>,
        _: &State,
        outcomes: &Outcomes<&'static str, ()>,
    ) -> Result<[Option<bool>; 2], Trouble> {
        let observed = ["first", "second"].map(|act| Some(outcomes.of(&act)?.result.is_ok()));
        self.observed.lock().unwrap().push(observed);
        Ok(observed)
    }

    fn decide(&self, state: &State, observed: &[Option<bool>; 2], _: Timestamp) -> Next<Entry, &'static str> {
        match (state, observed) {
            (State::Over, _) => Next::done(Wake::Never, "it is over"),
            (State::Open, [Some(true), Some(true)]) => {
                Next { record: vec![Entry::Ended], ..Next::progressing(Wake::Now, "ending") }
            }
            (State::Open, _) => Next { acts: vec!["first", "second"], ..Next::progressing(Wake::Now, "trying") },
        }
    }

    async fn act(&self, _: &Turn<'_>, _: &State, act: &&'static str) -> Result<(), Trouble> {
        let mut tried = self.tried.lock().unwrap();
        tried.push(act);
        if *act == "first" && tried.len() == 1 { Err(Trouble::passing("it is away")) } else { Ok(()) }
    }

    fn then(&self, _: &&'static str, ended: &Result<(), Trouble>) -> Then {
        if ended.is_ok() { Then::GoOn } else { self.then }
    }
}

#[tokio::test]
async fn the_stage_says_whether_the_acts_after_a_failure_are_tried() {
    for (then, tried) in [(Then::Fail, 3), (Then::Stop, 3), (Then::FailAtTheEnd, 4), (Then::GoOn, 4)] {
        let directory = tempfile::tempdir().unwrap();
        let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
        let stage = Arc::new(Pair { then, tried: Mutex::default(), observed: Mutex::default() });
        drivers.register(&stage);
        let stream = Stream::run("a/b/c/1");
        drivers.open(&stream, &By::Server, &Entry::Begun).await.unwrap();
        until_done(&drivers, &stream).await;
        assert_eq!(stage.tried.lock().unwrap().len(), tried, "{then:?}");
        let second = if tried == 4 { Some(true) } else { None };
        assert_eq!(stage.observed.lock().unwrap()[1], [Some(false), second], "{then:?}: a failure is an outcome");
        drivers.stop().await;
    }
}

async fn until_done(drivers: &Drivers, stream: &Stream) {
    let mut changed = drivers.board().changed();
    while drivers.is_driven(stream) {
        tokio::select! {
            change = changed.changed() => change.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
}

#[tokio::test]
async fn what_nobody_reads_leaves_the_board_and_a_runs_last_word_stays() {
    let directory = tempfile::tempdir().unwrap();
    let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
    drivers.register(&Brief::<0>::failing(0));
    drivers.register(&Brief::<1>::failing(0));
    drivers.register(&Brief::<2>::failing(0));
    drivers.register(&Brief::<3>::failing(0));
    for name in ["delivery/default/1", "image/a/b/c/1/image", "bump/a/b/c/1/bump", "run/a/b/c/1"] {
        let stream = Stream::parse(name).unwrap();
        assert_eq!(drivers.open(&stream, &By::Server, &Entry::Begun).await.unwrap(), Begun::Now);
        until_done(&drivers, &stream).await;
        let last = drivers.journal().read(name).await.unwrap().pop().map(|entry| entry.kind);
        assert_eq!(last.as_deref(), Some("ended"), "{name} was driven");
    }
    let statuses = drivers.board().statuses();
    assert_eq!(statuses.keys().collect::<Vec<_>>(), ["run/a/b/c/1"]);
    assert_eq!(statuses["run/a/b/c/1"].status.message, "it is over");
    drivers.stop().await;
}

#[tokio::test]
async fn what_came_of_an_act_is_handed_to_the_next_observation_until_it_is_not_asked_for_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
    let stage = Brief::<1>::failing(2);
    drivers.register(&stage);
    let stream = Stream::run("a/b/c/1");
    drivers.open(&stream, &By::Server, &Entry::Begun).await.unwrap();
    until_done(&drivers, &stream).await;
    assert_eq!(*stage.observed.lock().unwrap(), [0, 1, 2, 0, 0], "before, after two failures, after it worked, over");
    drivers.stop().await;
}

#[tokio::test]
async fn a_stream_begins_once_however_often_it_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
    let stream = Stream::run("a/b/c/1");
    let opened = [Begun::Now, Begun::Before, Begun::Before];
    for expected in opened {
        assert_eq!(drivers.open(&stream, &By::Server, &Entry::Begun).await.unwrap(), expected);
    }
    assert_eq!(drivers.journal().read(stream.as_str()).await.unwrap().len(), 1);
    assert!(!drivers.is_driven(&stream), "no stage of this family is registered");
}

#[tokio::test]
async fn the_moment_that_decides_is_the_one_that_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let drivers = Drivers::new(journal::open(dir.path()).unwrap(), Arc::new(Board::default()));
    let mut decided_at = 0;
    let make = |_: &[Written<Entry>], at_ms: u64| {
        decided_at = at_ms;
        // Deciding takes a while.
        while now() < at_ms + 5 {}
        Some(vec![Entry::Begun])
    };
    let stream = Stream::run("a/b/c/1");
    drivers.append_at(&stream, By::Server, make).await.unwrap();
    let written = read::<Entry>(drivers.journal(), &stream).await.unwrap();
    assert_eq!(written[0].at_ms, decided_at);
}

/// Is asked to stop while it observes, after it has read that it may go on; its act counts what was done all the same.
#[derive(Default)]
struct Overtaken {
    acts: Mutex<u32>,
}

#[async_trait]
impl Stage for Overtaken {
    const NAME: &'static str = "overtaken";
    const FAMILY: Family = Family::Run;
    type Entry = Entry;
    type State = State;
    type Observed = ();
    type Act = &'static str;
    type ActKey = &'static str;
    type Reply = ();

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        Brief::<1>::failing(0).replay(entries)
    }

    fn is_current(&self, state: &State, _: &&'static str) -> bool {
        *state == State::Open
    }

    async fn observe(&self, turn: &Turn<'_>, state: &State, _: &Outcomes<&'static str, ()>) -> Result<(), Trouble> {
        if *state == State::Open {
            turn.drivers().append(turn.stream, By::Server, |_| Some(vec![Entry::Ended])).await?;
        }
        Ok(())
    }

    fn decide(&self, state: &State, (): &(), _now: Timestamp) -> Next<Entry, &'static str> {
        match state {
            State::Over => Next::done(Wake::Never, "it is over"),
            State::Open => Next { acts: vec!["push"], ..Next::progressing(Wake::Now, "pushing") },
        }
    }

    async fn act(&self, _: &Turn<'_>, _: &State, _: &&'static str) -> Result<(), Trouble> {
        *self.acts.lock().unwrap() += 1;
        Ok(())
    }
}

#[tokio::test]
async fn nothing_is_done_by_what_was_read_before_the_stream_grew() {
    let directory = tempfile::tempdir().unwrap();
    let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
    let stage = Arc::new(Overtaken::default());
    drivers.register(&stage);
    let stream = Stream::run("a/b/c/1");
    drivers.open(&stream, &By::Server, &Entry::Begun).await.unwrap();
    until_done(&drivers, &stream).await;
    assert_eq!(*stage.acts.lock().unwrap(), 0);
    assert_eq!(drivers.journal().read(stream.as_str()).await.unwrap().len(), 2, "begun, ended");
    drivers.stop().await;
}

/// Counts fifty more in each turn, on a stream that has no end, up to this many.
const COUNTED: u64 = 5_000;

#[derive(Default)]
struct Counter {
    /// The most entries that a turn had to read.
    most: Mutex<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
enum Count {
    One,
    Summarized(u64),
}

#[async_trait]
impl Stage for Counter {
    const NAME: &'static str = "counter";
    const FAMILY: Family = Family::App;
    type Entry = Count;
    type State = u64;
    type Observed = ();
    type Act = ();
    type ActKey = ();
    type Reply = ();

    fn replay(&self, entries: &[Written<Count>]) -> u64 {
        let mut most = self.most.lock().unwrap();
        *most = entries.len().max(*most);
        entries.iter().fold(0, |sum, written| match written.entry {
            Count::One => sum + 1,
            Count::Summarized(before) => before,
        })
    }

    fn is_current(&self, _: &u64, (): &()) -> bool {
        false
    }

    async fn observe(&self, _: &Turn<'_>, _: &u64, _: &Outcomes<(), ()>) -> Result<(), Trouble> {
        Ok(())
    }

    fn decide(&self, counted: &u64, (): &(), _now: Timestamp) -> Next<Count, ()> {
        match *counted {
            COUNTED.. => Next::done(Wake::Never, "everything is counted"),
            _ => Next {
                record: std::iter::repeat_with(|| Count::One).take(50).collect(),
                ..Next::progressing(Wake::Now, "counting")
            },
        }
    }

    async fn act(&self, _: &Turn<'_>, _: &u64, (): &()) -> Result<(), Trouble> {
        Ok(())
    }

    fn summary(&self, counted: &u64) -> Option<Count> {
        Some(Count::Summarized(*counted))
    }

    fn kept(&self, entries: &[(u64, Written<Count>)]) -> Vec<u64> {
        entries.iter().map(|(index, _)| *index).take(3).collect()
    }
}

#[tokio::test]
async fn a_turn_reads_as_much_after_many_entries_as_after_few() {
    let directory = tempfile::tempdir().unwrap();
    let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
    let stage = Arc::new(Counter::default());
    drivers.register(&stage);
    let stream = Stream::app("here", "argocd", "counter");
    drivers.append(&stream, By::Server, |_: &[Written<Count>]| Some(vec![Count::One, Count::One])).await.unwrap();
    drivers.ensure(&stream);
    until_done(&drivers, &stream).await;
    let due = decide::summary::DUE;
    let most = *stage.most.lock().unwrap();
    assert!((due..due + 60).contains(&most), "a turn read {most} entries");
    let left = drivers.journal().read(stream.as_str()).await.unwrap();
    assert!(left.len() < due + 60, "{} entries are left", left.len());
    assert_eq!(left[..3].iter().map(|entry| entry.index).collect::<Vec<_>>(), [0, 1, 2], "what is kept stays");
    // Whoever asks for something reads what the driver reads, and appends at the stream's end.
    let asked = drivers.append(&stream, By::Server, |written: &[Written<Count>]| {
        assert!(stage.replay(written) >= COUNTED);
        Some(vec![Count::One])
    });
    assert!(asked.await.unwrap());
    drivers.stop().await;
}

/// Its act is told each time to come back in a minute.
struct ToldToWait;

#[async_trait]
impl Stage for ToldToWait {
    const NAME: &'static str = "told to wait";
    const FAMILY: Family = Family::Run;
    type Entry = Entry;
    type State = State;
    type Observed = ();
    type Act = &'static str;
    type ActKey = &'static str;
    type Reply = ();

    fn replay(&self, entries: &[Written<Entry>]) -> State {
        Brief::<1>::failing(0).replay(entries)
    }

    fn is_current(&self, state: &State, _: &&'static str) -> bool {
        *state == State::Open
    }

    async fn observe(&self, _: &Turn<'_>, _: &State, _: &Outcomes<&'static str, ()>) -> Result<(), Trouble> {
        Ok(())
    }

    fn decide(&self, state: &State, (): &(), _now: Timestamp) -> Next<Entry, &'static str> {
        match state {
            State::Over => Next::done(Wake::Never, "it is over"),
            State::Open => Next { acts: vec!["push"], ..Next::progressing(Wake::Now, "pushing") },
        }
    }

    async fn act(&self, _: &Turn<'_>, _: &State, _: &&'static str) -> Result<(), Trouble> {
        Err(Trouble { message: "too many requests".into(), retry: Retry::after(60_000) })
    }
}

#[tokio::test]
async fn a_person_does_not_wait_until_another_side_wants_to_be_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
    drivers.register(&Arc::new(ToldToWait));
    let stream = Stream::run("a/b/c/1");
    let mut changed = drivers.board().changed();
    drivers.open(&stream, &By::Server, &Entry::Begun).await.unwrap();
    let waits = |status: Option<api::views::StageStatus>| {
        status.is_some_and(|said| said.status.message.contains("too many requests"))
    };
    while !waits(drivers.board().status(stream.as_str())) {
        changed.changed().await.unwrap();
    }
    drivers.append(&stream, By::Person("ada".into()), |_: &[Written<Entry>]| Some(vec![Entry::Ended])).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), until_done(&drivers, &stream)).await.unwrap();
    drivers.stop().await;
}

/// Ends its stream so many ms after the moment of the first entry.
struct Patient;

const PATIENCE_MS: u64 = 50;

#[async_trait]
impl Stage for Patient {
    const NAME: &'static str = "patient";
    const FAMILY: Family = Family::Run;
    type Entry = Entry;
    type State = Option<Timestamp>;
    type Observed = ();
    type Act = &'static str;
    type ActKey = &'static str;
    type Reply = ();

    fn replay(&self, entries: &[Written<Entry>]) -> Option<Timestamp> {
        if entries.len() > 1 { None } else { entries.first().map(|written| written.at_ms) }
    }

    fn is_current(&self, _: &Option<Timestamp>, _: &&'static str) -> bool {
        false
    }

    async fn observe(
        &self,
        _: &Turn<'_>,
        _: &Option<Timestamp>,
        _: &Outcomes<&'static str, ()>,
    ) -> Result<(), Trouble> {
        Ok(())
    }

    fn decide(&self, state: &Option<Timestamp>, (): &(), now: Timestamp) -> Next<Entry, &'static str> {
        match state.map(|since| since + PATIENCE_MS) {
            None => Next::done(Wake::Never, "it is over"),
            Some(over) if now >= over => Next { record: vec![Entry::Ended], ..Next::progressing(Wake::Now, "ending") },
            Some(over) => Next::waiting(Wake::At(over), "waiting"),
        }
    }

    async fn act(&self, _: &Turn<'_>, _: &Option<Timestamp>, _: &&'static str) -> Result<(), Trouble> {
        Ok(())
    }
}

#[tokio::test]
async fn nobody_waits_until_a_clock_has_caught_up_that_was_set_back_between_two_starts() {
    let directory = tempfile::tempdir().unwrap();
    let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
    drivers.register(&Arc::new(Patient));
    let stream = Stream::run("a/b/c/1");
    let two_hours_on = now() + 2 * 60 * 60 * 1_000;
    let begun = encode(&[Entry::Begun], &By::Server, two_hours_on).unwrap();
    drivers.journal().append(stream.as_str(), 0, begun).await.unwrap();
    drivers.ensure(&stream);
    let ended = tokio::time::timeout(Duration::from_secs(60), until_done(&drivers, &stream)).await;
    assert!(ended.is_ok(), "{:?}", drivers.board().status(stream.as_str()));
    assert_eq!(drivers.journal().read(stream.as_str()).await.unwrap().len(), 2, "begun, ended");
    drivers.stop().await;
}
