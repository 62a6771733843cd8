//! HTTP/1.x as Core's server speaks it (src/httpserver.cpp): small on purpose.

pub mod allow;
pub mod date;
pub mod parse;
pub mod reply;
pub mod server;
