//! Hides granted secrets in a log's text, however the text is cut into pieces.

use super::forms::{self, SHORTEST_ENCODED};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

/// What stands where a secret stood.
const HIDDEN: &str = "***";

/// So much of a form at a line's end, in bytes, is not there by accident.
const TELLING: usize = 8;

/// Replaces secret values, and what they look like encoded, by `***`. Line breaks within them do not count.
#[derive(Clone, Default)]
pub struct Masker {
    /// Without line breaks; none of them stands twice.
    forms: BTreeSet<String>,
    /// Short secrets of several lines, with their line breaks.
    short_lines: BTreeSet<String>,
    search: Option<AhoCorasick>,
}

/// How a piece of a text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceEnd {
    /// With its line.
    Line,
    /// Anywhere: the next piece goes on with the same line.
    Open,
    /// Anywhere, and what came after it in its line is lost.
    Cut,
}

/// A text that comes in pieces. What may be the beginning of a secret waits for the next piece.
#[derive(Default)]
pub struct MaskedText {
    /// What was shown of a possible secret, and then what was not shown yet.
    text: String,
    /// How much of it was shown, in bytes.
    shown: usize,
}

/// What a look at a text finds, in bytes of it.
struct Found {
    /// The secrets, in order and apart from one another.
    secrets: Vec<Range<usize>>,
    /// Where the longest beginning of a form starts that the text ends with, or its end.
    beginning: usize,
    /// The same of those that are not there by accident.
    telling: usize,
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masker of {} forms", self.forms.len())
    }
}

impl Masker {
    /// Hides each of `secrets`, in each of its forms.
    ///
    /// # Panics
    /// There are more forms than a search can have, which are billions.
    pub fn new<I, S>(secrets: I) -> Masker
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut masker = Masker::default();
        for secret in secrets {
            forms::add(secret.as_ref(), &mut masker.forms);
            masker.short_lines.extend(forms::short_lines(secret.as_ref()));
        }
        masker.search = masker.search();
        masker
    }

    /// Adds another masker's secrets.
    pub fn join(&mut self, other: Masker) {
        let before = self.forms.len();
        self.forms.extend(other.forms);
        self.short_lines.extend(other.short_lines);
        if self.forms.len() > before {
            self.search = self.search();
        }
    }

    /// A whole text with every secret hidden.
    pub fn mask(&self, text: &str) -> String {
        let mut masked = MaskedText::default();
        masked.push(self, text, PieceEnd::Open) + &masked.finish(self)
    }

    /// The beginning of a longer text with every secret hidden, also one of which only the beginning is left.
    pub fn mask_cut(&self, text: &str) -> String {
        let shown = MaskedText::default().push(self, text, PieceEnd::Cut);
        shown.strip_suffix('\n').unwrap_or(&shown).to_owned()
    }

    fn search(&self) -> Option<AhoCorasick> {
        let search = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&self.forms);
        let search = search.expect("there are fewer forms than a search can have");
        (!self.forms.is_empty()).then_some(search)
    }

    /// How much text may wait at most, in bytes: the longest form, wrapped after each of its characters.
    fn most(&self) -> usize {
        4096 + 4 * self.forms.iter().map(String::len).max().unwrap_or_default()
    }

    fn find(&self, text: &str) -> Found {
        let is_break = |byte: u8| matches!(byte, b'\n' | b'\r');
        let (places, flat): (Vec<usize>, Vec<u8>) =
            text.bytes().enumerate().filter(|(_, byte)| !is_break(*byte)).unzip();
        let flat = String::from_utf8(flat).expect("a text without its line breaks is a text");
        let mut secrets: Vec<Range<usize>> = Vec::new();
        let all = self.search.iter().flat_map(|search| search.find_overlapping_iter(&flat));
        let all = all.map(|found| (found.len(), places[found.start()]..places[found.end() - 1] + 1));
        // So little text is the secret itself only where it stands in one piece, or with the secret's own line breaks.
        let is_itself = |place: &Range<usize>| self.short_lines.contains(&forms::unix(&text[place.clone()]));
        let is_hidden = |length: usize, place: &Range<usize>| {
            length >= SHORTEST_ENCODED || place.len() == length || is_itself(place)
        };
        let mut all: Vec<_> = all.filter(|(length, place)| is_hidden(*length, place)).collect();
        all.sort_by_key(|(_, place)| (place.start, place.end));
        for (_, place) in all {
            match secrets.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => secrets.push(place),
            }
        }
        let (mut longest, mut telling) = (0, 0);
        for form in &self.forms {
            let begun = begun(&flat, form);
            longest = longest.max(begun);
            if form.len() >= SHORTEST_ENCODED && (begun >= TELLING || begun * 4 >= form.len()) {
                telling = telling.max(begun);
            }
        }
        let at = |length: usize| places.get(flat.len() - length).copied().unwrap_or(text.len());
        // What is hidden as part of a secret tells nothing as the beginning of the next.
        let (beginning, telling) = (at(longest), at(telling).min(self.short_beginning(text)));
        let around = secrets.iter().find(|secret| secret.start <= telling && telling < secret.end);
        let telling = around.map_or(telling, |secret| secret.end);
        Found { secrets, beginning, telling }
    }

    /// Where whole lines of a short secret of several lines start that the text ends with, or its end.
    fn short_beginning(&self, text: &str) -> usize {
        let lines = self.short_lines.iter().flat_map(|secret| secret.match_indices('\n').map(|(at, _)| &secret[..at]));
        let begun = lines.filter(|lines| !lines.is_empty() && text.ends_with(lines)).map(str::len).max();
        text.len() - begun.unwrap_or_default()
    }
}

