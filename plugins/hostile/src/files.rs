//! Looks for what is outside: files, environment, arguments, input, and paths that leave the workspace.

use std::io::Read;

use bespin_sdk::{Failure, Outputs, Result, reject, workspace as files};

use crate::stolen;

pub(crate) fn environment() -> Result<Outputs> {
    match std::env::vars().next() {
        Some(_) => stolen(()),
        None => reject!("there is no environment"),
    }
}

pub(crate) fn arguments() -> Result<Outputs> {
    match std::env::args().next() {
        Some(_) => stolen(()),
        None => reject!("there are no arguments"),
    }
}

pub(crate) fn input() -> Result<Outputs> {
    let mut text = Vec::new();
    match std::io::stdin().read_to_end(&mut text) {
        Ok(read) if read > 0 => stolen(text),
        _ => reject!("there is no input"),
    }
}

pub(crate) fn read(path: &str) -> Result<Outputs> {
    match std::fs::read(path) {
        Ok(bytes) => stolen(bytes),
        Err(error) => reject!("no file: {error}"),
    }
}

pub(crate) fn list(path: &str) -> Result<Outputs> {
    match std::fs::read_dir(path) {
        Ok(names) => stolen(names),
        Err(error) => reject!("no folder: {error}"),
    }
}

pub(crate) fn write(path: &str) -> Result<Outputs> {
    match std::fs::write(path, "hostile") {
        Ok(()) => stolen(()),
        Err(error) => reject!("no file: {error}"),
    }
}

pub(crate) fn workspace(path: &str) -> Result<Outputs> {
    files::read(path).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn workspace_list(path: &str) -> Result<Outputs> {
    files::list(path).map_err(Failure::from).and_then(stolen)
}
