//! The law on circles: files of one crate that import each other, in however many steps, form one, and none may be
//! but the listed ones. A file imports what it names by a path that begins with `crate::` or `super::`.

use super::{code, engine};
use std::collections::{BTreeMap, BTreeSet};

/// The circles that are left, each by its crate, its files in alphabetical order, and why it stands. One that is gone
/// must leave the list.
const LEFT: &[(&str, &[&str], &str)] = &[
    (
        "decide",
        &["sync/application", "sync/generator"],
        "an Application's source may name a generator, which reads it as the Application is read",
    ),
    (
        "decide",
        &["sync/decide", "sync/operation", "sync/prune", "sync/requests"],
        "not opened yet: the acts stand beside the rules' order, and the rules make acts",
    ),
    (
        "sandbox",
        &["compiler", "engine"],
        "the engine's settings say who compiles, and who compiles is given those settings",
    ),
    (
        "sandbox",
        &["host", "host/secrets"],
        "the bindings that a macro makes name the type of a secret's handle, whose calls use the bindings",
    ),
];

/// A file by its module's path, such as `canary::spec`; the crate's root is the empty path.
type Module = Vec<String>;

#[test]
fn files_import_each_other_in_no_circle_but_the_listed_ones() {
    let found: BTreeSet<(String, Vec<String>)> = circles();
    let listed: BTreeSet<_> = LEFT
        .iter()
        .map(|(name, files, _)| ((*name).to_owned(), files.iter().map(|file| (*file).to_owned()).collect()))
        .collect();
    eprintln!("{} groups of files import each other", found.len());
    let new: Vec<_> = found.difference(&listed).collect();
    assert!(new.is_empty(), "these files import each other: move what both need to a file of its own: {new:#?}");
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(gone.is_empty(), "these circles are no more: take them out of the list: {gone:#?}");
    assert!(LEFT.iter().all(|(_, _, why)| why.split(' ').count() > 3), "each listed circle says why it stands");
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let file = |text: &str| text.to_owned();
    let crate_of = |files: [(&str, String); 4]| -> BTreeMap<Module, String> {
        files.into_iter().map(|(path, text)| (module(path), text)).collect()
    };
    let by_use = crate_of([
        ("lib.rs", file("mod a;\nmod b;\npub use a::A;\n")),
        ("a/mod.rs", file("use crate::{\n    b::{self, B},\n};\n")),
        ("a/c.rs", file("use super::A;\n")),
        ("b.rs", file("use crate::a::c::C;\n")),
    ]);
    assert_eq!(groups(&by_use), [["a", "a/c", "b"]]);
    let by_path = crate_of([
        ("lib.rs", file("")),
        ("a.rs", file("fn f() { super::b::g() }\n")),
        ("b.rs", file("fn g() { crate::a::f() }\n// use crate::c::X;\n")),
        ("c.rs", file("use crate::a::f;\n#[cfg(test)]\nmod tests { use crate::b; }\n")),
    ]);
    assert_eq!(groups(&by_path), [["a", "b"]]);
}

/// Every circle of every crate of the engine.
fn circles() -> BTreeSet<(String, Vec<String>)> {
    let mut crates: BTreeMap<String, BTreeMap<Module, String>> = BTreeMap::new();
    for (name, path, text) in engine() {
        crates.entry(name).or_default().insert(module(&path), text);
    }
    let named = |(name, files): (&String, &BTreeMap<Module, String>)| {
        groups(files).into_iter().map(|group| (name.clone(), group)).collect::<Vec<_>>()
    };
    crates.iter().flat_map(named).collect()
}

/// The module of a file, by its path below `src`.
fn module(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let mut parts: Module = path.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// The groups of files that reach each other, each as sorted paths.
fn groups(files: &BTreeMap<Module, String>) -> Vec<Vec<String>> {
    let imports: BTreeMap<&Module, BTreeSet<&Module>> = files
        .iter()
        .map(|(own, text)| {
            let named = paths(&code(text)).into_iter().filter_map(|path| target(files, own, &path));
            (own, named.filter(|other| *other != own).collect())
        })
        .collect();
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = files.keys().map(|own| (own, reach(&imports, own))).collect();
    let mut all: BTreeSet<Vec<String>> = BTreeSet::new();
    for own in files.keys() {
        let back = reached[own].iter().filter(|other| reached[**other].contains(own));
        let group: Vec<String> = back.map(|module| module.join("/")).collect();
        if group.len() > 1 {
            all.insert(group);
        }
    }
    all.into_iter().collect()
}

/// Every file that a file imports, by however many steps; itself too, when it is among them.
fn reach<'a>(imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>, from: &Module) -> BTreeSet<&'a Module> {
    let mut found: BTreeSet<&Module> = BTreeSet::new();
    let mut next: Vec<&Module> = imports[from].iter().copied().collect();
    while let Some(one) = next.pop() {
        if found.insert(one) {
            next.extend(imports[one].iter().copied());
        }
    }
    found
}

/// The file that holds what a path of a file names: that of the longest part of the path which is a module.
fn target<'a>(files: &'a BTreeMap<Module, String>, own: &Module, path: &str) -> Option<&'a Module> {
    let mut words = path.split("::").map(str::trim).peekable();
    let mut full = match words.next_if_eq(&"crate") {
        Some(_) => Module::new(),
        None => own.clone(),
    };
    while words.next_if_eq(&"super").is_some() {
        full.pop()?;
    }
    full.extend(words.map(str::to_owned));
    while !files.contains_key(&full) {
        full.pop()?;
    }
    files.get_key_value(&full).map(|(module, _)| module)
}

/// The paths in a file that begin with `crate` or `super`; those in braces one by one.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(is_word) {
                continue;
            }
            let head: String = code[at..].chars().take_while(|c| is_word(*c)).collect();
            match code[at + head.len()..].strip_prefix('{').filter(|_| head.ends_with("::")) {
                Some(rest) => _ = spread(&head, rest, &mut found),
                None => found.push(head),
            }
        }
    }
    found
}

/// Puts a head before each path in braces, down to the brace that closes them; answers what follows it.
fn spread<'a>(head: &str, mut rest: &'a str, found: &mut Vec<String>) -> &'a str {
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n']);
        if rest.is_empty() {
            return rest;
        }
        if let Some(after) = rest.strip_prefix('}') {
            return after;
        }
        let end = rest.find([',', '}', '{']).unwrap_or(rest.len());
        let word = rest[..end].trim();
        let path = format!("{head}{}", word.split(" as ").next().unwrap_or_default());
        rest = &rest[end..];
        match rest.strip_prefix('{') {
            Some(inner) => rest = spread(&path, inner, found),
            None => found.push(path.trim_end_matches("::self").to_owned()),
        }
    }
}
