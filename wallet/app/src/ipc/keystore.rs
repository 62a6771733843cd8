//! One key store per wallet: a thread that owns the blocking client, and a queue in front of it, so that the
//! event loop never waits.
//!
//! A key store that dies is started again through the supervisor; the wallet comes back locked. Requests
//! that change nothing when they are repeated are then sent once more, the rest fail with an error.

use super::supervisor::Supervisor;
use bulkhead_control::{ControlError, OpenKeystore};
use bulkhead_keystore_edge::{ClientError, KeystoreClient, Reply, Request};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// Why a key store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// It refused, or its stream failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The supervisor could not give us one.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The thread is gone.
    #[error("the key store of this wallet is closed")]
    Closed,
}

impl KeystoreError {
    /// RPC code and text.
    pub fn code_and_message(&self) -> (i32, String) {
        match self {
            KeystoreError::Client(error) => error.code_and_message(),
            KeystoreError::Control(ControlError::Refused { code, message }) => {
                (if *code == 0 { -4 } else { *code }, message.clone())
            }
            other => (-4, other.to_string()),
        }
    }
}

struct Job {
    request: Request,
    beside: Option<OwnedFd>,
    answer: oneshot::Sender<Result<Reply, KeystoreError>>,
}

/// Queue to one key store. When the last clone is dropped, the stream is closed and the key store ends.
#[derive(Clone)]
pub struct Keystore {
    jobs: Arc<Sender<Job>>,
}

fn repeatable(request: &Request) -> bool {
    matches!(request, Request::Records { .. } | Request::Write(_) | Request::Status | Request::Flush)
}

/// After these the key store is not needed any more.
fn ends(request: &Request) -> bool {
    matches!(request, Request::Close | Request::Discard)
}

/// Hands a second descriptor of a stream to the event loop, which watches for its end.
fn watch(streams: &UnboundedSender<OwnedFd>, stream: &OwnedFd) {
    match stream.try_clone() {
        // The event loop may be ending.
        Ok(copy) => drop(streams.send(copy)),
        Err(error) => tracing::warn!("cannot watch a key store, its death shows at the next request: {error}"),
    }
}

/// Resolves when the other end of the stream is closed.
async fn end_of(stream: OwnedFd) {
    #[allow(deprecated, reason = "the safe constructor; the descriptor is owned and stays open as long as it is watched")]
    let watched = AsyncFd::with_interest(stream, Interest::READABLE);
    let Ok(stream) = watched else {
        // Not watchable: as above.
        return std::future::pending().await;
    };
    while let Ok(mut guard) = stream.readable().await {
        if guard.ready().is_read_closed() {
            return;
        }
        guard.clear_ready();
    }
}

/// Asks for the status when a key store has ended, so that it is started again at once and not at the next request.
/// Lets go of a stream as soon as there is a newer one or none: a key store ends when nobody holds its stream.
async fn revive(jobs: Weak<Sender<Job>>, mut streams: UnboundedReceiver<OwnedFd>) {
    let mut watched = streams.recv().await;
    while let Some(stream) = watched.take() {
        let mut next = std::pin::pin!(streams.recv());
        tokio::select! {
            newer = &mut next => watched = newer,
            () = end_of(stream) => {
                let (answer, reply) = oneshot::channel();
                let job = Job { request: Request::Status, beside: None, answer };
                if jobs.upgrade().is_none_or(|jobs| jobs.send(job).is_err()) {
                    return;
                }
                // The outcome was logged by the thread.
                drop(reply.await);
                watched = next.await;
            }
        }
    }
}

fn run(
    name: &str,
    opener: &dyn Supervisor,
    mut client: KeystoreClient,
    jobs: &Receiver<Job>,
    streams: &UnboundedSender<OwnedFd>,
) {
    while let Ok(job) = jobs.recv() {
        let mut result = client.call(&job.request, job.beside.as_ref()).map_err(KeystoreError::from);
        if matches!(result, Err(KeystoreError::Client(ClientError::Wire(_)))) && !ends(&job.request) {
            tracing::warn!("[{name}] the key store is gone, starting it again");
            match opener
                .open_keystore(OpenKeystore { name: name.to_owned(), ..OpenKeystore::default() })
                .map_err(KeystoreError::from)
            {
                Ok(stream) => {
                    watch(streams, &stream);
                    client = KeystoreClient::new(stream);
                    match client.open() {
                        Ok(_) if repeatable(&job.request) => {
                            result = client.call(&job.request, None).map_err(KeystoreError::from)
                        }
                        Ok(_) => {}
                        Err(error) => result = Err(error.into()),
                    }
                }
                Err(error) => result = Err(error),
            }
        }
        let last = ends(&job.request);
        // The caller may have given up; the work is done all the same.
        let _ = job.answer.send(result);
        if last {
            return;
        }
    }
}

impl Keystore {
    /// Takes over the stream to a key store.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(name: &str, opener: Arc<dyn Supervisor>, stream: OwnedFd) -> Result<Keystore, std::io::Error> {
        let (jobs, queue) = channel();
        let (streams, watched) = unbounded_channel();
        let name = name.to_owned();
        watch(&streams, &stream);
        std::thread::Builder::new()
            .name("keystore".into())
            .spawn(move || run(&name, &*opener, KeystoreClient::new(stream), &queue, &streams))?;
        let jobs = Arc::new(jobs);
        tokio::task::spawn_local(revive(Arc::downgrade(&jobs), watched));
        Ok(Keystore { jobs })
    }

    /// Sends a request and waits for the reply.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub async fn call(&self, request: Request) -> Result<Reply, KeystoreError> {
        self.call_with(request, None).await
    }

    /// The same with a descriptor beside the request.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub async fn call_with(&self, request: Request, beside: Option<OwnedFd>) -> Result<Reply, KeystoreError> {
        let (answer, reply) = oneshot::channel();
        self.jobs.send(Job { request, beside, answer }).map_err(|_| KeystoreError::Closed)?;
        reply.await.map_err(|_| KeystoreError::Closed)?
    }

    /// Sends a request whose reply nobody waits for, also where nobody can wait. One that is closed needs it no more.
    pub fn tell(&self, request: Request) {
        let (answer, _) = oneshot::channel();
        let _ = self.jobs.send(Job { request, beside: None, answer });
    }
}
