//! Log lines for people: `orders-1 | text`, the names in one column.

use std::collections::HashMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use pinnace_types::ServiceName;
use pinnace_types::control::{LogLine, LogStream, SystemView};

/// The names' column is at most this wide; longer names push their own line.
const MOST_WIDTH: usize = 24;
/// One colour a service, again and again; red is for errors.
const COLOURS: [AnsiColor; 6] =
    [AnsiColor::Cyan, AnsiColor::Yellow, AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Blue, AnsiColor::BrightCyan];

/// How the lines of one system look.
#[derive(Debug)]
pub(crate) struct LogText {
    width: usize,
    styles: HashMap<ServiceName, Style>,
}

impl LogText {
    /// For the lines of one service, or of all.
    pub(crate) fn new(system: &SystemView, service: Option<&ServiceName>) -> Self {
        let services = || system.services.iter().filter(|known| service.is_none_or(|wanted| known.name == *wanted));
        let names = services().flat_map(|service| {
            // An instance to come is named as those that there are.
            let expected = format!("{}-1", service.name).len();
            service.instances.iter().map(|instance| instance.id.len()).chain([expected])
        });
        let styles = system.services.iter().zip(COLOURS.iter().cycle());
        Self {
            width: names.max().unwrap_or_default().min(MOST_WIDTH),
            styles: styles.map(|(service, colour)| (service.name.clone(), colour.on_default())).collect(),
        }
    }

    /// Appends the line with its end.
    pub(crate) fn write(&self, text: &mut String, line: &LogLine) {
        let style = self.styles.get(&line.service).copied().unwrap_or_default();
        let width = self.width;
        let who = match line.stream {
            LogStream::Stdout | LogStream::Stderr => "",
            LogStream::Supervisor => "pinnace: ",
        };
        // A line that was drawn over and over, such as a bar of progress, is shown as it was last.
        let last = line.text.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
        // Colour that was not ended would colour what follows.
        let reset = if last.contains('\u{1b}') { "\u{1b}[0m" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{style}{:<width$}{style:#} | {who}{last}{reset}", line.instance);
    }
}

#[cfg(test)]
mod tests {
    use super::LogText;
    use crate::samples;
    use pinnace_types::control::LogStream;

    #[test]
    fn names_stand_in_one_column_and_the_supervisor_says_who_speaks() {
        let system = samples::system();
        let text = LogText::new(&system, None);
        let mut shown = String::new();
        for (service, instance, stream, line) in [
            ("orders", "orders-1", LogStream::Stdout, "GET /orders 200"),
            ("storefront", "storefront-1", LogStream::Stderr, "  indented"),
            ("orders", "orders", LogStream::Supervisor, "reloaded in 240 ms"),
            ("orders", "orders-1", LogStream::Stdout, "10%\r50%\r100%\r"),
            ("unknown", "a-name-that-is-longer-than-all", LogStream::Stdout, ""),
        ] {
            text.write(&mut shown, &samples::line(service, instance, stream, line));
        }
        assert_eq!(
            anstream::adapter::strip_str(&shown).to_string(),
            "orders-1     | GET /orders 200\n\
             storefront-1 |   indented\n\
             orders       | pinnace: reloaded in 240 ms\n\
             orders-1     | 100%\n\
             a-name-that-is-longer-than-all | \n"
        );
    }

    #[test]
    fn the_lines_of_one_service_are_no_wider_than_its_names() {
        let orders = samples::name("orders");
        let text = LogText::new(&samples::system(), Some(&orders));
        let mut shown = String::new();
        text.write(&mut shown, &samples::line("orders", "orders-1", LogStream::Stdout, "x"));
        assert_eq!(anstream::adapter::strip_str(&shown).to_string(), "orders-1 | x\n");
    }

    #[test]
    fn a_service_has_its_own_colour_and_its_text_cannot_colour_the_next_line() {
        let text = LogText::new(&samples::system(), Some(&samples::name("orders")));
        let mut shown = String::new();
        text.write(&mut shown, &samples::line("orders", "orders-1", LogStream::Stdout, "\u{1b}[31mred"));
        assert_eq!(shown, "\u{1b}[35morders-1\u{1b}[0m | \u{1b}[31mred\u{1b}[0m\n");
    }
}
