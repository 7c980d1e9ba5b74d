//! The server's own death after an act, for the stories that kill it at every point. Deaths after an append are the
//! journal's own.

#[cfg(not(feature = "faults"))]
pub(super) fn after_act() {}

/// Counts an act, and dies where `BESPIN_FAULT_AFTER_ACT` names it.
#[cfg(feature = "faults")]
pub(super) fn after_act() {
    use std::sync::atomic::AtomicU64;
    static ACTS: AtomicU64 = AtomicU64::new(0);
    journal::fault::count(&ACTS, "BESPIN_FAULT_AFTER_ACT");
}
