//! Where mistakes stand: always within the file that they are of.

use pipeline::Mistake;

/// Demands that each mistake names a line that is there, as it stands, and a part of it; and that it can be shown.
pub(crate) fn are_within(text: &str, mistakes: &[Mistake]) {
    for mistake in mistakes {
        let line = text.split('\n').nth(mistake.line - 1);
        let line = line.unwrap_or_else(|| panic!("line {} is none of the file: {mistake:?}", mistake.line));
        assert_eq!(mistake.source_line, line.trim_end_matches('\r'), "{mistake:?}");
        let length = line.chars().count();
        assert!((1..=length + 1).contains(&mistake.column), "{mistake:?}");
        let end = mistake.column - 1 + mistake.length;
        assert!(mistake.length > 0 && end <= length.max(mistake.column), "{mistake:?}");
        let shown = mistake.to_string();
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "a terminal would obey {shown:?}");
        assert!(!mistake.message.is_empty() && !mistake.help.is_empty(), "{mistake:?}");
    }
    assert!(mistakes.is_sorted_by_key(|mistake| (mistake.line, mistake.column)), "{mistakes:?}");
}
