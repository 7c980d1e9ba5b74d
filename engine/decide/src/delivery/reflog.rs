//! The order in which a branch or a tag has moved, as its deliveries tell it.
//!
//! The same push may be told twice: two hooks of one repository have ids of their own, and what was found by looking is
//! often told afterwards. A reference that moved away and came back was pushed again, though nothing else of the push
//! differs. So a push is not known by what it says, but by its place in the order of the moves.

use super::entry::{Push, Source};
use crate::next::Timestamp;
use crate::retention::REDELIVERY_MS;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// The moves of one reference, fed with its deliveries in the order of the journal.
#[derive(Clone, Debug, Default)]
pub struct Reflog {
    moves: BTreeMap<u64, Move>,
    /// Where the reference stands, as far as the deliveries tell: the move that led there.
    here: Option<u64>,
    next: u64,
    /// Which move each delivery tells of.
    told: HashMap<String, u64>,
    /// The deliveries with their moments, oldest first.
    order: VecDeque<(Timestamp, String)>,
}

/// One move of a reference.
#[derive(Clone, Debug)]
struct Move {
    /// The commit before its last step, once a webhook told of that.
    before: Option<String>,
    /// The commit from which steps are not told yet, where the move was found at its end.
    beyond: Option<String>,
    after: String,
    at: Timestamp,
    /// Whether it may be of any time, so that nothing says where the reference stands.
    is_undated: bool,
}

impl Reflog {
    /// Takes in a delivery that was recorded at `at`, in ms since the epoch. What is too old to be told again is
    /// forgotten.
    pub fn tell(&mut self, push: &Push, at: Timestamp) {
        self.forget(at);
        let told = match self.place(push) {
            Place::Known(id) => {
                if let Some(known) = self.moves.get_mut(&id) {
                    known.claim(push);
                }
                self.arrive(id);
                id
            }
            Place::New => {
                let id = self.add(push, at);
                self.here = Some(id);
                id
            }
            Place::Past => self.add(push, at),
        };
        self.told.insert(push.delivery.clone(), told);
        self.order.push_back((at, push.delivery.clone()));
    }

    /// Takes in a delivery that may have been told before and of which nobody knows when: its move is known from here on,
    /// and the reference stands where it stood until it is seen there.
    pub fn tell_undated(&mut self, push: &Push, at: Timestamp) {
        let here = self.here;
        self.tell(push, at);
        if self.here != here {
            let moved = self.here.and_then(|id| self.moves.get_mut(&id));
            moved.into_iter().for_each(|moved| moved.is_undated = true);
            self.here = here;
        }
    }

    /// Takes in that the reference was seen at this commit, or gone, which is zeros, at `at_ms`.
    pub fn see(&mut self, at: &str, at_ms: Timestamp) {
        if self.stands() == Some(at) {
            return;
        }
        if let Some(id) = self.undated(at) {
            return self.arrive(id);
        }
        let beyond = self.stands().map(str::to_owned);
        let seen = Move { before: None, beyond, after: at.to_owned(), at: at_ms, is_undated: false };
        self.here = Some(self.insert(seen));
    }

    /// Whether both deliveries, by their ids, tell of the same move.
    pub fn is_same(&self, one: &str, other: &str) -> bool {
        one == other || self.told.get(one).is_some_and(|told| self.told.get(other) == Some(told))
    }

    /// The commit that the reference stands at by what was told, zeros where it is gone; `None` where nobody told.
    pub fn stands(&self) -> Option<&str> {
        self.moves.get(&self.here?).map(|at| at.after.as_str())
    }

    fn add(&mut self, push: &Push, at: Timestamp) -> u64 {
        let before = Some(push.before.clone());
        // What lies between where it stood and where this push began is not told yet.
        let stood = self.stands().filter(|at| *at != push.before).map(str::to_owned);
        let (before, beyond) = if push.source == Source::Heads { (None, before) } else { (before, stood) };
        self.insert(Move { before, beyond, after: push.after.clone(), at, is_undated: false })
    }

    /// The newest move to this commit of those that may be of any time.
    fn undated(&self, after: &str) -> Option<u64> {
        let led_there = |(_, known): &(&u64, &Move)| known.is_undated && known.after == after;
        self.moves.iter().rev().find(led_there).map(|(id, _)| *id)
    }

    /// Sets the reference to where a move led that may have been of any time, for now it is known.
    fn arrive(&mut self, id: u64) {
        if self.moves.get_mut(&id).is_some_and(|moved| std::mem::take(&mut moved.is_undated)) {
            self.here = Some(id);
        }
    }

