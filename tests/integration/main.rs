//! The node as a whole: bad input, and the life and death of its processes. Needs the built binaries beside this
//! test (`make test` builds them) or in `BULKHEAD_BIN`.

#![allow(clippy::unwrap_used, clippy::panic)]

mod bad_chain;
mod bad_input;
mod crosscheck;
mod cuts;
mod disk_full;
mod import;
mod indexes;
mod ipc_log;
mod kill;
mod life;
mod notifications;
mod reorganisation;
mod support;
