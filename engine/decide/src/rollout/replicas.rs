//! How many pods each version has.
//!
//! Without traffic routing the pods *are* the weight, and only whole pods can
//! be had: of up to four splits the one nearest the weight is taken, and the
//! way there keeps within `maxSurge` and `maxUnavailable`. With traffic
//! routing the stable version keeps all its pods, and the canary has its share
//! on top. Source of both rules: Argo's `utils/replicaset/canary.go`.

/// How far the number of pods may stray from `replicas`, in pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many pods there may be above the wanted number.
    pub surge: u32,
    /// Available pods below it.
    pub unavailable: u32,
}

/// The pods of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// The number that the set's spec asks for.
    pub spec: u32,
    /// The number that is available.
    pub available: u32,
}

/// How many pods the canary and the stable version have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Pods of the canary's version.
    pub canary: u32,
    /// Pods of the stable version.
    pub stable: u32,
}

/// The canary's pods with traffic routing: its share of the replicas, rounded up.
///
/// 10 replicas at 10, 25, 50, 75 and 100 % are 1, 3, 5, 8 and 10 pods.
pub fn routed(replicas: u32, weight: u32, min_pods: u32) -> u32 {
    let share = (u64::from(replicas) * u64::from(weight)).div_ceil(100);
    match u32::try_from(share).unwrap_or(u32::MAX) {
        0 => 0,
        pods => pods.max(min_pods),
    }
}

/// The split nearest to a weight, where the pods are the weight.
///
/// `replicas` pods in all, or one more when a surge is allowed. The canary's
/// count is the share of `replicas` rounded up or down; a weight from 1 to 99
/// gives each version a pod, unless there is one pod and no surge. On a tie
/// the larger canary wins.
///
/// 10 replicas with a surge: 10 % is 1 + 9, 25 % is 3 + 8 (27.3 % of eleven is
/// nearer than 30 % of ten), 50 % is 5 + 5, 75 % is 8 + 3.
pub fn nearest(replicas: u32, weight: u32, surge: u32) -> Split {
    let hundredths = u64::from(replicas) * u64::from(weight);
    let (up, down) = (hundredths.div_ceil(100), hundredths / 100);
    let (replicas, weight) = (u64::from(replicas), u64::from(weight));
    let partial = (1..=99).contains(&weight) && !(replicas == 1 && surge == 0);
    let mut best: Option<(u64, u64)> = None;
    let totals = [replicas, replicas + 1];
    for &total in &totals[..if surge > 0 { 2 } else { 1 }] {
        let tied = total * weight % 100 == 50;
        let crowded = total == replicas && up >= replicas;
        if !(partial && crowded) {
            best = nearer(best, (up, total), weight);
        }
        let empty = partial && down == 0;
        if !(tied || empty) {
            best = nearer(best, (down, total), weight);
        }
    }
    // Nothing is left only of a tie between all pods and all but one, as 75 % of two
    // without a surge; Argo answers no canary at all there, which no weight means.
    let (canary, total) = if replicas == 0 { (0, 0) } else { best.unwrap_or((down, replicas)) };
    let pods = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Split { canary: pods(canary), stable: pods(total - canary.min(total)) }
}

/// Whichever is nearer to the weight; the earlier one on a tie.
fn nearer(best: Option<(u64, u64)>, other: (u64, u64), weight: u64) -> Option<(u64, u64)> {
    // The distance of a/b from w/100 is |100a - wb| / 100b; compared by crosswise products.
    let distance = |(canary, total): (u64, u64)| ((canary * 100).abs_diff(weight * total), total.max(1));
    match best {
        None => Some(other),
        Some(best) => {
            let ((near, by), (far, of)) = (distance(other), distance(best));
            Some(if near * of < far * by { other } else { best })
        }
    }
}

