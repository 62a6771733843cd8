//! `bitcoin-gui`: spawns `bitcoin-node` over a socket pair, confines itself, and draws one window.
//!
//! It links neither node nor wallet: what it knows comes over the edges gui-rpc and gui-wallet.

mod feed;
mod launch;
mod preload;
mod sandbox_info;

use std::process::ExitCode;

use bulkhead_control::{Component, GuiConfig, PathGrant};
use bulkhead_widgets::Model;
use futures::channel::mpsc;
use iced::{Element, Size, Task};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    preload::display_libraries()?;
    let Some(node) = launch::node(std::env::args_os().skip(1))? else {
        // -help and -version: the node has printed it.
        return Ok(());
    };
    let birth = bulkhead_control::birth_on::<GuiConfig>(Component::Gui, node.control)?;
    let network = birth.config.network.clone();
    let control = birth.confine(&readable())?;
    let wires = control.receive_wires()?;
    let (handle, events) = control.split()?;
    handle.ready()?;
    let (models, updates) = mpsc::channel(16);
    feed::start(network.clone(), wires, events, models)?;
    let first = Model { network, status: "waiting for the node".into(), ..Model::default() };
    // `boot` runs once; the slot is how the receiver gets into a closure that may be called again in theory.
    let updates = std::sync::Mutex::new(Some(updates));
    let display = std::sync::Mutex::new(Some(node.display));
    iced::application(
        move || {
            let updates = updates.lock().ok().and_then(|mut slot| slot.take());
            (first.clone(), updates.map_or_else(Task::none, |updates| Task::run(updates, Message::Show)))
        },
        move |model: &mut Model, message| {
            // The toolkit has its own connection by now.
            drop(display.lock().map(|mut display| display.take()));
            update(model, message)
        },
        view,
    )
    .title("Bulkhead")
    .window_size(Size::new(1080.0, 520.0))
    .run()?;
    Ok(())
}

/// What the toolkit reads: fonts, locale and keyboard tables. A path that does not exist needs no grant.
fn readable() -> Vec<PathGrant> {
    let fonts = ["/usr/share/fonts", "/usr/local/share/fonts", "/etc/fonts", "/usr/share/fontconfig"].map(|path| ("fonts", path));
    let display = ["/usr/share/X11", "/tmp/.X11-unix"].map(|path| ("display", path));
    let pictures = [("pictures", "/dev/shm")];
    let home = std::env::var("HOME").map(|home| format!("{home}/.Xauthority")).unwrap_or_default();
    let files = [("authority", std::env::var("XAUTHORITY").unwrap_or(home))];
    fonts
        .into_iter()
        .chain(display)
        .chain(pictures)
        .map(|(name, path)| (name, path.to_owned()))
        .chain(files)
        .filter(|(_, path)| std::path::Path::new(path).exists())
        .map(|(name, path)| PathGrant { name, path: path.into() })
        .collect()
}

#[derive(Clone, Debug)]
enum Message {
    Show(Model),
}

fn update(model: &mut Model, message: Message) -> Task<Message> {
    let Message::Show(new) = message;
    *model = new;
    Task::none()
}

fn view(model: &Model) -> Element<'_, Message> {
    bulkhead_widgets::overview(model)
}
