//! What a text has to be, and what someone who wrote another one most likely meant.

use std::fmt::Display;
use std::str::FromStr;

use pinnace_types::{ByteSize, ContextName, HumanDuration, ServiceName, SystemName, Topic};

use crate::model::{CommandLine, InvalidCommandLine, PythonSpec, Route, VariableName};

/// A value that is written as a text.
pub(super) trait Value: FromStr<Err: Display> {
    /// What to write instead of a text that is no such value.
    fn way_out(text: &str) -> String;
}

impl Value for SystemName {
    fn way_out(text: &str) -> String {
        name::<Self>(text, "shop")
    }
}

impl Value for ServiceName {
    fn way_out(text: &str) -> String {
        name::<Self>(text, "orders")
    }
}

impl Value for ContextName {
    fn way_out(text: &str) -> String {
        name::<Self>(text, "ordering")
    }
}

impl Value for Topic {
    fn way_out(text: &str) -> String {
        let likely = text.split('.').map(label).collect::<Vec<_>>().join(".");
        likely.parse::<Self>().map_or_else(
            |_| "write labels joined by dots, such as `orders.placed`".to_owned(),
            |topic| format!("did you mean `{topic}`?"),
        )
    }
}

impl Value for ByteSize {
    fn way_out(_: &str) -> String {
        "write a number and its unit, such as `64KiB`, `10MB` or `1GiB`".to_owned()
    }
}

impl Value for VariableName {
    fn way_out(text: &str) -> String {
        let sign = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let likely: String = text.trim().chars().map(sign).collect();
        let likely = if likely.starts_with(|c: char| c.is_ascii_digit()) { format!("_{likely}") } else { likely };
        likely
            .parse::<Self>()
            .map_or_else(|_| "write a name such as `STRIPE_KEY`".to_owned(), |name| format!("did you mean `{name}`?"))
    }
}

impl Value for Route {
    fn way_out(text: &str) -> String {
        if text.contains("/-") {
            return "choose another prefix".to_owned();
        }
        let whole = text.trim_end_matches(['/', '*']);
        let candidates = [whole.to_owned(), format!("/{whole}"), without_port(whole)];
        candidates.iter().find(|candidate| candidate.parse::<Self>().is_ok()).map_or_else(
            || "write a path such as `/orders`, or one of a host such as `shop.example/orders`".to_owned(),
            |route| format!("did you mean `{route}`?"),
        )
    }
}

impl Value for PythonSpec {
    fn way_out(text: &str) -> String {
        let (newer, exact) = (format!(">={text}"), format!("=={text}.*"));
        if newer.parse::<Self>().is_ok() && exact.parse::<Self>().is_ok() {
            return format!("did you mean `{newer}`, or `{exact}` for no other?");
        }
        "write conditions joined by commas, such as `>=3.11,<3.14`".to_owned()
    }
}

impl Value for CommandLine {
    fn way_out(text: &str) -> String {
        match text.parse::<Self>() {
            Err(InvalidCommandLine::Shell(_)) => "put it into a script, or start a shell: `sh -c '…'`".to_owned(),
            Err(InvalidCommandLine::OpenQuote(_)) => "end it, or put a `\\` before it".to_owned(),
            _ => "write a program and its arguments, such as `python manage.py migrate`".to_owned(),
        }
    }
}

impl Value for HumanDuration {
    fn way_out(text: &str) -> String {
        let seconds = format!("{}s", text.trim());
        seconds.parse::<Self>().map_or_else(
            |_| "write a duration such as `10s` or `1m30s`".to_owned(),
            |_| format!("did you mean `{seconds}`?"),
        )
    }
}

fn name<T: FromStr>(text: &str, example: &str) -> String {
    let likely = label(text);
    match likely.parse::<T>() {
        Ok(_) => format!("did you mean `{likely}`?"),
        Err(_) => format!("write small letters, digits and `-`, such as `{example}`"),
    }
}

/// The label that is most like a text.
fn label(text: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let signs: String = text.trim().chars().map(sign).collect();
    signs.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

/// `shop.example:8080/orders` without the port.
fn without_port(text: &str) -> String {
    let Some((host, rest)) = text.split_once(':') else { return text.to_owned() };
    format!("{host}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use pinnace_types::{HumanDuration, ServiceName, Topic};

    use super::Value;
    use crate::model::{PythonSpec, Route, VariableName};

    #[test]
    fn what_was_meant_is_told_where_it_is_plain() {
        let cases = [
            (ServiceName::way_out("Orders_API"), "did you mean `orders-api`?"),
            (ServiceName::way_out("…"), "write small letters, digits and `-`, such as `orders`"),
            (Topic::way_out("Orders Placed"), "did you mean `orders-placed`?"),
            (Topic::way_out("orders..placed"), "write labels joined by dots, such as `orders.placed`"),
            (VariableName::way_out("2FA-KEY"), "did you mean `_2FA_KEY`?"),
            (VariableName::way_out(""), "write a name such as `STRIPE_KEY`"),
            (Route::way_out("orders"), "did you mean `/orders`?"),
            (Route::way_out("/orders/*"), "did you mean `/orders`?"),
            (Route::way_out("shop.example:80/orders"), "did you mean `shop.example/orders`?"),
            (PythonSpec::way_out("3.11"), "did you mean `>=3.11`, or `==3.11.*` for no other?"),
            (PythonSpec::way_out("new"), "write conditions joined by commas, such as `>=3.11,<3.14`"),
            (HumanDuration::way_out("10"), "did you mean `10s`?"),
            (HumanDuration::way_out("soon"), "write a duration such as `10s` or `1m30s`"),
        ];
        for (told, expected) in cases {
            assert_eq!(told, expected);
        }
    }
}
