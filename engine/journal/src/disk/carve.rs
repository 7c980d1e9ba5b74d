//! What a store's log still says where sled opens it no more: each message that its checksum vouches for, page by page.
//!
//! sled's log is a row of segments. Each begins with a header that names its place in the log's order, and holds
//! messages: a page's whole content, or one key that was set or removed since. Segments are used again, so that a log
//! that is cut off is no earlier state of the store; this takes the newest of what is left of each page. A message
//! of which one byte was flipped is read as it was before; the checksums of values judge that.

use super::repair::flipped;
use super::{StoreFolder, Unopened, WINDOW, unread};
use crate::Error;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// sled's segments, in bytes; it refuses a folder with others.
pub(super) const SEGMENT: usize = 512 << 10;
const SEGMENT_HEADER: usize = 20;
/// The longest header of a message.
const LONGEST_HEADER: usize = 32;
/// What sled subtracts the log's positions from.
const SHIFT: u64 = 0x7fff_ffff_ffff_ffff;

/// The kinds of messages that matter here.
const KIND_CAP: u8 = 2;
const KIND_FREE: u8 = 4;
const KIND_NODE: u8 = 8;
const KIND_LINK: u8 = 10;
const KIND_LAST: u8 = 11;

/// A leaf's keys, whole, and their values.
type LeafPairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// A message that its checksum vouches for.
struct LogMessage {
    kind: u8,
    segment_number: u64,
    page: u64,
    /// Where its content begins, from the message's own beginning, and ends.
    content: std::ops::Range<usize>,
}

/// Where a message's content lies in the file, and its place in the log's order.
#[derive(Clone, Copy)]
struct MessagePlace {
    order: u64,
    kind: u8,
    at: u64,
    len: usize,
}

/// What is known of a page: its newest whole content, and what was changed since.
#[derive(Default)]
struct PageLog {
    whole: Option<MessagePlace>,
    links: Vec<MessagePlace>,
}

impl StoreFolder {
    /// Fills a new store in `into` with what can be read of the log in `from`.
    pub(crate) fn carved(from: &Path, into: &Path) -> Result<StoreFolder, Error> {
        let failed = |error: std::io::Error| Error(format!("reading {}: {error}", from.display()));
        let log = File::open(from).map_err(failed)?;
        let (pages, log) = LogIndex::of(log).map_err(failed)?;
        let mut pages: Vec<PageLog> = pages.into_values().collect();
        // What is newer comes later, and replaces what an older page still holds.
        pages.sort_by_key(|page| page.whole.iter().chain(&page.links).map(|place| place.order).max());
        let disk = StoreFolder::open(into).map_err(|unopened| match unopened {
            Unopened::Refused(error) => error,
            Unopened::Damaged(what) => Error(what),
        })?;
        let (mut window, mut bytes) = (sled::Batch::default(), 0);
        for page in pages {
            for (key, value) in page.leaf(&log).unwrap_or_default() {
                bytes += key.len() + value.len();
                window.insert(key, value);
            }
            if bytes >= WINDOW {
                bytes = 0;
                disk.db.apply_batch(std::mem::take(&mut window)).map_err(|error| unread(&error))?;
            }
        }
        disk.db.apply_batch(window).map_err(|error| unread(&error))?;
        Ok(disk)
    }
}

/// A log, and those of its bytes that are read otherwise, with their places.
struct LogIndex {
    log: File,
    repaired: BTreeMap<u64, u8>,
}

