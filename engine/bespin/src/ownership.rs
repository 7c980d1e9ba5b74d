//! `bespin take` and `bespin give`: the running server is asked, and follows
//! the application until it has changed hands.

use crate::cli::WithConfig;
use api::control;

/// Takes an application over from the controller that owns it.
///
/// # Errors
/// No server runs, or there is no such application.
pub async fn take(config: &WithConfig, name: &str) -> Result<(), String> {
    ask(config, "take", name).await
}

/// Gives an application back.
///
/// # Errors
/// As [`take`].
pub async fn give(config: &WithConfig, name: &str) -> Result<(), String> {
    ask(config, "give", name).await
}

async fn ask(config: &WithConfig, verb: &str, name: &str) -> Result<(), String> {
    let config = config.load().map_err(|mistakes| mistakes.to_string())?;
    let full = match (name.split('/').count(), config.cluster.as_slice()) {
        (3, _) => name.to_owned(),
        (2, [only]) => format!("{}/{name}", only.name),
        (2, _) => return Err(format!("there are {} clusters; write cluster/{name}", config.cluster.len())),
        _ => return Err(format!("`{name}` is not namespace/name")),
    };
    control::ask(&config.server.data, &format!("/apps/{verb}/{full}"), &mut tokio::io::stdout()).await
}
