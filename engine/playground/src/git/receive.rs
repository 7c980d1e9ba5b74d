//! What a client asks `git receive-pack` for, and what became of it.

use bytes::{Buf, Bytes, BytesMut};

use super::repository::NO_COMMIT;

/// The longest list of updates that is read, in bytes: more than GitHub takes in one push.
const LONGEST: usize = 1 << 20;

/// A ref that a push moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Update {
    /// The commit before, 40 hexadecimal digits; zeros for a new ref.
    pub before: String,
    /// The commit after, 40 hexadecimal digits; zeros for a ref that is deleted.
    pub after: String,
    /// The ref's full name, such as `refs/heads/main`.
    pub reference: String,
}

/// The updates at the beginning of a request's body, read as the body passes by.
#[derive(Debug, Default)]
pub(super) struct Updates {
    rest: BytesMut,
    found: Vec<Update>,
    is_done: bool,
}

impl Updates {
    /// Reads the next part of the body. What follows the list of updates is the pack, and is not looked at.
    pub(super) fn read(&mut self, chunk: &Bytes) {
        if self.is_done || self.rest.len() > LONGEST {
            return;
        }
        self.rest.extend_from_slice(chunk);
        while let Some(line) = packet(&mut self.rest) {
            match line {
                Packet::Flush => {
                    self.is_done = true;
                    return;
                }
                Packet::Line(line) => self.found.extend(update(&line)),
            }
        }
    }

    /// Those that the answer, the body of the response, says were carried out.
    pub(super) fn carried_out(self, answer: &[u8]) -> Vec<Update> {
        let says = |text: String| answer.windows(text.len()).any(|part| part == text.as_bytes());
        self.found.into_iter().filter(|update| says(format!("ok {}\n", update.reference))).collect()
    }
}

enum Packet {
    Flush,
    Line(Bytes),
}

/// Takes the next packet off, once it is whole: four hexadecimal digits of its length, which counts them, and its text.
fn packet(rest: &mut BytesMut) -> Option<Packet> {
    let digits = rest.get(..4).and_then(|digits| std::str::from_utf8(digits).ok())?;
    match usize::from_str_radix(digits, 16).ok()? {
        0 => Some(Packet::Flush),
        length if length >= 4 && rest.len() >= length => {
            let mut line = rest.split_to(length).freeze();
            line.advance(4);
            Some(Packet::Line(line))
        }
        _ => None,
    }
}

/// `BEFORE AFTER REF`, and on the first line a zero byte with the client's capabilities after it.
fn update(line: &[u8]) -> Option<Update> {
    let text = line.split(|byte| *byte == 0).next()?;
    let mut words = std::str::from_utf8(text).ok()?.trim_end().splitn(3, ' ').map(str::to_owned);
    let (before, after, reference) = (words.next()?, words.next()?, words.next()?);
    let is_update = before.len() == NO_COMMIT.len() && after.len() == NO_COMMIT.len();
    is_update.then_some(Update { before, after, reference })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_read_however_the_body_is_cut() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let first = format!("{a} {b} refs/heads/main\0 report-status side-band-64k");
        let second = format!("{NO_COMMIT} {b} refs/tags/v1");
        let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
        let body = format!("{}{}0000PACK\0\0\0\u{2}", line(&first), line(&second));
        for size in [1, 3, 64, body.len()] {
            let mut updates = Updates::default();
            body.as_bytes().chunks(size).for_each(|chunk| updates.read(&Bytes::copy_from_slice(chunk)));
            let report = b"0030\x01000eunpack ok\n0019ok refs/heads/main\n001dng refs/tags/v1 no\n00000000";
            let main = Update { before: a.clone(), after: b.clone(), reference: "refs/heads/main".into() };
            assert_eq!(updates.found.len(), 2, "in parts of {size} bytes");
            assert_eq!(updates.carried_out(report), [main]);
        }
    }

    #[test]
    fn what_is_no_list_of_updates_gives_none() {
        for body in ["", "0000", "nothing of git's", "0009abcde", "ffff"] {
            let mut updates = Updates::default();
            updates.read(&Bytes::from_static(body.as_bytes()));
            assert_eq!(updates.carried_out(b"ok refs/heads/main\n"), [], "{body}");
        }
    }
}
