//! A panic is written to the log, never to stderr: nobody reads a confined process's stderr, and the node's
//! must stay empty.

/// Installs the hook.
pub fn install() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unknown");
        let payload = info.payload();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!("internal bug detected: thread {name} panicked at {place}: {text}");
    }));
}
