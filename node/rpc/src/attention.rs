//! A call may take hours (a rescan), but an owner that does not even answer a ping has stopped: whoever waits for it gets an
//! error instead of waiting for ever. It may only have been stopped for a while, so the next caller asks it again.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// How long an owner may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Time without an answer after which an owner is asked whether it lives.
    quiet: Duration,
    /// Time that it has to answer that: its one thread may be busy with a large wallet, on a machine that does many other things.
    patience: Duration,
    /// Time that it has while it is known to be silent.
    probe: Duration,
}

const LIMITS: Limits =
    Limits { quiet: Duration::from_secs(10), patience: Duration::from_secs(15), probe: Duration::from_secs(1) };

/// An owner has stopped answering.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it gives no sign of life")]
pub struct Silent;

/// What is known about the silence of one owner.
#[derive(Debug)]
pub struct Attention {
    edge: &'static str,
    limits: Limits,
    silent: Cell<bool>,
}

impl Attention {
    /// Nothing is known yet about the serving end of `edge`.
    #[must_use]
    pub fn new(edge: &'static str) -> Self {
        Self { edge, limits: LIMITS, silent: Cell::new(false) }
    }

    /// Waits for the answer of `call` as long as somebody answers `ping`, with whatever.
    ///
    /// # Errors
    /// [`Silent`] at the latest 25 seconds after the last sign of life, and within a second when that is known already.
    pub async fn attend<T>(&self, call: impl Future<Output = T>, ping: impl AsyncFn()) -> Result<T, Silent> {
        let mut call = pin!(call);
        if self.silent.get() {
            timeout(self.limits.probe, ping()).await.map_err(|_| Silent)?;
            self.silent.set(false);
            tracing::warn!("{}: the other side answers again", self.edge);
        }
        loop {
            if let Ok(answer) = timeout(self.limits.quiet, &mut call).await {
                return Ok(answer);
            }
            tokio::select! {
                answer = &mut call => return Ok(answer),
                () = ping() => {}
                () = sleep(self.limits.patience) => {
                    if !self.silent.replace(true) {
                        let seconds = (self.limits.quiet + self.limits.patience).as_secs();
                        tracing::warn!("{}: the other side has not answered for {seconds} s", self.edge);
                    }
                    return Err(Silent);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::{pending, ready};

    fn impatient() -> Attention {
        let [quiet, patience, probe] = [3, 5, 1].map(Duration::from_millis);
        Attention { limits: Limits { quiet, patience, probe }, ..Attention::new("rpc-wallet") }
    }

    #[test]
    fn an_owner_that_is_silent_is_given_up_and_asked_again_later() {
        bulkhead_link::run(async {
            let attention = impatient();
            assert_eq!(attention.attend(pending::<()>(), pending).await, Err(Silent));
            // Known by now: it gets no call.
            let called = Cell::new(false);
            assert_eq!(attention.attend(async { called.set(true) }, pending).await, Err(Silent));
            assert!(!called.get());
            assert_eq!(attention.attend(ready(7), async || ()).await, Ok(7));
            assert_eq!(attention.attend(ready(8), pending).await, Ok(8));
        })
        .unwrap();
    }

    #[test]
    fn a_long_call_of_an_owner_that_lives_is_waited_for() {
        bulkhead_link::run(async {
            let attention = impatient();
            let pings = Cell::new(0);
            let (done, answer) = tokio::sync::oneshot::channel();
            let done = Cell::new(Some(done));
            let ping = async || {
                pings.set(pings.get() + 1);
                if pings.get() == 20 {
                    done.take().unwrap().send(5).unwrap();
                }
            };
            assert_eq!(attention.attend(answer, ping).await.unwrap(), Ok(5));
        })
        .unwrap();
    }
}
