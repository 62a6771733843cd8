//! What the window shows, and how: pure functions from a model to iced widgets. No sockets, no clock.

mod format;
mod model;
mod overview;

pub use format::{amount_text, grouped};
pub use model::{Model, ProcessRow};
pub use overview::overview;
