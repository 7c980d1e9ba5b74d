//! What a component declares of itself, in the custom section `bespin:settings`, read without compiling it.

use pipeline::declaration::{Declared, SECTION};
use wasmparser::{Parser, Payload};

/// What a component declares of itself.
pub fn declared(wasm: &[u8]) -> Declared {
    Declared::of(section(wasm))
}

/// The section of the component, or else of a core module within it: there a linker of a language leaves it.
fn section(wasm: &[u8]) -> Option<&[u8]> {
    let (mut own, mut inner, mut depth) = (None, None, 0_u32);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::CustomSection(section)) if section.name() == SECTION => {
                let place = if depth == 0 { &mut own } else { &mut inner };
                place.get_or_insert(section.data());
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    own.or(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found_in_a_core_module_and_the_components_own_counts_more() {
        let module = r#"(core module (@custom "bespin:settings" "{\"settings\":{\"type\":\"object\"}}"))"#;
        let inner = wat::parse_str(format!("(component {module})")).unwrap();
        assert!(declared(&inner).known().is_some(), "{:?}", declared(&inner));
        let both = format!(r#"(component {module} (@custom "bespin:settings" "none"))"#);
        let both = wat::parse_str(both).unwrap();
        assert!(matches!(declared(&both), Declared::Unchecked { because } if because.contains("cannot be read")));
        let none = wat::parse_str("(component)").unwrap();
        assert_eq!(declared(&none), Declared::Unchecked { because: "it declares none".to_owned() });
        assert_eq!(declared(b"\0asm"), declared(&none));
    }
}
