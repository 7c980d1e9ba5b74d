//! The totals once more, in a file of their own: what the store says of itself is not believed where it says less.
//!
//! Two slots are written in turn, so that a write that is cut off damages the older of them alone. They lie in blocks
//! of their own.

use crate::seal;
use crate::stored::Totals;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The file's name, in the store's folder.
pub(crate) const SLOTS: &str = "totals";
/// Where a slot begins, in bytes from the one before.
const BLOCK: u64 = 4096;

/// The open file; it is opened once, and its length never changes.
pub(crate) struct SlotsFile {
    file: File,
    /// The slot that is written next: never the only one that can be read.
    next: u8,
}

/// What was found in place of the file.
pub(crate) enum FoundSlots {
    /// No file.
    None,
    /// The newest totals that can be read.
    Newest(SlotsFile, Totals),
    /// Neither slot is what its checksum says.
    Damaged,
}

impl SlotsFile {
    /// Looks for the file in a store's folder.
    pub(crate) fn find(dir: &Path) -> std::io::Result<FoundSlots> {
        let opened = File::options().read(true).write(true).open(dir.join(SLOTS));
        let file = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FoundSlots::None),
            opened => opened?,
        };
        let slots = [0, 1].map(|slot| read(&file, slot));
        Ok(match slots {
            [None, None] => FoundSlots::Damaged,
            [Some(totals), other] if other.is_none_or(|other| other.generation <= totals.generation) => {
                FoundSlots::Newest(SlotsFile { file, next: 1 }, totals)
            }
            [_, Some(totals)] | [Some(totals), None] => FoundSlots::Newest(SlotsFile { file, next: 0 }, totals),
        })
    }

    /// Makes the file, with slots that say that nothing was stored. It is on the disk when this returns.
    pub(crate) fn create(dir: &Path) -> std::io::Result<SlotsFile> {
        let mut making = tempfile::Builder::new().prefix("making-").tempfile_in(dir)?;
        let mut blocks = vec![0; 2 * BLOCK as usize];
        for slot in [0, 1] {
            let bytes = encode(slot, &Totals::default());
            let at = (u64::from(slot) * BLOCK) as usize;
            blocks[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        std::io::Write::write_all(&mut making, &blocks)?;
        making.as_file().sync_all()?;
        std::fs::rename(making.path(), dir.join(SLOTS))?;
        let (file, path) = making.into_parts();
        let _has_its_name = path.keep();
        File::open(dir)?.sync_all()?;
        Ok(SlotsFile { file, next: 0 })
    }

    /// Writes the totals over the older slot; they are on the disk when this returns.
    pub(crate) fn write(&mut self, totals: &Totals) -> std::io::Result<()> {
        self.file.write_all_at(&encode(self.next, totals), u64::from(self.next) * BLOCK)?;
        self.file.sync_data()?;
        self.next = 1 - self.next;
        Ok(())
    }
}

fn encode(slot: u8, totals: &Totals) -> Vec<u8> {
    seal::seal(&[slot], &totals.encode())
}

fn read(file: &File, slot: u8) -> Option<Totals> {
    let mut bytes = encode(slot, &Totals::default());
    file.read_exact_at(&mut bytes, u64::from(slot) * BLOCK).ok()?;
    Totals::decode(seal::unseal(&[slot], &bytes).ok()?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::Meta;

    fn totals(generation: u64) -> Totals {
        Totals { meta: Meta { newest: 7 * generation, entries: 3 }, generation, digest: u128::MAX - 5 }
    }

    fn newest(dir: &Path) -> Option<u64> {
        match SlotsFile::find(dir).unwrap() {
            FoundSlots::Newest(_, found) if found.generation > 0 => {
                assert_eq!(found, totals(found.generation));
                Some(found.generation)
            }
            FoundSlots::Newest(_, found) => Some(found.generation),
            FoundSlots::None | FoundSlots::Damaged => None,
        }
    }

    #[test]
    fn the_newest_slot_that_can_be_read_counts_and_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(SlotsFile::find(dir.path()).unwrap(), FoundSlots::None));
        let mut slots = SlotsFile::create(dir.path()).unwrap();
        assert_eq!(newest(dir.path()), Some(0));
        for generation in 1..6 {
            slots.write(&totals(generation)).unwrap();
            assert_eq!(newest(dir.path()), Some(generation));
        }
        let path = dir.path().join(SLOTS);
        let sound = std::fs::read(&path).unwrap();
        let slot = encode(0, &totals(1)).len();
        for at in (0..slot).chain(BLOCK as usize..BLOCK as usize + slot) {
            let mut flipped = sound.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            let older = newest(dir.path()).unwrap();
            assert!([4, 5].contains(&older), "byte {at}: {older}");
            // As if the power went within the next write: what could be read can be read.
            let FoundSlots::Newest(slots, _) = SlotsFile::find(dir.path()).unwrap() else {
                unreachable!("it was read")
            };
            slots.file.write_all_at(&[0xee; 64], u64::from(slots.next) * BLOCK).unwrap();
            assert_eq!(newest(dir.path()), Some(older), "byte {at}");
        }
        let mut both = sound.clone();
        (both[3], both[BLOCK as usize + 3]) = (0, 0);
        for damaged in [&both[..], &sound[..20], &[]] {
            std::fs::write(&path, damaged).unwrap();
            assert!(matches!(SlotsFile::find(dir.path()).unwrap(), FoundSlots::Damaged));
        }
    }
}
