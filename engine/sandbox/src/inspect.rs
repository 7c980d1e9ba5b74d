//! What a component asks for, read out of the file: nothing is compiled, nothing is run.
//!
//! A component's import list is its request for permissions. Here the list is read
//! with the parser that the engine uses, after the whole file was validated,
//! and put into words for whoever has to decide about them.

use sha2::{Digest, Sha256};
use std::fmt;
use wasmparser::{Parser, Payload, Validator};

use crate::declared::declared;
use crate::plugin::{OFFERED, PACKAGE};
use crate::worlds::World;
use pipeline::declaration::Declared;
use pipeline::permission::Ability;

/// No byte in particular is wrong.
const NOWHERE: Option<u64> = None;

/// The longest file that is read, in bytes; as [`crate::Settings::component_bytes`] has it by default.
pub const LONGEST: u64 = 64 << 20;

/// What a component is and asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The SHA-256 of the component, as `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The length of the component, in bytes.
    pub size: u64,
    /// The world that it is a component of.
    pub world: World,
    /// The version of `bespin:plugin` that it was built against.
    pub contract: String,
    /// What it asks for, in the order of [`Ability::ALL`].
    pub asks: Vec<Ability>,
    /// The interfaces that it exports, by their full names.
    pub exports: Vec<String>,
    /// The interfaces of WASI that its language's runtime starts with; the host's are empty.
    pub wasi: Vec<String>,
    /// What it declares of its settings and outputs.
    pub declared: Declared,
}

/// Why a file cannot be a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedComponent {
    /// The first byte that is wrong, counted from 0, where there is one.
    pub at: Option<u64>,
    /// What is wrong, as a sentence's part that begins with `it`.
    pub because: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for RefusedComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "byte {at}: ")?;
        }
        write!(f, "{}; {}", self.because, self.help)
    }
}

impl std::error::Error for RefusedComponent {}

/// Reads a component without compiling or running it.
///
/// # Errors
/// It is too long, truncated, damaged, no component, of another world, or asks for what no plugin can have.
pub fn inspect(wasm: &[u8]) -> Result<Inspected, RefusedComponent> {
    let size = wasm.len() as u64;
    if size > LONGEST {
        return Err(too_long(size));
    }
    if !wasm.starts_with(b"\0asm") {
        return Err(refused(Some(0), "it is no WebAssembly file", "name the `.wasm` that the build made"));
    }
    if Parser::is_core_wasm(wasm) {
        let help = "build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`";
        return Err(refused(NOWHERE, "it is a core module, and a plugin is a component", help));
    }
    if let Err(error) = Validator::new().validate_all(wasm) {
        let because = format!("it is truncated or damaged: {}", error.message());
        return Err(refused(Some(error.offset()), &because, "build it again, or fetch it again"));
    }
    let names = names(wasm).map_err(|error| refused(Some(error.offset()), error.message(), "build it again"))?;
    let (world, contract) = world(&names)?;
    let (asks, wasi) = asks(&names.imports, world)?;
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(wasm)));
    let declared = declared(wasm);
    Ok(Inspected { digest, size, world, contract, asks, exports: names.exports, wasi, declared })
}

/// What is said of a file that is longer than [`LONGEST`], without reading it.
pub fn too_long(size: u64) -> RefusedComponent {
    let because = format!("it has {size} bytes, and a plugin has {LONGEST} at most");
    refused(NOWHERE, &because, "leave debugging information out (`strip = true`)")
}

/// The outermost component's names.
#[derive(Default)]
struct ImportNames {
    imports: Vec<String>,
    exports: Vec<String>,
}

fn names(wasm: &[u8]) -> wasmparser::Result<ImportNames> {
    let (mut names, mut depth) = (ImportNames::default(), 0_u32);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    names.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// Which world the exports are of, and the version of the contract.
fn world(names: &ImportNames) -> Result<(World, String), RefusedComponent> {
    let exported = |world: &World| {
        let guest = format!("{PACKAGE}{}@", world.guest());
        names.exports.iter().any(|name| name.starts_with(&guest))
    };
    let worlds: Vec<_> = World::ALL.into_iter().filter(exported).collect();
    let [world] = worlds[..] else {
        let exports = if names.exports.is_empty() { "nothing".to_owned() } else { names.exports.join(", ") };
        let because = match worlds[..] {
            [] => format!("it is of another world: it exports {exports}"),
            _ => format!("it is of several worlds: it exports {exports}"),
        };
        let guests = World::ALL.map(|world| format!("{} (the world `{world}`)", world.guest())).join(", ");
        return Err(refused(NOWHERE, &because, &format!("a plugin exports one of {PACKAGE}.. : {guests}")));
    };
    let all = names.imports.iter().chain(&names.exports);
    let mut versions: Vec<_> = all.filter_map(|name| version(name)).collect();
    versions.sort_by_key(|version| numbers(version));
    let foreign = versions.iter().find(|version| numbers(version)[0] != numbers(OFFERED)[0]);
    if let Some(foreign) = foreign {
        let because = format!("it was built against version {foreign} of {PACKAGE}");
        let help = format!("this version of Bespin offers {OFFERED}: build it against that");
        return Err(refused(NOWHERE, because.trim_end_matches('/'), &help));
    }
    Ok((world, versions.last().map_or_else(String::new, |newest| (*newest).to_owned())))
}

fn version(name: &str) -> Option<&str> {
    Some(name.strip_prefix(PACKAGE)?.split_once('@')?.1)
}

/// A version's numbers, to compare; what is no number counts as the highest.
fn numbers(version: &str) -> [u64; 3] {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(u64::MAX));
    [parts.next(), parts.next(), parts.next()].map(|part| part.unwrap_or(0))
}

fn asks(imports: &[String], world: World) -> Result<(Vec<Ability>, Vec<String>), RefusedComponent> {
    let (mut asks, mut wasi) = (Vec::new(), Vec::new());
    for import in imports {
        let Some(interface) = import.strip_prefix(PACKAGE) else {
            if !import.starts_with("wasi:") {
                let because = format!("it imports `{import}`, which no plugin can have");
                let help = format!("a plugin imports interfaces of {PACKAGE}.. and of WASI");
                return Err(refused(NOWHERE, &because, &help));
            }
            wasi.push(import.clone());
            continue;
        };
        let interface = interface.split_once('@').map_or(interface, |(interface, _)| interface);
        match Ability::named(interface) {
            Some(ability) if world.may_ask().contains(&ability) => asks.push(ability),
            Some(ability) => {
                let may = world.may_ask().iter().map(|ability| ability.name()).collect::<Vec<_>>().join(", ");
                let because = format!("it asks for {ability}, which the world `{world}` does not have");
                return Err(refused(NOWHERE, &because, &format!("it may ask for {may}")));
            }
            // It has types and no functions: nothing is asked for.
            None if interface == "failures" => {}
            None => {
                let known = Ability::ALL.map(Ability::name).join(", ");
                let because = format!("it asks for `{import}`, which this version of Bespin does not offer");
                return Err(refused(NOWHERE, &because, &format!("there are {known}; a newer Bespin may have more")));
            }
        }
    }
    asks.sort();
    asks.dedup();
    Ok((asks, wasi))
}

fn refused(at: Option<impl TryInto<u64>>, because: &str, help: &str) -> RefusedComponent {
    let at = at.and_then(|at| at.try_into().ok());
    RefusedComponent { at, because: because.to_owned(), help: help.to_owned() }
}