    fn insert(&mut self, added: Move) -> u64 {
        let id = self.next;
        self.next += 1;
        self.moves.insert(id, added);
        id
    }

    fn place(&mut self, push: &Push) -> Place {
        let undated = self.undated(&push.after);
        let here = self.here.and_then(|here| Some((here, self.moves.get_mut(&here)?)));
        if push.source == Source::Heads {
            let stands = here.filter(|(_, at)| at.after == push.after).map(|(here, _)| here);
            return stands.or(undated).map_or(Place::New, Place::Known);
        }
        let Some((here, at)) = here else { return self.told_of(push).map_or(Place::New, Place::Known) };
        if at.after == push.before {
            return Place::New;
        }
        if at.beyond.as_ref() == Some(&push.before) && at.after != push.after {
            // A step of the way that was found only at its end.
            at.beyond = Some(push.after.clone()).filter(|step| at.before.as_ref() != Some(step));
            return Place::Past;
        }
        if at.tells(push) {
            return Place::Known(here);
        }
        if let Some(id) = self.told_of(push) {
            return Place::Known(id);
        }
        match self.moves.values().any(|later| later.before.as_ref() == Some(&push.after)) {
            true => Place::Past,
            false => Place::New,
        }
    }

    /// The newest move that a push tells of.
    fn told_of(&self, push: &Push) -> Option<u64> {
        self.moves.iter().rev().find(|(_, known)| known.tells(push)).map(|(id, _)| *id)
    }

    fn forget(&mut self, now: Timestamp) {
        let is_old = |at: Timestamp| now.saturating_sub(at) > REDELIVERY_MS;
        while let Some((_, id)) = self.order.pop_front_if(|(at, _)| is_old(*at)) {
            self.told.remove(&id);
        }
        self.moves.retain(|_, known| !is_old(known.at));
    }
}

impl Move {
    fn tells(&self, push: &Push) -> bool {
        self.after == push.after && self.before.as_ref().is_none_or(|before| *before == push.before)
    }

    /// Notes the last step, if nobody has told of it before.
    fn claim(&mut self, push: &Push) {
        if self.before.is_none() && push.source == Source::Webhook {
            self.before = Some(push.before.clone());
            self.beyond.take_if(|from| *from == push.before);
        }
    }
}

