//! `bespin take` and `bespin give`: the running server is asked, and follows
//! the application until it has changed hands.

use crate::data_folder::Whose;
use api::control;
use clap::Args;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::io::InspectWriter;

/// An application by its name, and how long it is followed.
#[derive(Args)]
pub struct Named {
    #[command(flatten)]
    server: Whose,
    /// `name`, `namespace/name` or `cluster/namespace/name`, as the dashboard shows it.
    name: String,
    /// How long to wait until it has changed hands, such as `90s` or `1h`. The request stands after that, too.
    #[arg(long, default_value = "10m", value_parser = span)]
    timeout: Duration,
}

/// Takes an application over from the controller that owns it.
///
/// # Errors
/// No server runs, there is no such application, or it did not change hands in time.
pub async fn take(named: &Named) -> Result<(), String> {
    ask(named, "take").await
}

/// Gives an application back.
///
/// # Errors
/// As [`take`].
pub async fn give(named: &Named) -> Result<(), String> {
    ask(named, "give").await
}

async fn ask(named: &Named, verb: &str) -> Result<(), String> {
    let Named { server, name, timeout } = named;
    let data = server.data()?;
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-./_".contains(c)) {
        return Err(format!("`{name}` names no application; names have letters, digits, `-` and `.`"));
    }
    let stands = AtomicBool::new(false);
    // The server answers at all once the request is recorded.
    let mut out = InspectWriter::new(tokio::io::stdout(), |_| stands.store(true, Ordering::Relaxed));
    let path = format!("/apps/{verb}/{name}");
    let ended = tokio::select! {
        asked = control::ask(&data, &path, &mut out) => return asked,
        () = tokio::time::sleep(*timeout) => format!("{name} has not changed hands within {timeout:?}"),
        _ = tokio::signal::ctrl_c() => "stopped waiting".to_owned(),
    };
    Err(left(&ended, verb, name, stands.load(Ordering::Relaxed)))
}

/// What is told to somebody who waits no longer.
fn left(ended: &str, verb: &str, name: &str, stands: bool) -> String {
    if !stands {
        return format!("{ended}; the server has not answered, so that nothing may be recorded: ask again");
    }
    let back = if verb == "take" { "give" } else { "take" };
    format!(
        "{ended}; the request stands, and the server goes on with it. `bespin {verb} {name}` follows it again, \
         `bespin {back} {name}` is the way back"
    )
}

fn span(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    span.try_into().map_err(|_| "a span of time is not negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_waiting_is_told_whether_the_request_stands() {
        let told = left("stopped waiting", "take", "argocd/petclinic", true);
        assert!(told.contains("the request stands") && told.contains("`bespin give argocd/petclinic`"), "{told}");
        assert!(left("stopped waiting", "give", "petclinic", false).contains("nothing may be recorded"));
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("1h"), Ok(Duration::from_secs(3600)));
        assert!(span("soon").is_err() && span("-1s").is_err());
    }
}