/// The next move towards a split, within the bounds, where the pods are the weight.
///
/// The stable version grows before the canary; nothing shrinks while older versions have pods. While the canary grows,
/// only the stable version gives pods back, those that are not available first; while it shrinks, only the canary does.
/// So pods that are ready are never given back because others are counted that are not. What is above `maxSurge` then
/// is given back by the other version, as far as enough pods stay available.
///
/// 10 replicas, 30 %, nothing unavailable and a surge of 3: the canary gets 3
/// while the stable version keeps 10. With 5 unavailable and no surge: the
/// canary waits at 0 until the stable version has gone down to 7.
pub fn within(wanted: Split, canary: Pods, stable: Pods, older: Pods, replicas: u32, bounds: Bounds) -> Split {
    let mut next = Split { canary: canary.spec, stable: stable.spec };
    let allowed = u64::from(replicas) + u64::from(bounds.surge);
    let in_all = u64::from(canary.spec) + u64::from(stable.spec) + u64::from(older.spec);
    let mut room = u32::try_from(allowed.saturating_sub(in_all)).unwrap_or(u32::MAX);
    for (now, goal) in [(&mut next.stable, wanted.stable), (&mut next.canary, wanted.canary)] {
        let more = goal.saturating_sub(*now).min(room);
        *now += more;
        room -= more;
    }
    if older.spec > 0 {
        return next;
    }
    let needed = replicas.saturating_sub(bounds.unavailable);
    if wanted.canary >= canary.spec {
        let (stable, canary) = drained((stable, wanted.stable, next.stable), (canary, next.canary), needed, allowed);
        Split { canary, stable }
    } else {
        let (canary, stable) = drained((canary, wanted.canary, next.canary), (stable, next.stable), needed, allowed);
        Split { canary, stable }
    }
}

/// What is left of a version that gives pods back, with its goal and its next number, and of the other one.
fn drained(
    (drain, goal, next): (Pods, u32, u32),
    (other, other_next): (Pods, u32),
    needed: u32,
    allowed: u64,
) -> (u32, u32) {
    let standing = u64::from(drain.spec) + u64::from(other.staying(other.spec));
    let spare = u32::try_from(standing.saturating_sub(u64::from(needed))).unwrap_or(u32::MAX);
    if spare == 0 {
        return (next, other_next);
    }
    let left = if drain.spec > goal { goal.max(drain.spec.saturating_sub(spare)) } else { next };
    let over = |left: u32, other: u32| {
        let over = (u64::from(left) + u64::from(other)).saturating_sub(allowed);
        u32::try_from(over).unwrap_or(u32::MAX)
    };
    let lowered = other_next.saturating_sub(over(left, other_next));
    let lost = other.available.saturating_sub(lowered);
    let missing = needed.saturating_sub(drain.staying(left).saturating_add(other.staying(lowered)));
    let kept = lowered + lost.min(missing);
    (left.saturating_sub(over(left, kept)), kept)
}

