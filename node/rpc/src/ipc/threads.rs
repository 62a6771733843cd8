//! Threads as clients of libmultiprocess know them: calls that name one thread run one after another, calls that name
//! different threads run side by side. Here a thread is a queue, not a thread of the system.
//!
//! # Correctness
//! A call goes on when its client leaves, as in Core, where nobody interrupts the running function; its result is
//! dropped. So the work of a call is a task of its own and the call only waits for it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bulkhead_link::failed;
use bulkhead_schema::wire::proxy_capnp::{context, thread, thread_map};
use capnp_rpc::CapabilityServerSet;
use tokio::sync::{Mutex, oneshot};

/// Longest name of a thread that is kept.
const MAX_NAME_BYTES: usize = 64;
/// Threads of one connection.
const MAX_THREADS: usize = 256;
/// Block templates of one connection, those that calls wait for included.
const MAX_TEMPLATES: usize = 128;

/// A thread: its queue and its name.
struct Queue {
    name: String,
    turn: Rc<Mutex<()>>,
}

impl thread::Server for Queue {
    async fn get_name(self: Rc<Self>, _: thread::GetNameParams, mut results: thread::GetNameResults) -> Result<(), capnp::Error> {
        results.get().set_result(&self.name);
        Ok(())
    }
}

/// The threads of one connection.
#[derive(Default)]
pub struct Threads {
    known: RefCell<CapabilityServerSet<Queue, thread::Client>>,
    made: Cell<usize>,
    has_pool: Cell<bool>,
    templates: Rc<Cell<usize>>,
}

/// One of the templates that a connection may hold; free again when dropped.
pub struct TemplateShare(Rc<Cell<usize>>);

impl Drop for TemplateShare {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

thread_local! {
    /// Numbers calls in the log.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Logs when the client left before the answer.
struct Waiting {
    number: u64,
    left: Rc<Cell<bool>>,
    answered: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.answered {
            self.left.set(true);
            tracing::info!("ipc: IPC server request #{} canceled while executing.", self.number);
        }
    }
}

impl Threads {
    /// Takes the share of one more template.
    ///
    /// # Errors
    /// The connection holds as many as it may.
    pub fn template(&self) -> Result<TemplateShare, capnp::Error> {
        if self.templates.get() >= MAX_TEMPLATES {
            return Err(failed("too many block templates on this connection"));
        }
        self.templates.set(self.templates.get() + 1);
        Ok(TemplateShare(Rc::clone(&self.templates)))
    }

    /// Runs `work` on the thread of the context and waits for its result.
    ///
    /// # Errors
    /// The context names no thread that runs here, or the error of the work.
    pub async fn run<T: 'static>(
        &self,
        name: &'static str,
        context: context::Reader<'_>,
        work: impl Future<Output = Result<T, capnp::Error>> + 'static,
    ) -> Result<T, capnp::Error> {
        let number = CALLS.get() + 1;
        CALLS.set(number);
        let (turn, thread_name) = self.queue(context).await?;
        tracing::debug!(target: "ipc", "IPC server recv request  #{number} {name}$Params");
        tracing::debug!(target: "ipc", "IPC server post request  #{number} {{{thread_name}}}");
        let left = Rc::new(Cell::new(false));
        let mut waiting = Waiting { number, left: Rc::clone(&left), answered: false };
        let (answer, answered) = oneshot::channel();
        tokio::task::spawn_local(async move {
            let _turn = match &turn {
                Some(turn) => Some(turn.lock().await),
                None => None,
            };
            if left.get() {
                tracing::info!("ipc: IPC server request #{number} canceled before it could be executed");
                return;
            }
            tracing::debug!(target: "ipc", "IPC server executing request #{number}");
            let result = work.await;
            if left.get() {
                tracing::info!("ipc: IPC server request #{number} interrupted (canceled)");
            } else {
                tracing::debug!(target: "ipc", "IPC server send response #{number} {name}$Results");
            }
            // The client may be gone by now.
            let _ = answer.send(result);
        });
        let result = answered.await;
        waiting.answered = true;
        result.map_err(|_| failed("the call was dropped"))?
    }

    /// The queue and name of a context's thread; no queue when a pool may run it.
    async fn queue(&self, context: context::Reader<'_>) -> Result<(Option<Rc<Mutex<()>>>, String), capnp::Error> {
        if !context.has_thread() {
            if self.has_pool.get() {
                return Ok((None, "pool/0".into()));
            }
            return Err(failed("no thread specified and no pool configured"));
        }
        let client = capnp::capability::get_resolved_cap(context.get_thread()?).await;
        let queue = self.known.borrow().get_local_server_of_resolved(&client);
        let queue = queue.ok_or_else(|| failed("invalid thread handle"))?;
        Ok((Some(Rc::clone(&queue.turn)), queue.name.clone()))
    }
}

/// The map of threads of one connection.
pub struct ThreadMap(pub Rc<Threads>);

impl thread_map::Server for ThreadMap {
    async fn make_thread(
        self: Rc<Self>,
        params: thread_map::MakeThreadParams,
        mut results: thread_map::MakeThreadResults,
    ) -> Result<(), capnp::Error> {
        let name = bulkhead_schema::decode::text("name", params.get()?.get_name()?, MAX_NAME_BYTES).map_err(failed)?.to_owned();
        if self.0.made.get() >= MAX_THREADS {
            return Err(failed("too many threads on this connection"));
        }
        self.0.made.set(self.0.made.get() + 1);
        let queue = Queue { name, turn: Rc::new(Mutex::new(())) };
        results.get().set_result(self.0.known.borrow_mut().new_client(queue));
        Ok(())
    }

    async fn make_pool(
        self: Rc<Self>,
        _: thread_map::MakePoolParams,
        _: thread_map::MakePoolResults,
    ) -> Result<(), capnp::Error> {
        if self.0.has_pool.replace(true) {
            return Err(failed("makePool called on connection with existing pool"));
        }
        Ok(())
    }
}
