//! What a mirror remembers of its own files while the process runs.

use decide::retry::Retry;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::{Duration, Instant};

/// How long a mirror that was looked at is taken for what it was found to be. What was made anew and is damaged again
/// was not damaged here, and what was found sound is not read from end to end for each error.
const BELIEVED: Duration = Duration::from_secs(10 * 60);

/// A reference of the remote that the mirror could not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfetched {
    /// The full reference, such as `refs/heads/main`.
    pub reference: String,
    /// Why not, as a fragment.
    pub because: String,
    /// Whether a later fetch may take it without anybody's help.
    pub retry: Retry,
}

/// Files that are there a second time, and who may still read them.
pub(crate) struct Retired {
    pub(crate) readers: Arc<()>,
    pub(crate) files: Vec<PathBuf>,
}

/// What a mirror remembers of its own files while the process runs.
#[derive(Default)]
pub(crate) struct Upkeep {
    /// Whether what an earlier process left was removed.
    pub(crate) begun: OnceLock<()>,
    /// Held alone while another directory takes the mirror's place.
    pub(crate) place: RwLock<()>,
    /// Held while packs are merged, or while another directory takes the mirror's place.
    pub(crate) shaping: Mutex<()>,
    /// Cloned by whoever opens the mirror; exchanged when packs retire.
    pub(crate) readers: Mutex<Arc<()>>,
    pub(crate) retired: Mutex<Vec<Retired>>,
    pub(crate) unfetched: Mutex<Vec<Unfetched>>,
    /// How often the mirror was made anew.
    pub(crate) generation: AtomicU64,
    /// When the files were last looked at from end to end, and what came of it.
    looked: Mutex<Option<(Instant, Mended)>>,
}

/// What came of a look at a mirror that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mended {
    /// It was made anew.
    Anew,
    /// Its files are what they should be.
    Sound,
}

impl Upkeep {
    /// Changes when the mirror is made anew.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What a reader holds, so that the packs that it may read stay.
    pub(crate) fn reading(&self) -> Arc<()> {
        self.readers.lock().expect("nobody panics while holding the readers").clone()
    }

    /// What came of the last look, while that is believed.
    pub(crate) fn believed(&self) -> Option<Mended> {
        let looked = self.looked.lock().expect("nobody panics while holding the moment");
        looked.filter(|(at, _)| at.elapsed() < BELIEVED).map(|(_, mended)| mended)
    }

    pub(crate) fn believe(&self, mended: Mended) {
        *self.looked.lock().expect("nobody panics while holding the moment") = Some((Instant::now(), mended));
    }
}
