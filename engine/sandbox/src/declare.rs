//! Writes what a plugin declares of itself into its component: for languages whose tools leave no custom section.

use crate::inspect::inspect;
use pipeline::declaration::{Declaration, SECTION};

/// How a component begins: four bytes of magic, and four of a version.
const HEADER: usize = 8;
/// The id of a custom section.
const CUSTOM: u8 = 0;

/// Writes a declaration into a component, in the place of the one that was written so before.
///
/// # Errors
/// The declaration has a mistake, or the bytes are no plugin.
pub fn declare(wasm: &[u8], declaration: &str) -> Result<Vec<u8>, String> {
    Declaration::read(declaration)?;
    inspect(wasm).map_err(|refused| refused.to_string())?;
    let mut component = wasm.get(..HEADER).unwrap_or_default().to_vec();
    let mut at = HEADER;
    while let Some((id, from, end)) = section_at(wasm, at) {
        if id != CUSTOM || !is_declaration(&wasm[from..end]) {
            component.extend_from_slice(&wasm[at..end]);
        }
        at = end;
    }
    let mut content = Vec::new();
    number(&mut content, SECTION.len());
    content.extend_from_slice(SECTION.as_bytes());
    content.extend_from_slice(declaration.as_bytes());
    component.push(CUSTOM);
    number(&mut component, content.len());
    component.extend_from_slice(&content);
    Ok(component)
}

/// Whether a custom section's content begins with the name of a declaration.
fn is_declaration(content: &[u8]) -> bool {
    let name = number_at(content, 0).and_then(|(length, from)| content.get(from..from.checked_add(length)?));
    name == Some(SECTION.as_bytes())
}

/// The section that begins at a byte: its id, and where its content begins and ends.
fn section_at(wasm: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let id = *wasm.get(at)?;
    let (length, from) = number_at(wasm, at + 1)?;
    let end = from.checked_add(length).filter(|end| *end <= wasm.len())?;
    Some((id, from, end))
}

/// The number that stands at a byte, and where it ends. It may be written longer than it need be.
fn number_at(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let (mut from, mut number, mut shift) = (at, 0_usize, 0_u32);
    loop {
        let byte = *bytes.get(from)?;
        from += 1;
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some((number, from));
        }
    }
}

/// Appends a number as WebAssembly writes it: seven bits in each byte, the lowest first.
fn number(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let seven = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(seven);
            return;
        }
        bytes.push(seven | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for length in [0_usize, 1, 127, 128, 16_383, 16_384, 70_000] {
            let mut wasm = vec![CUSTOM];
            number(&mut wasm, length);
            let from = wasm.len();
            wasm.resize(from + length, b'x');
            assert_eq!(section_at(&wasm, 0), Some((CUSTOM, from, from + length)));
            assert!(section_at(&wasm[..wasm.len() - 1], 0).is_none(), "{length} bytes, cut");
        }
    }
}
