//! A Dockerfile's text as instructions: comments, continuations, here-documents.

/// One instruction, with its continuations joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalLine {
    /// The line where it begins, from 1.
    pub number: usize,
    /// Its word, in capitals.
    pub word: String,
    /// What follows the word.
    pub rest: String,
    /// Whether a here-document follows it.
    pub has_heredoc: bool,
}

/// A file's instructions, and the character that escapes in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineReader {
    /// In the order of the file.
    pub lines: Vec<LogicalLine>,
    /// `\`, unless a directive on top says otherwise.
    pub escape: char,
}

/// Splits a Dockerfile into its instructions. Every text has some.
pub fn split(text: &str) -> LineReader {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape_directive(text);
    let mut lines = Vec::new();
    let mut physical = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    while let Some((number, first)) = physical.next() {
        if is_blank(first) {
            continue;
        }
        let mut joined = String::new();
        let mut current = Some(first);
        while let Some(line) = current {
            match continues(line, escape) {
                Some(start) => joined.push_str(start),
                None => {
                    joined.push_str(line);
                    break;
                }
            }
            current = physical.by_ref().map(|(_, line)| line).find(|line| !is_blank(line));
        }
        let joined = joined.trim();
        let (word, rest) = joined.split_once(char::is_whitespace).unwrap_or((joined, ""));
        let word = word.to_ascii_uppercase();
        let heredocs = if matches!(word.as_str(), "RUN" | "COPY" | "ADD") { heredocs(rest) } else { Vec::new() };
        for end in &heredocs {
            let _content = physical.by_ref().find(|(_, line)| line.trim_start_matches('\t') == end);
        }
        let has_heredoc = !heredocs.is_empty();
        lines.push(LogicalLine { number, word, rest: rest.trim().to_owned(), has_heredoc });
    }
    LineReader { lines, escape }
}

/// Directives stand above everything else, one a line: `# escape=`.
fn escape_directive(text: &str) -> char {
    for line in text.lines() {
        let Some((name, value)) = line.trim().strip_prefix('#').and_then(|comment| comment.split_once('=')) else {
            break;
        };
        if name.trim().eq_ignore_ascii_case("escape") && value.trim() == "`" {
            return '`';
        }
    }
    '\\'
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// What stands before the continuation at a line's end, if there is one.
fn continues(line: &str, escape: char) -> Option<&str> {
    line.trim_end().strip_suffix(escape)
}

/// The words that end the here-documents of an instruction.
fn heredocs(rest: &str) -> Vec<String> {
    let name = |word: &str| {
        let name = word.strip_prefix("<<")?;
        let name = name.strip_prefix('-').unwrap_or(name).trim_matches(['"', '\'']);
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
        is_name.then(|| name.to_owned())
    };
    rest.split_whitespace().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(usize, String, String)> {
        split(text).lines.into_iter().map(|line| (line.number, line.word, line.rest)).collect()
    }

    fn line(number: usize, word: &str, rest: &str) -> (usize, String, String) {
        (number, word.into(), rest.into())
    }

    #[test]
    fn comments_and_continuations_are_joined() {
        let text = "# comment\nfrom scratch\n\nCOPY a \\\n  # inside\n\n  b /c/\r\nENV A=1";
        assert_eq!(words(text), [line(2, "FROM", "scratch"), line(4, "COPY", "a   b /c/"), line(8, "ENV", "A=1")]);
    }

    #[test]
    fn another_escape_leaves_backslashes_alone() {
        let text = "# escape=`\nCOPY a `\n b C:\\\nENV A=1";
        assert_eq!(words(text), [line(2, "COPY", "a  b C:\\"), line(4, "ENV", "A=1")]);
    }

    #[test]
    fn a_here_document_is_no_instruction() {
        let text = "RUN <<EOF\napt-get update\nEOF\nCMD [\"x\"]";
        let lines = split(text).lines;
        assert!(lines[0].has_heredoc);
        assert_eq!((lines[1].number, lines[1].word.as_str()), (4, "CMD"));
    }

    #[test]
    fn a_continuation_at_the_end_ends_with_the_file() {
        assert_eq!(words("COPY a \\"), [line(1, "COPY", "a")]);
    }
}
