//! What is wrong with a pipeline file, said so that its author can fix it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How much of a long line is shown, in characters.
const SHOWN: usize = 140;

/// One mistake, its place and its help. [`fmt::Display`] renders all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// The file's path in the repository.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// How many characters of the line are meant, at least 1.
    pub length: usize,
    /// What is wrong, as one sentence without a full stop.
    pub message: String,
    /// How to fix it.
    pub help: String,
    /// The line as it stands in the file.
    pub source_line: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        let number = self.line.to_string();
        let (before, meant, after) = self.cut();
        writeln!(f, "  {number} | {before}{meant}{after}")?;
        let (gutter, indent) = (" ".repeat(number.len()), " ".repeat(before.width()));
        writeln!(f, "  {gutter} | {indent}{}", "^".repeat(meant.width().max(1)))?;
        write!(f, "help: {}", self.help)
    }
}

impl Mistake {
    /// The line in three parts, shortened around the middle one, and without
    /// anything that a terminal would obey.
    fn cut(&self) -> (String, String, String) {
        let show = |c: char| match c {
            '\t' => ' ',
            c if c.is_control() || c.width().is_none() => '\u{fffd}',
            c => c,
        };
        let line: Vec<char> = self.source_line.chars().map(show).collect();
        let start = (self.column - 1).min(line.len());
        let end = (start + self.length).min(line.len()).min(start + SHOWN);
        let first = if end > SHOWN { start.saturating_sub(40) } else { 0 };
        let last = line.len().min(first + SHOWN).max(end);
        let text = |range: Range<usize>| line[range].iter().collect::<String>();
        let mut before = text(first..start);
        if first > 0 {
            before.insert(0, '…');
        }
        let mut after = text(end..last);
        if last < line.len() {
            after.push('…');
        }
        (before, text(start..end), after)
    }
}

/// A file's text, to find lines and columns in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceText<'a> {
    /// The file's path, relative to the repository.
    pub file: &'a str,
    /// The file's whole text, for the line that is shown.
    pub text: &'a str,
}

impl SourceText<'_> {
    /// A mistake at a place in bytes. What spans lines is shown on its first.
    pub(crate) fn mistake(&self, at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Mistake {
        let start = floor(self.text, at.start);
        let end = floor(self.text, at.end).max(start);
        let from = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let until = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let line = self.text[..start].matches('\n').count() + 1;
        let source_line = self.text[from..until].trim_end_matches('\r').to_owned();
        let column = self.text[from..start].chars().count() + 1;
        let meant = self.text[start..end.min(until)].trim_end();
        let length = meant.chars().count().max(1);
        let (message, help, file) = (plain(message.into()), plain(help.into()), self.file.to_owned());
        Mistake { file, line, column, length, message, help, source_line }
    }

    /// The text at a place.
    pub(crate) fn slice(&self, at: &Range<usize>) -> &str {
        let start = floor(self.text, at.start);
        &self.text[start..floor(self.text, at.end).max(start)]
    }
}

/// Without anything that a terminal would obey: both may quote the file.
pub(crate) fn plain(text: String) -> String {
    let is_odd = |c: char| c.is_control();
    if text.contains(is_odd) { text.replace(is_odd, "\u{fffd}") } else { text }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// All of them as one text, with a count at the end; empty for none.
pub fn lint(mistakes: &[Mistake]) -> String {
    report(mistakes, &[])
}

/// Mistakes and warnings as one text, in the order of the file, with their counts at the end; empty for none.
pub fn report(mistakes: &[Mistake], warnings: &[Mistake]) -> String {
    let warning = |told: &Mistake| Mistake { message: format!("warning: {}", told.message), ..told.clone() };
    let mut all: Vec<Mistake> = mistakes.iter().cloned().chain(warnings.iter().map(warning)).collect();
    all.sort_by_key(|told| (told.line, told.column));
    let mut text: String = all.iter().map(|told| format!("{told}\n\n")).collect();
    let counted = |many: usize, what: &str| match many {
        0 => None,
        1 => Some(format!("1 {what}")),
        many => Some(format!("{many} {what}s")),
    };
    let counts = [counted(mistakes.len(), "mistake"), counted(warnings.len(), "warning")];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    if !counts.is_empty() {
        text.push_str(&format!("{}\n", counts.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_the_underline_counts_widths() {
        let text = "a: 1\nname: \"한글 é\" # x\r\nz: 2";
        let at = text.find('é').expect("it is there");
        let mistake = SourceText { file: "f.yaml", text }.mistake(at..at + 2, "m", "d");
        assert_eq!((mistake.line, mistake.column, mistake.length), (2, 11, 1));
        assert_eq!(mistake.to_string(), "f.yaml:2:11: m\n  2 | name: \"한글 é\" # x\n    |             ^\nhelp: d");
    }

    #[test]
    fn warnings_stand_in_their_place_and_are_counted_apart() {
        let source = SourceText { file: "f", text: "a: 1\nb: 2\n" };
        let (second, first) = (source.mistake(5..6, "wrong", "h"), source.mistake(0..1, "odd", "h"));
        let told = report(std::slice::from_ref(&second), std::slice::from_ref(&first));
        let [odd, wrong] = ["f:1:1: warning: odd", "f:2:1: wrong"].map(|line| told.find(line).expect("it is told"));
        assert!(odd < wrong && told.ends_with("\n\n1 mistake, 1 warning\n"), "{told}");
        assert!(report(&[], &[first.clone(), first]).ends_with("\n2 warnings\n"));
        assert_eq!(report(&[], &[]), "");
    }

    #[test]
    fn odd_places_are_shown_all_the_same() {
        let source = SourceText { file: "f", text: "é\u{1b}[31mx" };
        for (start, end) in [(0, 0), (1, 1), (99, 200), (2, 1)] {
            let shown = source.mistake(start..end, "m", "d").to_string();
            assert!(!shown.contains('\u{1b}'), "{shown}");
        }
        let long = format!("key: {}", "x".repeat(5000));
        let mistake = SourceText { file: "f", text: &long }.mistake(3000..3004, "m", "d");
        assert!(mistake.to_string().len() < 800);
        assert!(mistake.to_string().contains('…'));
    }
}