/// How much of a form a text ends with, in bytes; not all of it.
fn begun(text: &str, form: &str) -> usize {
    let Some(first) = form.bytes().next() else { return 0 };
    let from = text.len().saturating_sub(form.len() - 1);
    let tail = &text.as_bytes()[from..];
    let starts = tail.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts.map(|(at, _)| &tail[at..]).find(|rest| form.as_bytes().starts_with(rest)).map_or(0, <[u8]>::len)
}

impl MaskedText {
    /// Takes the next piece, and returns what can be shown: whole lines as far as the pieces are, each with its line
    /// feed. At a line's end the first few characters of a form are no reason to wait.
    pub fn push(&mut self, masker: &Masker, piece: &str, end: PieceEnd) -> String {
        self.text.push_str(piece);
        let mut found = masker.find(&self.text);
        if end == PieceEnd::Cut && found.telling < self.text.len() {
            hide_from(&mut found.secrets, found.telling..self.text.len());
            found.beginning = self.text.len();
            found.telling = self.text.len();
        }
        if end != PieceEnd::Open {
            self.text.push('\n');
        }
        let all = self.text.len();
        // So many line breaks are none that wrap a secret.
        let is_over = all - found.beginning > masker.most();
        let mut until = match end {
            _ if is_over => all,
            PieceEnd::Open => found.beginning,
            PieceEnd::Cut => all,
            PieceEnd::Line if found.telling + 1 >= all => all,
            PieceEnd::Line => self.text[..found.telling].rfind('\n').map_or(0, |at| at + 1),
        };
        if let Some(secret) = found.secrets.iter().find(|secret| secret.start < until && until < secret.end) {
            until = secret.end;
        }
        let until = until.max(self.shown);
        let shown = self.show(&found.secrets, until);
        let gone = if is_over { all } else { until.min(found.beginning) };
        self.text.drain(..gone);
        self.shown = until - gone;
        if self.shown == self.text.len() && self.text.bytes().all(|byte| matches!(byte, b'\n' | b'\r')) {
            *self = MaskedText::default();
        }
        shown
    }

    /// What still waits, once nothing comes after it any more.
    pub fn finish(&mut self, masker: &Masker) -> String {
        let found = masker.find(&self.text);
        let shown = self.show(&found.secrets, self.text.len());
        *self = MaskedText::default();
        shown
    }

    /// Whether the next piece is looked at as if it were the first.
    pub fn is_idle(&self) -> bool {
        self.text.is_empty()
    }

    fn show(&self, secrets: &[Range<usize>], until: usize) -> String {
        let (mut shown, mut from) = (String::new(), self.shown);
        for secret in secrets.iter().filter(|secret| secret.end > self.shown && secret.start < until) {
            shown.push_str(self.text.get(from..secret.start).unwrap_or_default());
            shown.push_str(HIDDEN);
            from = secret.end;
        }
        shown.push_str(self.text.get(from..until).unwrap_or_default());
        shown
    }
}

/// Adds a secret at the end of a text to those before it.
fn hide_from(secrets: &mut Vec<Range<usize>>, place: Range<usize>) {
    match secrets.last_mut() {
        Some(last) if place.start < last.end => last.end = place.end,
        _ => secrets.push(place),
    }
}

#[cfg(test)]
#[path = "mask/tests.rs"]
mod tests;
