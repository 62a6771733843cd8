//! REST endpoints: chain answers them; nothing here needs a credential.

use bulkhead_schema::decode;

use crate::door::Door;
use crate::http::parse::Request;
use crate::http::reply::Reply;

/// Longest accepted name of a content type.
const MAX_TYPE_BYTES: usize = 128;

/// Answers a request below `/rest/`.
pub async fn answer(door: &Door, request: &Request) -> Reply {
    if let Err(error) = door.warmup.check() {
        return Reply::typed(503, "text/plain", format!("Service temporarily unavailable: {}\r\n", error.message).into_bytes());
    }
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    match ask(door, path, query, &request.body).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::warn!("REST request failed: {error}");
            Reply::typed(503, "text/plain", b"Service temporarily unavailable\r\n".to_vec())
        }
    }
}

/// Why chain's answer cannot be passed on.
#[derive(Debug, thiserror::Error)]
enum RestError {
    #[error(transparent)]
    Gone(#[from] bulkhead_link::LinkError),
    #[error(transparent)]
    Call(#[from] capnp::Error),
    #[error(transparent)]
    Decode(#[from] decode::DecodeError),
    #[error("content type with control characters")]
    ContentType,
}

async fn ask(door: &Door, path: &str, query: &str, body: &[u8]) -> Result<Reply, RestError> {
    let mut call = door.owners.chain.get()?.rest_request();
    call.get().set_path(path);
    call.get().set_query(query);
    call.get().set_body(body);
    let response = call.send().promise.await?;
    let results = response.get()?;
    let content_type = decode::text("contentType", results.get_content_type()?, MAX_TYPE_BYTES)?;
    if content_type.contains(|letter: char| letter.is_ascii_control()) {
        return Err(RestError::ContentType);
    }
    Ok(Reply::typed(results.get_status(), content_type, results.get_body()?.to_vec()))
}
