//! What befalls acts, by chance: they fail for a while, are refused for good, or take effect after their answer was lost.

use super::super::*;
use super::world::World;
use crate::outcome::Failure;
use crate::retry::Retry;

/// Numbers that look random, and are the same for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// The numbers of a seed.
    pub(super) fn new(seed: u64) -> Chance {
        let mut chance = Chance(seed);
        // Seeds that are near each other begin alike.
        for _ in 0..4 {
            chance.below(2);
        }
        chance
    }

    /// A number below this one, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // Knuth's MMIX generator; its high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    pub(super) fn one_in(&mut self, end: u64) -> bool {
        self.below(end) == 0
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

/// What befalls the acts of one world.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    chance: Chance,
    /// What fails until which turn.
    failing: Vec<(String, usize)>,
    /// What is refused for good.
    refused: Vec<String>,
    /// What takes effect in which turn, and nobody was told.
    late: Vec<(usize, Act)>,
    /// Whether more is to come.
    pub is_over: bool,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Faults {
        Faults { chance: Chance::new(seed), failing: Vec::new(), refused: Vec::new(), late: Vec::new(), is_over: false }
    }

    /// Nothing fails any more, but for what is refused for good.
    pub(super) fn end(&mut self) {
        self.failing.clear();
        self.is_over = true;
    }

    /// What befalls an act in this turn.
    fn befalls(&mut self, act: &Act, turn: usize) -> Result<(), Failure> {
        let failed = |message: &str, retry| Err(Failure { message: message.to_owned(), retry });
        let what = target(act);
        if self.refused.contains(&what) {
            return failed("denied the request", Retry::Permanent);
        }
        if self.failing.iter().any(|(failing, until)| *failing == what && turn < *until) {
            return failed("the API server is away", Retry::PASSING);
        }
        if self.is_over {
            return Ok(());
        }
        if self.chance.one_in(8) {
            self.failing.push((what, turn + 1 + usize::try_from(self.chance.below(6)).unwrap()));
            return failed("the API server is away", Retry::PASSING);
        }
        if may_be_refused(act) && self.chance.one_in(12) {
            self.refused.push(what);
            return failed("denied the request", Retry::Permanent);
        }
        if is_write(act) && self.chance.one_in(10) {
            self.late.push((turn + 1 + usize::try_from(self.chance.below(5)).unwrap(), act.clone()));
            return failed("the answer was lost", Retry::PASSING);
        }
        Ok(())
    }
}

/// What an act is about: what fails once fails for all that is alike.
fn target(act: &Act) -> String {
    match act {
        Act::Create { manifest } => format!("create {}", manifest["metadata"]["name"]),
        Act::Own { set, .. } => format!("own {}", set.name),
        Act::Scale { set, .. } => format!("scale {}", set.name),
        Act::Evict { .. } => "evict".to_owned(),
        Act::Forget { set } => format!("forget {}", set.name),
        Act::Select { service, .. } => format!("select {}", service.name),
        Act::Route { ingress, .. } => format!("route {}", ingress.name),
        Act::Weigh { .. } => "weigh".to_owned(),
        Act::Verify { .. } => "verify".to_owned(),
        Act::Unroute { .. } => "unroute".to_owned(),
        Act::AskRevert { .. } | Act::WithdrawRevert { .. } => "revert".to_owned(),
        Act::Stamp { .. } => "stamp".to_owned(),
        Act::Mark { .. } => "mark".to_owned(),
        Act::Post { .. } => "post".to_owned(),
        Act::Status { .. } => "status".to_owned(),
    }
}

/// What admission may refuse for good. Nobody can bring traffic back whose routes can never be written.
fn may_be_refused(act: &Act) -> bool {
    matches!(
        act,
        Act::Create { .. }
            | Act::Own { .. }
            | Act::Evict { .. }
            | Act::Forget { .. }
            | Act::Stamp { .. }
            | Act::Mark { .. }
            | Act::Post { .. }
            | Act::Status { .. }
    )
}

/// What the API server may carry out though it was thought to have failed.
fn is_write(act: &Act) -> bool {
    !matches!(
        act,
        Act::Weigh { .. }
            | Act::Verify { .. }
            | Act::Unroute { .. }
            | Act::AskRevert { .. }
            | Act::WithdrawRevert { .. }
    )
}

impl World {
    /// Carries out an act, unless something befalls it.
    pub(super) fn attempt(&mut self, act: &Act) -> Result<Reply, Failure> {
        let turn = self.turns;
        if let Some(faults) = &mut self.faults {
            faults.befalls(act, turn)?;
        }
        self.act(act)
    }

    /// What was thought to have failed takes effect, where nothing has changed since then.
    pub(super) fn late(&mut self) {
        let turn = self.turns;
        let Some(faults) = &mut self.faults else { return };
        let (due, later) = std::mem::take(&mut faults.late).into_iter().partition(|(at, _)| *at <= turn);
        faults.late = later;
        for (_, act) in due {
            // Nobody hears what came of it.
            drop(self.act(&act));
        }
    }
}
