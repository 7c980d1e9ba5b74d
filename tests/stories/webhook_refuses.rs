//! What the webhooks' listener answers to strangers, to mistakes and to repeats; none of it leaves anything behind.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use world::estate::{Estate, HOOK_SECRET, Kind};

const BEFORE: &str = "1111111111111111111111111111111111111111";
const AFTER: &str = "2222222222222222222222222222222222222222";
/// The most bytes of one body.
const LARGEST: usize = 25 * 1024 * 1024;

/// A delivery that is well-formed until a row of the story spoils it.
#[derive(Clone)]
struct Delivery {
    hook: &'static str,
    event: &'static str,
    id: String,
    secret: Option<&'static str>,
    body: Vec<u8>,
}

impl Delivery {
    fn push(id: &str, reference: &str, before: &str, after: &str) -> Delivery {
        let body = json!({
            "ref": reference, "before": before, "after": after,
            "created": false, "deleted": false, "forced": false,
            "repository": { "full_name": "user/petclinic" },
            "pusher": { "name": "developer" }, "commits": [],
        });
        let body = body.to_string().into_bytes();
        Delivery { hook: "/default", event: "push", id: id.into(), secret: Some(HOOK_SECRET), body }
    }

    async fn send(&self, hooks: &str) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut request = client
            .post(format!("{hooks}/hooks/github{}", self.hook))
            .header("content-type", "application/json")
            .header("x-github-event", self.event)
            .header("x-github-delivery", &self.id);
        if let Some(secret) = self.secret {
            request = request.header("x-hub-signature-256", signature(secret, &self.body));
        }
        let answer = request.body(self.body.clone()).send().await.expect("the listener answers");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_status_that_each_deserves() {
    let mut estate = Estate::start(Kind::Embedded, "1s").await;
    let hooks = estate.bespin.hooks.clone();
    let good = |id: &str| Delivery::push(id, "refs/heads/elsewhere", BEFORE, AFTER);
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8(good("x").body).expect("it is JSON");
        text.replace(from, to).into_bytes()
    };

    let rows = [
        ("an unknown hook", Delivery { hook: "/nobody", ..good("r1") }, 404, "no hook"),
        ("no signature", Delivery { secret: None, ..good("r2") }, 401, "is missing"),
        ("a wrong signature", Delivery { secret: Some("guessed"), ..good("r3") }, 401, "not by a secret"),
        (
            "another's repository",
            Delivery { body: replaced("user/petclinic", "user/other"), ..good("r4") },
            403,
            "user/other",
        ),
        ("no JSON", Delivery { body: b"{\"ref\":".to_vec(), ..good("r5") }, 400, ""),
        ("no list", Delivery { body: b"[]".to_vec(), ..good("r6") }, 400, ""),
        ("a short commit", Delivery { body: replaced(AFTER, "2222"), ..good("r7") }, 400, "/after"),
        ("a path for a reference", Delivery { body: replaced("refs/heads/", "../"), ..good("r8") }, 400, "/ref"),
        ("an unknown event", Delivery { event: "star", ..good("r9") }, 202, "`star`"),
        ("a ping", Delivery { event: "ping", body: b"{\"zen\":\"-\"}".to_vec(), ..good("r10") }, 202, "ping"),
        ("an id that is a path", Delivery { id: "../../etc".into(), ..good("r11") }, 400, ""),
    ];
    for (what, delivery, status, because) in rows {
        let (got, answer) = delivery.send(&hooks).await;
        assert_eq!(got, status, "{what}: {answer}");
        let told = answer["because"].as_str().unwrap_or_default();
        assert!(!told.is_empty() && told.contains(because), "{what}: {answer}");
        assert_ne!(answer["answer"], "accepted", "{what}: {answer}");
    }
    assert_eq!(oversized(&hooks).await, 413);
    let busy = busy(&hooks).await;
    assert!(busy.contains(&503), "bodies in flight share one budget: {busy:?}");
    let declared = [held(&hooks, LARGEST).await, held(&hooks, LARGEST).await, held(&hooks, LARGEST).await];
    let ping = Delivery { event: "ping", body: b"{\"zen\":\"-\"}".to_vec(), ..good("r12") };
    assert_eq!(ping.send(&hooks).await.0, 202, "a body that is only declared keeps nobody out");
    drop(declared);
    assert!(estate.bespin.journal("delivery/").is_empty(), "nothing of all this was recorded");

    a_good_one_is_recorded_once(&mut estate, good("good")).await;
}

/// The same delivery counts once, also after a restart, and the bare path is the hook `default`.
async fn a_good_one_is_recorded_once(estate: &mut Estate, good: Delivery) {
    let (status, answer) = good.send(&estate.bespin.hooks).await;
    assert_eq!((status, &answer["answer"]), (202, &json!("accepted")), "{answer}");
    let bare = Delivery { hook: "", ..good.clone() };
    let (status, answer) = bare.send(&estate.bespin.hooks).await;
    assert_eq!((status, &answer["answer"]), (202, &json!("duplicate")), "{answer}");
    estate.restart(&[]).await;
    let (status, answer) = good.send(&estate.bespin.hooks).await;
    assert_eq!((status, &answer["answer"]), (202, &json!("duplicate")), "durable before the 202: {answer}");
    let received = estate.bespin.journal("delivery/");
    let received = received.iter().filter(|entry| entry["kind"] == "received");
    assert_eq!(received.count(), 1);
}

/// A body that says it is too long is refused before it is sent.
async fn oversized(hooks: &str) -> u16 {
    let mut stream = held(hooks, LARGEST + 1).await;
    status(&mut stream).await
}

/// More bodies than one sender may hold, all but their last byte: the statuses.
async fn busy(hooks: &str) -> Vec<u16> {
    let body = vec![b' '; LARGEST - 1];
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = held(hooks, LARGEST).await;
        // One that is refused is closed before all of it was sent.
        let _refused = stream.write_all(&body).await;
        streams.push(stream);
    }
    let statuses = streams.iter_mut().map(status);
    // Those that wait for their body are answered 408 in the end.
    futures::future::join_all(statuses).await
}

/// Sends the head of a delivery and no body.
async fn held(hooks: &str, length: usize) -> TcpStream {
    let address = hooks.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("the listener is open");
    let head = format!(
        "POST /hooks/github/default HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         x-github-event: push\r\nx-github-delivery: held\r\nx-hub-signature-256: {}\r\ncontent-length: {length}\r\n\r\n",
        signature(HOOK_SECRET, b"")
    );
    stream.write_all(head.as_bytes()).await.expect("the head is read");
    stream
}

async fn status(stream: &mut TcpStream) -> u16 {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("there is an answer");
    let text = String::from_utf8_lossy(&start).into_owned();
    text.rsplit(' ').next().and_then(|status| status.parse().ok()).unwrap_or_default()
}