impl Pods {
    /// How many pods stay available once the set has this many: those that are not go first.
    pub fn staying(self, spec: u32) -> u32 {
        self.available.min(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_traffic_routing_the_share_is_rounded_up() {
        let pods: Vec<u32> = [0, 1, 10, 25, 50, 75, 100].map(|weight| routed(10, weight, 0)).into();
        assert_eq!(pods, [0, 1, 1, 3, 5, 8, 10]);
        assert_eq!([10, 25, 50, 75, 100].map(|weight| routed(2, weight, 0)), [1, 1, 1, 2, 2]);
        assert_eq!([0, 10, 100].map(|weight| routed(10, weight, 3)), [0, 3, 10], "none stays none");
    }

    #[test]
    fn the_nearest_split_is_argos() {
        // (replicas, weight, surge) -> (canary, stable); worked from the rule in the facts' section 3.5.
        let table = [
            ((10, 10, 1), (1, 9)),
            ((10, 25, 1), (3, 8)),
            ((10, 50, 1), (5, 5)),
            ((10, 75, 1), (8, 3)),
            ((10, 100, 1), (10, 0)),
            ((10, 0, 1), (0, 10)),
            ((10, 25, 0), (3, 7)),
            ((10, 75, 0), (8, 2)),
            ((10, 5, 1), (1, 10)),
            ((10, 99, 1), (10, 1)),
            ((10, 99, 0), (9, 1)),
            ((2, 25, 1), (1, 2)),
            ((2, 25, 0), (1, 1)),
            ((2, 75, 0), (1, 1)),
            ((3, 50, 0), (2, 1)),
            ((3, 50, 1), (2, 2)),
            ((1, 5, 1), (1, 1)),
            ((1, 95, 1), (1, 1)),
            ((1, 5, 0), (0, 1)),
            ((1, 95, 0), (1, 0)),
            ((0, 50, 1), (0, 0)),
        ];
        for ((replicas, weight, surge), (canary, stable)) in table {
            let split = nearest(replicas, weight, surge);
            assert_eq!(
                (split.canary, split.stable),
                (canary, stable),
                "{replicas} replicas, {weight} %, surge {surge}"
            );
        }
    }

    #[test]
    fn no_split_is_off_by_more_than_a_pod_nor_empties_a_version() {
        for replicas in 1..40 {
            for weight in 0..=100 {
                for surge in [0, 1, 5] {
                    let split = nearest(replicas, weight, surge);
                    let total = split.canary + split.stable;
                    let place = format!("{replicas} replicas, {weight} %, surge {surge}: {split:?}");
                    assert!(total == replicas || (surge > 0 && total == replicas + 1), "{place}");
                    let off = (f64::from(split.canary) - f64::from(total) * f64::from(weight) / 100.0).abs();
                    assert!(off <= 1.0, "{place}");
                    if (1..=99).contains(&weight) && replicas > 1 {
                        assert!(split.canary > 0 && split.stable > 0, "{place}");
                    }
                }
            }
        }
    }

    #[track_caller]
    fn step(replicas: u32, weight: u32, bounds: (u32, u32), canary: (u32, u32), stable: (u32, u32), next: (u32, u32)) {
        let bounds = Bounds { surge: bounds.0, unavailable: bounds.1 };
        let pods = |(spec, available)| Pods { spec, available };
        let wanted = nearest(replicas, weight, bounds.surge);
        let split = within(wanted, pods(canary), pods(stable), Pods::default(), replicas, bounds);
        assert_eq!((split.canary, split.stable), next);
    }

    #[test]
    fn each_move_keeps_within_the_bounds() {
        step(10, 10, (1, 1), (0, 0), (10, 10), (1, 9));
        step(10, 30, (3, 0), (0, 0), (10, 10), (3, 10));
        step(10, 30, (3, 0), (3, 3), (10, 10), (3, 7));
        step(10, 30, (0, 5), (0, 0), (10, 10), (0, 7));
        step(10, 30, (0, 5), (0, 0), (7, 7), (3, 7));
        step(1, 5, (1, 0), (0, 0), (1, 1), (1, 1));
        step(1, 95, (1, 0), (0, 0), (1, 1), (1, 1));
        step(4, 0, (1, 0), (2, 0), (2, 2), (2, 3));
        step(4, 0, (1, 0), (2, 0), (3, 3), (1, 3));
        step(4, 100, (1, 0), (4, 0), (1, 1), (4, 1));
        step(4, 100, (1, 0), (4, 4), (1, 1), (4, 0));
    }

    #[test]
    fn older_versions_go_first() {
        let bounds = Bounds { surge: 1, unavailable: 0 };
        let (canary, stable) = (Pods { spec: 1, available: 1 }, Pods { spec: 10, available: 10 });
        let older = Pods { spec: 1, available: 1 };
        let split = within(nearest(10, 25, 1), canary, stable, older, 10, bounds);
        assert_eq!(split, Split { canary: 1, stable: 10 });
    }

    #[test]
    fn every_way_ends_at_the_split_and_never_leaves_the_bounds() {
        for (surge, unavailable) in [(1, 0), (0, 1), (3, 2)] {
            let bounds = Bounds { surge, unavailable };
            for replicas in 1..12 {
                for weight in [0, 10, 50, 99, 100] {
                    let wanted = nearest(replicas, weight, surge);
                    let mut now = Split { canary: 0, stable: replicas };
                    for _ in 0..100 {
                        let pods = |spec| Pods { spec, available: spec };
                        let next =
                            within(wanted, pods(now.canary), pods(now.stable), Pods::default(), replicas, bounds);
                        assert!(next.canary + next.stable <= replicas + surge, "{replicas} {weight} {now:?} {next:?}");
                        let alive = next.canary.min(now.canary) + next.stable.min(now.stable);
                        assert!(alive >= replicas - unavailable.min(replicas), "{replicas} {weight} {now:?} {next:?}");
                        now = next;
                    }
                    assert_eq!(now, wanted, "{replicas} replicas, {weight} %, {bounds:?}");
                }
            }
        }
    }
}
