//! The overview page: height, peers, balance, and the process table.

use iced::widget::{Column, Row, column, container, row, rule, scrollable, text};
use iced::{Element, Fill, Font, Length};

use crate::{Model, ProcessRow, amount_text, grouped};

/// Width of each column of the process table in logical pixels.
const WIDTHS: [f32; 9] = [190.0, 80.0, 70.0, 170.0, 90.0, 80.0, 80.0, 80.0, 60.0];
const HEADS: [&str; 9] = ["process", "pid", "uid", "capabilities", "no new privs", "seccomp", "syscalls", "Landlock", "fds"];

/// Draws the page.
pub fn overview<'a, Message: 'a>(model: &Model) -> Element<'a, Message> {
    let height = model.height.and_then(|height| u64::try_from(height).ok()).map_or_else(|| "…".to_owned(), grouped);
    let balance = model.balance.map_or_else(|| "no wallet".to_owned(), |(trusted, _, _)| amount_text(trusted));
    let figures = row![
        figure("Height", height),
        figure("Peers", model.peers.to_string()),
        figure("Balance", balance),
        figure("Network", model.network.clone()),
    ]
    .spacing(40);
    let mut page = column![figures, text(model.best_block.clone()).size(12).font(Font::MONOSPACE)].spacing(12);
    if let Some((_, pending, immature)) = model.balance {
        page = page.push(text(format!("pending {}   immature {}", amount_text(pending), amount_text(immature))).size(13));
    }
    let mut table = Column::new().spacing(4).push(cells(HEADS.map(str::to_owned), 13)).push(rule::horizontal(1));
    for process in &model.processes {
        table = table.push(cells(values(process), 13));
    }
    page = page
        .push(text("Processes and their confinement").size(18))
        .push(scrollable(table).height(Fill))
        .push(text(model.status.clone()).size(13));
    container(page.height(Fill)).padding(20).into()
}

fn figure<'a, Message: 'a>(label: &'a str, value: String) -> Element<'a, Message> {
    column![text(label).size(13), text(value).size(26)].spacing(2).into()
}

fn values(process: &ProcessRow) -> [String; 9] {
    [
        process.name.clone(),
        process.pid.to_string(),
        process.uid.to_string(),
        process.capabilities.clone(),
        if process.no_new_privs { "yes" } else { "no" }.to_owned(),
        match process.seccomp {
            0 => "off".to_owned(),
            2 => "filter".to_owned(),
            other => other.to_string(),
        },
        process.system_calls.to_string(),
        if process.landlock > 0 { format!("ABI {}", process.landlock) } else { "off".to_owned() },
        process.descriptors.to_string(),
    ]
}

fn cells<'a, Message: 'a>(values: [String; 9], size: u32) -> Row<'a, Message> {
    values
        .into_iter()
        .zip(WIDTHS)
        .fold(Row::new().spacing(8), |line, (value, width)| line.push(text(value).size(size).width(Length::Fixed(width))))
}