/// What a delivery tells of.
enum Place {
    /// A move that is known.
    Known(u64),
    /// The newest move.
    New,
    /// A move that came before others which are known.
    Past,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Change, NOTHING, Paths};

    fn id(commit: char) -> String {
        if commit == '0' { NOTHING.to_owned() } else { commit.to_string().repeat(40) }
    }

    /// A delivery of this id that tells of a way such as `01`. An id that begins with `h` was found.
    fn push(delivery: &str, way: &str) -> Push {
        let [before, after] = way.chars().collect::<Vec<_>>()[..] else { panic!("{way}") };
        Push {
            hook: "default".into(),
            delivery: delivery.into(),
            repository: "user/petclinic".into(),
            reference: "refs/tags/v1".into(),
            before: id(before),
            after: id(after),
            change: Change::Forward,
            pusher: "kim".into(),
            paths: Paths::Listed { paths: Vec::new() },
            source: if delivery.starts_with('h') { Source::Heads } else { Source::Webhook },
        }
    }

    /// Feeds deliveries, each as `id before after`, and groups their ids by the move that they tell of.
    fn moves(deliveries: &[&str]) -> Vec<String> {
        let mut reflog = Reflog::default();
        let mut groups: Vec<Vec<&str>> = Vec::new();
        for (n, delivery) in deliveries.iter().enumerate() {
            let [name, way] = delivery.split(' ').collect::<Vec<_>>()[..] else { panic!("{delivery}") };
            let push = push(name, way);
            reflog.tell(&push, n as u64);
            match groups.iter_mut().find(|group| reflog.is_same(group[0], name)) {
                Some(group) => group.push(name),
                None => groups.push(vec![name]),
            }
        }
        groups.into_iter().map(|group| group.join(" ")).collect()
    }

    #[test]
    fn what_went_away_and_came_back_was_pushed_again() {
        assert_eq!(moves(&["a 01", "b 10", "c 01"]), ["a", "b", "c"], "a tag, made, deleted and made again");
        assert_eq!(moves(&["a 12", "b 21", "c 12"]), ["a", "b", "c"], "a branch that was set back");
        assert_eq!(moves(&["a 12", "b 23", "c 32", "d 21", "e 12"]), ["a", "b", "c", "d", "e"]);
        assert_eq!(moves(&["a 12", "c 32"]), ["a", "c"], "nobody told of the way to 3");
    }

    #[test]
    fn the_same_push_by_two_hooks_is_one_move() {
        assert_eq!(moves(&["a 12", "b 12", "c 12"]), ["a b c"]);
        assert_eq!(moves(&["a 01", "A 01", "b 10", "B 10", "c 01", "C 01"]), ["a A", "b B", "c C"]);
        assert_eq!(moves(&["a 12", "b 23", "A 12", "B 23"]), ["a A", "b B"], "one of them is slow");
        assert_eq!(moves(&["b 23", "a 12", "B 23", "A 12"]), ["b B", "a A"], "out of order");
    }

    #[test]
    fn what_was_found_and_is_told_afterwards_is_one_move() {
        assert_eq!(moves(&["a 12", "h 23", "b 23"]), ["a", "h b"]);
        assert_eq!(moves(&["a 12", "b 23", "h 23"]), ["a", "b h"], "it was told first");
        assert_eq!(moves(&["a 01", "h 14", "b 12", "c 23", "d 34"]), ["a", "h d", "b", "c"], "step by step");
        assert_eq!(moves(&["a 01", "h 14", "d 34", "b 12", "c 23"]), ["a", "h d", "b", "c"], "the last one first");
        assert_eq!(moves(&["h 12", "b 12", "c 21", "d 12"]), ["h b", "c", "d"], "it moved between");
        assert_eq!(moves(&["h 02", "b 12", "c 32"]), ["h b", "c"], "two came from different commits");
    }

    #[test]
    fn steps_that_were_missed_and_come_after_the_last_one_set_nothing_back() {
        assert_eq!(moves(&["a 01", "d 34", "b 12", "c 23"]), ["a", "d", "b", "c"]);
        let mut reflog = Reflog::default();
        for (n, (name, way)) in [("a", "01"), ("d", "34"), ("b", "12"), ("c", "23")].into_iter().enumerate() {
            reflog.tell(&push(name, way), n as u64);
        }
        assert_eq!(reflog.stands(), Some(id('4').as_str()), "it was told of its last step before the missed ones");
    }

    #[test]
    fn what_was_seen_counts_like_what_was_told() {
        let mut reflog = Reflog::default();
        reflog.tell(&push("a", "01"), 1);
        reflog.see(&id('1'), 2);
        reflog.tell(&push("A", "01"), 3);
        reflog.see(&id('0'), 4);
        assert_eq!(reflog.stands(), Some(NOTHING));
        reflog.tell(&push("b", "01"), 5);
        assert!(reflog.is_same("a", "A") && !reflog.is_same("a", "b"), "it was deleted in between");
        assert_eq!(reflog.stands(), Some(id('1').as_str()));
    }

    #[test]
    fn what_is_too_old_to_be_told_again_is_a_push_of_its_own() {
        let mut reflog = Reflog::default();
        reflog.tell(&push("a", "01"), 1_000);
        reflog.tell(&push("b", "01"), 1_000 + REDELIVERY_MS);
        assert!(reflog.is_same("a", "b"));
        reflog.tell(&push("c", "01"), 1_002 + REDELIVERY_MS);
        assert!(!reflog.is_same("a", "c") && reflog.is_same("c", "c"));
    }

    #[test]
    fn what_may_be_of_any_time_sets_nothing_back_until_it_is_seen() {
        let mut reflog = Reflog::default();
        reflog.tell(&push("a", "78"), 1);
        reflog.tell_undated(&push("old", "45"), 2);
        assert_eq!(reflog.stands(), Some(id('8').as_str()));
        reflog.tell(&push("h", "58"), 3);
        assert!(reflog.is_same("a", "h"), "a look finds what was told");
        reflog.tell(&push("b", "89"), 4);
        assert_eq!(reflog.stands(), Some(id('9').as_str()));
        reflog.tell_undated(&push("new", "46"), 5);
        reflog.see(&id('6'), 6);
        reflog.tell(&push("NEW", "46"), 7);
        assert!(reflog.is_same("new", "NEW"), "the other hook tells of what was seen");
        assert_eq!(reflog.stands(), Some(id('6').as_str()));
    }

    #[test]
    fn the_first_that_is_told_may_be_of_any_time() {
        let mut reflog = Reflog::default();
        reflog.tell_undated(&push("a", "12"), 1);
        reflog.tell_undated(&push("A", "12"), 2);
        assert!(reflog.is_same("a", "A"), "by two hooks");
        assert_eq!(reflog.stands(), None);
        reflog.tell(&push("h", "02"), 3);
        assert!(reflog.is_same("a", "h"), "and a look finds it");
        assert_eq!(reflog.stands(), Some(id('2').as_str()));
    }
}