impl LogIndex {
    /// Finds the newest content of each page.
    fn of(log: File) -> std::io::Result<(HashMap<u64, PageLog>, LogIndex)> {
        let mut pages: HashMap<u64, PageLog> = HashMap::new();
        let mut repaired = BTreeMap::new();
        let (mut segment, mut base) = (vec![0; SEGMENT], 0);
        loop {
            let len = fill(&log, &mut segment, base)?;
            if len <= SEGMENT_HEADER {
                return Ok((pages, LogIndex { log, repaired }));
            }
            let put_right = messages(&mut segment[..len], |at, message| {
                let order = message.segment_number * SEGMENT as u64 + at as u64;
                let LogMessage { kind, content, .. } = message;
                let place = MessagePlace { order, kind, at: base + (at + content.start) as u64, len: content.len() };
                let page = pages.entry(message.page).or_default();
                match kind {
                    KIND_LINK => page.links.push(place),
                    KIND_NODE | KIND_FREE if page.whole.is_none_or(|whole| whole.order < order) => {
                        page.whole = Some(place)
                    }
                    _ => {}
                }
            });
            repaired.extend(put_right.into_iter().map(|at| (base + at as u64, segment[at])));
            base += SEGMENT as u64;
        }
    }

    fn content(&self, place: MessagePlace) -> Option<Vec<u8>> {
        let mut bytes = vec![0; place.len];
        self.log.read_exact_at(&mut bytes, place.at).ok()?;
        for (at, byte) in self.repaired.range(place.at..place.at + place.len as u64) {
            bytes[(at - place.at) as usize] = *byte;
        }
        Some(bytes)
    }
}

