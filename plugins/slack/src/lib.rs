//! Posts a message to Slack, by an incoming webhook whose address is a secret that the plugin never sees.

use bespin_sdk::http::{Header, Request};
use bespin_sdk::secrets::Part;
use bespin_sdk::{Deserialize, Failure, Outputs, Result, Serialize, Text, http, reject, secrets};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// The message.
    text: Text,
    /// The name of the secret that is the webhook's address.
    #[serde(default = "webhook")]
    secret: String,
    /// Another channel than the webhook's own, where the webhook may choose.
    channel: Option<String>,
}

/// What the webhook takes.
#[derive(Serialize)]
struct Message {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
}

fn webhook() -> String {
    "slack-webhook".to_owned()
}

fn run(settings: Settings) -> Result<Outputs> {
    let message = Message { text: settings.text.0, channel: settings.channel };
    let body = bespin_sdk::json(&message)?;
    let address = secrets::get(&settings.secret)?;
    let json = Header { name: "content-type".to_owned(), value: vec![Part::Text("application/json".to_owned())] };
    let url = vec![Part::Secret(&address)];
    let answer = http::send(&Request { method: "POST".to_owned(), url, headers: vec![json], body })?;
    match answer.status {
        200..=299 => Ok(Outputs::new()),
        429 | 500..=599 => Err(Failure::Transient(format!("Slack answered {}", answer.status))),
        status => reject!("Slack answered {status}: {}", String::from_utf8_lossy(&answer.body)),
    }
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
