//! The dashboard's API, as a person's browser uses it.

use super::process::ANSWER;
use serde_json::{Value, json};

/// The operator in the stories' configurations.
pub const USER: &str = "ann";
/// Her password.
pub const PASSWORD: &str = "correct horse battery staple";

/// A person who is logged in.
pub struct Dashboard {
    url: String,
    client: reqwest::Client,
    cookie: String,
    csrf: String,
}

impl Dashboard {
    /// Logs the operator in.
    pub async fn login(url: &str) -> Dashboard {
        Dashboard::login_as(url, USER).await
    }

    /// Logs somebody in whose password is the operator's.
    pub async fn login_as(url: &str, name: &str) -> Dashboard {
        Dashboard::open(url, name).await.unwrap_or_else(|error| panic!("logging in at {url}: {error}"))
    }

    /// Logs the operator in at a server that may be dying.
    ///
    /// # Errors
    /// There was no whole answer.
    pub async fn try_login(url: &str) -> Result<Dashboard, reqwest::Error> {
        Dashboard::open(url, USER).await
    }

    async fn open(url: &str, name: &str) -> Result<Dashboard, reqwest::Error> {
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build().expect("a client");
        let request = client.post(format!("{url}/api/v1/login")).json(&json!({ "name": name, "password": PASSWORD }));
        let answer = request.send().await?;
        assert!(answer.status().is_success(), "logging in: {}", answer.status());
        let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie is text");
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let session: Value = answer.json().await?;
        let csrf = session["csrf"].as_str().expect("the session has a CSRF token").to_owned();
        Ok(Dashboard { url: url.to_owned(), client, cookie, csrf })
    }

    /// Reads a page's data; `Null` where there is none.
    pub async fn get(&self, path: &str) -> Value {
        self.try_get(path).await.unwrap_or_else(|error| panic!("reading {path}: {error}"))
    }

    /// The same of a server that may be dying.
    ///
    /// # Errors
    /// There was no whole answer.
    pub async fn try_get(&self, path: &str) -> Result<Value, reqwest::Error> {
        let request = self.client.get(format!("{}/api/v1/{path}", self.url)).header("cookie", &self.cookie);
        let answer = request.send().await?;
        if answer.status().is_success() { answer.json().await } else { Ok(Value::Null) }
    }

    /// Presses a button; answers the status and what came back.
    pub async fn press(&self, path: &str) -> (u16, String) {
        let request = self.client.post(format!("{}/api/v1/{path}", self.url)).header("cookie", &self.cookie);
        let answer = request.header("x-bespin-csrf", &self.csrf).send().await.expect("the dashboard answers");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }

    /// Sends a form; answers the status and what came back.
    pub async fn send(&self, path: &str, form: &Value) -> (u16, String) {
        let request = self.client.post(format!("{}/api/v1/{path}", self.url)).header("cookie", &self.cookie);
        let request = request.header("x-bespin-csrf", &self.csrf).json(form);
        let answer = request.send().await.expect("the dashboard answers");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }
}
