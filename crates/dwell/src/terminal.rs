//! What a terminal can show: width, colour, aligned tables. Knows nothing of records.

use std::io::{self, IsTerminal as _};

use comfy_table::{Cell, ContentArrangement, Table, presets};

use crate::cli::Color;

/// Whether standard output takes colour: asked for, or a terminal without NO_COLOR
/// (<https://no-color.org>).
pub(crate) fn colour(choice: Color) -> bool {
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            #[expect(clippy::disallowed_methods, reason = "NO_COLOR is an environment variable")]
            let refused = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
            !refused && io::stdout().is_terminal()
        }
    }
}

/// A table without lines, columns as wide as their content.
pub(crate) fn table(header: &[&str], colour: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !colour {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|name| {
        let cell = Cell::new(name);
        if colour { cell.add_attribute(comfy_table::Attribute::Bold) } else { cell }
    }));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}
