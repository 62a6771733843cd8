//! Is the confinement real? Looked at from outside, on live processes.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod birth;
mod cgroups;
mod control_cuts;
mod hang_up;
mod hostile;
mod kills;
mod lacking;
mod limits;
mod live;
mod minimality;
mod mutation;
mod rules;
mod stop;
mod support;