fn fill(log: &File, segment: &mut [u8], base: u64) -> std::io::Result<usize> {
    let mut len = 0;
    while len < segment.len() {
        match log.read_at(&mut segment[len..], base + len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Where a segment stands in the log's order, by its header; `None` where that is damaged.
pub(super) fn segment_order(segment: &[u8]) -> Option<u64> {
    let sum = u32::from_le_bytes(*segment.first_chunk()?) ^ u32::MAX;
    let order = u64::from_le_bytes(segment.get(4..12)?.try_into().ok()?) ^ SHIFT;
    (sum == crc32fast::hash(segment.get(4..SEGMENT_HEADER)?)).then_some(order)
}

/// Whether a segment is what sled wrote: its header and its messages fit their checksums, and behind them is nothing.
pub(super) fn is_whole(segment: &[u8]) -> bool {
    let Some(order) = segment_order(segment) else { return false };
    let end = segment.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut at = SEGMENT_HEADER;
    while at < end {
        match LogMessage::read(&segment[at..], Some(order / SEGMENT as u64)) {
            None => return false,
            Some(message) if message.kind == KIND_CAP => return true,
            Some(message) => at += message.content.end,
        }
    }
    true
}

/// Goes through a segment's messages, and returns the bytes that were put right. Behind a message that is damaged
/// otherwise the next is looked for byte by byte.
fn messages(segment: &mut [u8], mut each: impl FnMut(usize, LogMessage)) -> Vec<usize> {
    let mut number = segment_order(segment).map(|order| order / SEGMENT as u64);
    let (mut at, mut begins, mut put_right) = (SEGMENT_HEADER, true, Vec::new());
    while at < segment.len() {
        let mut message = LogMessage::read(&segment[at..], number);
        if message.is_none() && begins {
            put_right.extend(repair(segment, at, number));
            message = LogMessage::read(&segment[at..], number);
        }
        begins = message.is_some();
        match message {
            None => at += 1,
            Some(message) if message.kind == KIND_CAP => break,
            Some(message) => {
                number = Some(message.segment_number);
                let end = at + message.content.end;
                each(at, message);
                at = end;
            }
        }
    }
    put_right
}

/// Puts the one byte right that keeps the message at `at` from being what its checksum says.
fn repair(segment: &mut [u8], at: usize, number: Option<u64>) -> Option<usize> {
    if let Some((difference, message)) = LogMessage::parse(&segment[at..], number) {
        let own = difference.to_le_bytes();
        if let [place] = (0..4).filter(|byte| own[*byte] != 0).collect::<Vec<_>>()[..] {
            segment[at + place] ^= own[place];
            return Some(at + place);
        }
        let std::ops::Range { start, end } = message.content;
        if let Some((place, bits)) = flipped(difference, end - start, start - 4) {
            segment[at + start + place] ^= bits;
            return Some(at + start + place);
        }
    }
    // In the header any byte may change where the message ends.
    for place in at + 4..segment.len().min(at + LONGEST_HEADER) {
        for bits in 1..=u8::MAX {
            segment[place] ^= bits;
            if LogMessage::read(&segment[at..], number).is_some() {
                return Some(place);
            }
            segment[place] ^= bits;
        }
    }
    None
}

impl LogMessage {
    fn read(bytes: &[u8], segment_number: Option<u64>) -> Option<LogMessage> {
        LogMessage::parse(bytes, segment_number).filter(|(difference, _)| *difference == 0).map(|(_, message)| message)
    }

    /// A message, and by what its checksum differs from the one that it names.
    fn parse(bytes: &[u8], segment_number: Option<u64>) -> Option<(u32, LogMessage)> {
        let (sum, mut rest) = bytes.split_first_chunk::<4>()?;
        let kind = *rest.split_off_first()?;
        if kind == 0 || kind > KIND_LAST {
            return None;
        }
        let len = usize::try_from(number(&mut rest)?).ok()?;
        let its_number = number(&mut rest)?;
        let page = number(&mut rest)?;
        if segment_number.is_some_and(|number| number != its_number) || its_number > SHIFT / SEGMENT as u64 {
            return None;
        }
        let start = bytes.len() - rest.len();
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(rest.get(..len)?);
        hasher.update(&bytes[4..start]);
        let difference = hasher.finalize() ^ u32::MAX ^ u32::from_le_bytes(*sum);
        Some((difference, LogMessage { kind, segment_number: its_number, page, content: start..start + len }))
    }
}

impl PageLog {
    /// The keys and values of a leaf; `None` for any other page, or one of which only changes are left.
    fn leaf(mut self, log: &LogIndex) -> Option<LeafPairs> {
        let whole = self.whole.filter(|whole| whole.kind == KIND_NODE)?;
        let (prefix, mut leaf) = node(&log.content(whole)?)?;
        self.links.sort_by_key(|link| link.order);
        for link in self.links.into_iter().filter(|link| link.order > whole.order) {
            let bytes = log.content(link)?;
            let mut rest = &bytes[..];
            match rest.split_off_first() {
                Some(0) => {
                    let key = [&prefix, string(&mut rest)?].concat();
                    leaf.insert(key, string(&mut rest)?.to_vec());
                }
                Some(1) => drop(leaf.remove(&[&prefix, string(&mut rest)?].concat())),
                _ => {}
            }
        }
        Some(leaf)
    }
}

/// A leaf's prefix, which its keys lack, and its keys and values.
fn node(bytes: &[u8]) -> Option<(Vec<u8>, LeafPairs)> {
    let mut rest = bytes;
    let _next = number(&mut rest)?;
    let _merging_child = number(&mut rest)?;
    let _merging = rest.split_off_first()?;
    let prefix_len = usize::from(*rest.split_off_first()?);
    let low = string(&mut rest)?;
    let _high = string(&mut rest)?;
    let prefix = low.get(..prefix_len)?.to_vec();
    if *rest.split_off_first()? != 0 {
        return None;
    }
    let count = usize::try_from(number(&mut rest)?).ok()?;
    let mut strings = Vec::new();
    while !rest.is_empty() {
        strings.push(string(&mut rest)?);
    }
    let (keys, values) = strings.split_at_checked(count)?;
    let keys = keys.iter().map(|key| [&prefix, *key].concat());
    let leaf = keys.zip(values.iter().map(|value| value.to_vec())).collect();
    Some((prefix, leaf))
}

fn string<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = usize::try_from(number(bytes)?).ok()?;
    bytes.split_off(..len)
}

/// sled's numbers of one to nine bytes.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.split_off_first()?;
    let mut next = || bytes.split_off_first().map(|byte| u64::from(*byte));
    Some(match first {
        0..=240 => u64::from(first),
        241..=248 => 240 + 256 * (u64::from(first) - 241) + next()?,
        249 => 2288 + 256 * next()? + next()?,
        _ => {
            let tail = bytes.split_off(..usize::from(first) - 247)?;
            tail.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
        }
    })
}
