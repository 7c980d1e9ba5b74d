//! How many pods each version has by its share of the traffic, with traffic routing.

use super::fields::{Fields, Mistake, Mistakes};
use super::router::Router;

/// The stable version's pods while a canary has traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StableScale {
    /// It keeps them all.
    Full,
    /// It has those that its share of the traffic asks for: `dynamicStableScale`.
    Dynamic,
}

/// As Argo has it: a share of the pods needs a share of the traffic, and leaves nothing to be kept for a while.
pub(super) fn read_stable_scale(canary: &mut Fields, router: Option<&Router>, mistakes: &mut Mistakes) -> StableScale {
    let is_delayed = canary.has("scaleDownDelaySeconds");
    if canary.flag("dynamicStableScale", mistakes) != Some(true) {
        return StableScale::Full;
    }
    let path = canary.path_of("dynamicStableScale");
    if router.is_none() {
        mistakes.push(Mistake::new(&path, "needs trafficRouting", "remove it, or write who shares the traffic"));
    }
    if is_delayed {
        mistakes.push(Mistake::new(&path, "stands beside scaleDownDelaySeconds", "remove one of them"));
    }
    StableScale::Dynamic
}

/// How long a version that was replaced keeps its pods, in ms, and one that was aborted; `None` keeps them for ever. Where
/// an aborted canary's pods follow its traffic, they go with it unless the spec says a time.
pub(super) fn read_delays(
    canary: &mut Fields,
    stable_scale: StableScale,
    mistakes: &mut Mistakes,
) -> (u64, Option<u64>) {
    let mut ms = |key: &str| canary.number(key, 0..=u32::MAX, mistakes).map(|seconds| u64::from(seconds) * 1000);
    let (replaced, aborted) = (ms("scaleDownDelaySeconds"), ms("abortScaleDownDelaySeconds"));
    let otherwise = if stable_scale == StableScale::Dynamic { 0 } else { 30_000 };
    (replaced.unwrap_or(30_000), aborted.map_or(Some(otherwise), |ms| (ms > 0).then_some(ms)))
}
