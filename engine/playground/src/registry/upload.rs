//! Blobs on their way in: streamed to a file, and admitted when their digest is right.

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::protocol::{answer, is_name, refused};
use super::store::{Digest, Storage};
use crate::serve::{Body, BoxError};

/// The longest blob, in bytes.
const LONGEST: u64 = 4 << 30;

/// Begins an upload; or mounts a blob, or takes it whole, where the query says so.
pub(super) async fn begin(store: &Storage, name: &str, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
    let query = query(&request);
    if let Some(digest) = query("mount").as_deref().and_then(Digest::parse)
        && let Some(from) = query("from").filter(|from| is_name(from))
        && store.holds(&from, &digest).await
    {
        store.link(name, &digest).await?;
        return done(name, &digest);
    }
    let id = format!("{:032x}", rand::random::<u128>());
    File::create(store.upload(&id)).await?;
    if query("digest").is_some() {
        return finish(store, name, &id, request).await;
    }
    Ok(answer(StatusCode::ACCEPTED).header("location", location(name, &id)).header("range", "0-0").body(empty())?)
}

/// Appends the request's body to an upload (PATCH), and answers how much of it is there.
pub(super) async fn append(
    store: &Storage,
    name: &str,
    id: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, BoxError> {
    let Some(length) = receive(store, id, request).await? else { return Ok(unknown()) };
    let range = format!("0-{}", length.saturating_sub(1));
    Ok(answer(StatusCode::ACCEPTED).header("location", location(name, id)).header("range", range).body(empty())?)
}

/// Takes the last chunk, and admits the blob if its digest is what was said.
pub(super) async fn finish(
    store: &Storage,
    name: &str,
    id: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, BoxError> {
    let said = query(&request)("digest");
    let Some(digest) = said.as_deref().and_then(Digest::parse) else {
        return Ok(refused(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the query names no sha256 digest"));
    };
    if receive(store, id, request).await?.is_none() {
        return Ok(unknown());
    }
    let path = store.upload(id);
    if hash(&path).await? != digest {
        tokio::fs::remove_file(&path).await?;
        return Ok(refused(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the content has another digest"));
    }
    store.finish(name, &path, &digest).await?;
    done(name, &digest)
}

/// Appends a body to an upload; its whole length so far, or `None` for an upload that is not there.
async fn receive(store: &Storage, id: &str, request: Request<Incoming>) -> Result<Option<u64>, BoxError> {
    let Ok(mut file) = OpenOptions::new().append(true).open(store.upload(id)).await else { return Ok(None) };
    let mut length = file.metadata().await?.len();
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len() as u64;
        if length > LONGEST {
            return Err("the blob is too long".into());
        }
        file.write_all(&data).await?;
    }
    file.flush().await?;
    Ok(Some(length))
}

async fn hash(path: &std::path::Path) -> std::io::Result<Digest> {
    let mut file = File::open(path).await?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            let text = format!("sha256:{}", hex::encode(hasher.finalize()));
            return Digest::parse(&text).ok_or_else(|| std::io::Error::other("a digest is a digest"));
        }
        hasher.update(&buffer[..read]);
    }
}

fn done(name: &str, digest: &Digest) -> Result<Response<Body>, BoxError> {
    let location = format!("/v2/{name}/blobs/{}", digest.as_str());
    let response = answer(StatusCode::CREATED).header("location", location);
    Ok(response.header("docker-content-digest", digest.as_str()).body(empty())?)
}

fn query(request: &Request<Incoming>) -> impl Fn(&str) -> Option<String> + use<> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    move |wanted| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    }
}

fn location(name: &str, id: &str) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

fn unknown() -> Response<Body> {
    refused(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
}

fn empty() -> Body {
    crate::serve::full("")
}
