//! From the command line to the moment when children can be started.

pub(crate) mod amounts;
pub(crate) mod arguments;
pub(crate) mod auth;
pub(crate) mod checks;
pub(crate) mod db_cache;
pub(crate) mod descriptors;
pub(crate) mod directories;
pub(crate) mod endpoints;
pub(crate) mod interaction;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod network;
pub(crate) mod proxies;
