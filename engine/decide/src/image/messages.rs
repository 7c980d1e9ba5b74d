//! What people are told about images.

use super::State;
use crate::request::Response;

/// What a finished stream says from then on.
pub(super) fn last_word(state: &State) -> String {
    let last = state.wants.last().and_then(|(key, _)| state.answers.get(key));
    match last {
        None => "nothing is wanted yet".into(),
        Some(Response::Met { outputs }) => match outputs.get("image").and_then(|image| image.as_str()) {
            Some(image) => format!("{image} is in the registry"),
            None => format!("built {}", outputs["digest"].as_str().unwrap_or("the image")),
        },
        Some(Response::Superseded { because } | Response::Failed { because, .. }) => because.clone(),
    }
}
