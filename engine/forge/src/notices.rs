//! What people should know of the mirrors: references that cannot be fetched, and mirrors that were damaged.

use crate::state::Unfetched;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long it is told that a mirror was damaged: whoever looks at the disk comes within a day.
const TOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// How many references of one remote are named.
const NAMED: usize = 3;

/// The notices of all mirrors, by their remotes' addresses.
#[derive(Debug)]
pub struct Notices {
    mirrors: Mutex<BTreeMap<String, Of>>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Of {
    unfetched: Option<String>,
    damage: Option<(Instant, String)>,
}

impl Default for Notices {
    fn default() -> Notices {
        Notices { mirrors: Mutex::default(), version: watch::Sender::new(0) }
    }
}

impl Notices {
    /// Each remote's sentences, by its address; a remote that is well has none.
    pub fn all(&self) -> BTreeMap<String, Vec<String>> {
        let mirrors = self.mirrors.lock().expect("nobody panics while holding the notices");
        let told = |of: &Of| {
            let damage = of.damage.as_ref().filter(|(at, _)| at.elapsed() < TOLD);
            of.unfetched.iter().chain(damage.map(|(_, text)| text)).cloned().collect::<Vec<_>>()
        };
        mirrors.iter().map(|(address, of)| (address.clone(), told(of))).filter(|(_, told)| !told.is_empty()).collect()
    }

    /// Follows changes; the number only grows. That a notice has become old changes nothing.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(crate) fn unfetched(&self, address: &str, all: &[Unfetched]) {
        let named = all.iter().take(NAMED).map(|one| format!("`{}` ({})", one.reference, one.because));
        let named = named.collect::<Vec<_>>().join(", ");
        let text = match all.len() {
            0 => None,
            many if many > NAMED => Some(format!("cannot be fetched: {named} and {} more", many - NAMED)),
            _ => Some(format!("cannot be fetched: {named}")),
        };
        self.change(address, |of| of.unfetched = text);
    }

    pub(crate) fn made_anew(&self, address: &str, damage: &str) {
        let text = format!("its mirror was damaged ({damage}) and was cloned again; look at the disk that it lies on");
        self.change(address, |of| of.damage = Some((Instant::now(), text)));
    }

    fn change(&self, address: &str, change: impl FnOnce(&mut Of)) {
        change(
            self.mirrors
                .lock()
                .expect("nobody panics while holding the notices")
                .entry(address.to_owned())
                .or_default(),
        );
        self.version.send_modify(|version| *version += 1);
    }
}
