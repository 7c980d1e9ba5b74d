//! Announces the newest section of a change log, with a token that the plugin never sees.

use bespin_sdk::http::{Header, Request};
use bespin_sdk::secrets::Part;
use bespin_sdk::{Deserialize, Failure, Outputs, Result, Serialize, http, info, reject, secrets, workspace};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// The change log.
    #[serde(default = "change_log")]
    file: String,
    /// Where it is announced.
    to: String,
    /// The name of the token for that.
    secret: String,
}

/// What is announced.
#[derive(Serialize)]
struct Release<'a> {
    version: &'a str,
    notes: &'a str,
}

fn change_log() -> String {
    "CHANGELOG.md".to_owned()
}

fn run(settings: Settings) -> Result<Outputs> {
    let Settings { file, to, secret } = settings;
    let log = String::from_utf8_lossy(&workspace::read(&file)?).into_owned();
    let Some(release) = newest(&log) else {
        reject!("{file} has no section: a line that begins with `## `");
    };
    info!("announcing {}", release.version);
    let text = |text: &str| Part::Text(text.to_owned());
    let token = secrets::get(&secret)?;
    let headers = vec![
        Header { name: "authorization".to_owned(), value: vec![text("Bearer "), Part::Secret(&token)] },
        Header { name: "content-type".to_owned(), value: vec![text("application/json")] },
    ];
    let body = bespin_sdk::json(&release)?;
    let answer = http::send(&Request { method: "POST".to_owned(), url: vec![text(&to)], headers, body })?;
    match answer.status {
        200..=299 => {}
        429 | 500.. => return Err(Failure::Transient(format!("{to} answered {}", answer.status))),
        status => reject!("{to} answered {status}"),
    }
    let lines = release.notes.lines().count().to_string();
    Ok(Outputs::new().with("version", release.version).with("lines", lines))
}

fn newest(log: &str) -> Option<Release<'_>> {
    let section = log.strip_prefix("## ").or_else(|| log.split_once("\n## ").map(|(_, section)| section))?;
    let section = section.split("\n## ").next()?;
    let (title, notes) = section.split_once('\n').unwrap_or((section, ""));
    Some(Release { version: title.split(' ').next()?, notes: notes.trim() })
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
