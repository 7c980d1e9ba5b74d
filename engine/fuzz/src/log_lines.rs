//! What a program prints becomes the same lines, however it comes in pieces and however long a line is.

use super::*;
use std::sync::Mutex;

/// Everything that was shown of one stream, a line feed after each line.
#[derive(Default)]
struct PrintedText(Mutex<String>);

impl LogSink for PrintedText {
    fn line(&self, _: Stream, text: &str) {
        self.part(Stream::Stdout, text);
        self.0.lock().expect("one thread").push('\n');
    }

    fn part(&self, _: Stream, text: &str) {
        self.0.lock().expect("one thread").push_str(text);
    }
}

/// Looks at bytes as the size of the pieces, how often the rest is printed, and what is printed.
pub(crate) fn check(bytes: &[u8]) {
    let [size, times, bytes @ ..] = bytes else { return };
    // Often enough that a line may be too long to be passed on at once.
    let bytes = bytes.repeat(1 + usize::from(*times) * 4);
    let size = match size {
        0 => 100_000,
        size => usize::from(*size),
    };
    let printed = PrintedText::default();
    let lines = Lines::new(&printed);
    bytes.chunks(size).for_each(|piece| lines.push(Stream::Stdout, piece));
    lines.finish();
    let printed = printed.0.into_inner().expect("one thread").replace('\r', "");
    let lines = bytes.split(|byte| *byte == b'\n').map(String::from_utf8_lossy);
    let mut expected = lines.collect::<Vec<_>>().join("\n").replace('\r', "");
    if !bytes.ends_with(b"\n") && printed.ends_with('\n') {
        // The last line has no end; it is given one, unless it went as a part.
        expected.push('\n');
    }
    assert!(printed == expected, "{} bytes in pieces of {size} are shown otherwise", bytes.len());
}
