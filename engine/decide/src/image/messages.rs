//! What people are told about images.

use super::State;
use crate::request::{Request, Response};

/// What a finished stream says from then on.
pub(super) fn last_word(state: &State) -> String {
    let last = state.requests.iter().last().and_then(Request::response);
    match last {
        None => "nothing is asked for yet".into(),
        Some(Response::Met { outputs }) => match outputs.get("image").and_then(|image| image.as_str()) {
            Some(image) => format!("{image} is in the registry"),
            None => format!("built {}", outputs["digest"].as_str().unwrap_or("the image")),
        },
        Some(Response::Superseded { because } | Response::Failed { because, .. }) => because.clone(),
    }
}
