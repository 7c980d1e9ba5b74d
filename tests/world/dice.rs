//! Numbers that look random.

/// Knuth's MMIX generator.
pub(super) struct Dice(u64);

impl Dice {
    /// Other numbers in each run.
    pub(super) fn new() -> Dice {
        use std::hash::{BuildHasher, Hasher};
        // The standard library's own seed is random.
        Dice(std::collections::hash_map::RandomState::new().build_hasher().finish() | 1)
    }

    /// The same numbers in each run.
    pub(super) fn seeded(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below this one.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // Its high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
