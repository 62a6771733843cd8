//! What `scantxoutset` and `scanblocks` have in common: one scan at a time, with progress, which can be aborted.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::Value;

/// State of one kind of scan.
#[derive(Debug, Default)]
pub struct ScanControl {
    running: AtomicBool,
    abort: AtomicBool,
    /// How much is done.
    pub(super) percent: AtomicU32,
    /// Height that a scan of blocks is at.
    pub(super) height: AtomicI32,
}

/// Frees the place when the scan ends, however it ends.
struct Running<'a>(&'a ScanControl);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

impl ScanControl {
    fn start(&self) -> Option<Running<'_>> {
        (!self.running.swap(true, Ordering::AcqRel)).then(|| Running(self))
    }

    /// Whether the running scan shall end.
    pub(super) fn is_aborted(&self) -> bool {
        self.abort.load(Ordering::Acquire)
    }

    /// Does what the first argument of the method says: runs `scan` on `start`, gives `status` or null on `status`, and whether
    /// there was something to end on `abort`.
    ///
    /// # Errors
    /// An unknown action, a second scan, or what `scan` gives.
    pub(super) fn act(
        &self,
        action: &str,
        status: impl FnOnce() -> Value,
        scan: impl FnOnce() -> RpcResult<Value>,
    ) -> RpcResult<Value> {
        let place = match action {
            "status" | "abort" | "start" => self.start(),
            other => return Err(RpcError::parameter(format!("Invalid action '{other}'"))),
        };
        match (action, place) {
            ("status", Some(_)) => Ok(Value::Null),
            ("status", None) => Ok(status()),
            ("abort", Some(_)) => Ok(false.into()),
            ("abort", None) => {
                self.abort.store(true, Ordering::Release);
                Ok(true.into())
            }
            (_, None) => Err(RpcError::parameter("Scan already in progress, use action \"abort\" or \"status\"")),
            (_, Some(_running)) => {
                self.abort.store(false, Ordering::Release);
                self.percent.store(0, Ordering::Relaxed);
                scan()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_scan_runs_at_a_time_and_can_be_aborted() {
        let control = ScanControl::default();
        let never = || -> RpcResult<Value> { Err(RpcError::internal("not to be called")) };
        assert_eq!(control.act("status", || 1.into(), never).unwrap(), Value::Null);
        assert_eq!(control.act("abort", || 1.into(), never).unwrap(), false);
        let scan = || {
            assert_eq!(control.act("status", || 1.into(), never).unwrap(), 1);
            assert!(control.act("start", || 1.into(), never).unwrap_err().message.contains("already in progress"));
            assert!(!control.is_aborted());
            assert_eq!(control.act("abort", || 1.into(), never).unwrap(), true);
            Ok(control.is_aborted().into())
        };
        assert_eq!(control.act("start", || 1.into(), scan).unwrap(), true);
        assert_eq!(control.act("abort", || 1.into(), never).unwrap(), false);
        assert_eq!(control.act("stop", || 1.into(), never).unwrap_err().message, "Invalid action 'stop'");
    }
}
