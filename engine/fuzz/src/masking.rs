//! Masking: a secret is not shown, however the text around it is cut into pieces and lines.

use super::*;

/// Looks at bytes as a secret, a NUL, and a text.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((secret, text)) = text.split_once('\0') else { return };
    // What is shown in place of a secret may be a secret itself; and this is not the place for long ones.
    if secret.contains('*') || secret.len() > 200 {
        return;
    }
    let masker = Masker::new([secret]);
    let hidden = secret.trim();
    let is_told = |shown: &str| !hidden.is_empty() && shown.contains(hidden);
    let whole = masker.mask(text);
    assert!(!is_told(&whole), "{hidden:?} in {whole:?}");
    if hidden.is_empty() {
        assert_eq!(whole, text);
    }
    assert!(!is_told(&masker.mask_cut(text)));
    for size in [1, 3, 16] {
        let shown = in_pieces(&masker, text, size);
        assert!(!is_told(&shown), "{hidden:?} in {shown:?}, by pieces of {size}");
        if whole == text && !text.contains(['\n', '\r']) {
            assert_eq!(shown, text, "by pieces of {size}");
        }
    }
}

/// What is shown of a text that comes in pieces of so many characters.
fn in_pieces(masker: &Masker, text: &str, size: usize) -> String {
    let (mut masked, mut shown) = (MaskedText::default(), String::new());
    let chars: Vec<char> = text.chars().collect();
    for piece in chars.chunks(size) {
        shown += &masked.push(masker, &piece.iter().collect::<String>(), PieceEnd::Open);
    }
    shown += &masked.finish(masker);
    assert!(masked.is_idle());
    shown
}
