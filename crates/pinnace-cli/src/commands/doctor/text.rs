//! How the findings look for people: a line each, its words in columns, the way out below.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use pinnace_supervisor::doctor::{Check, Outcome, Report};

/// As wide as the longest word of an outcome.
const WORD: usize = 7;

/// Everything, with colours that a terminal alone gets to see.
pub(super) fn render(report: &Report) -> String {
    let checks = report.sections.iter().flat_map(|section| &section.checks);
    let width = checks.map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for section in &report.sections {
        let bold = Style::new().bold();
        let _ = writeln!(text, "{bold}{}{bold:#}", section.about);
        for check in &section.checks {
            line(&mut text, check, width);
        }
        text.push('\n');
    }
    text.push_str(&summary(report));
    text
}

fn line(text: &mut String, check: &Check, width: usize) {
    const HINT: Style = AnsiColor::Cyan.on_default().bold();
    let (word, style) = word(check.outcome);
    let _ = writeln!(
        text,
        "  {style}{word}{style:#}{:blanks$}  {:width$}  {}",
        "",
        check.name,
        check.message,
        blanks = WORD - word.len()
    );
    let indent = 2 + WORD + 2 + width + 2;
    for line in &check.detail {
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
    if let Some(hint) = &check.hint {
        let _ = writeln!(text, "{:indent$}{HINT}hint{HINT:#}: {hint}", "");
    }
}

/// `1 failure, 2 warnings, 12 ok`
fn summary(report: &Report) -> String {
    let count = |outcome: Outcome| {
        let (word, style) = word(outcome);
        let number = report.count(outcome);
        let style = if number == 0 { Style::new() } else { style };
        let plural = if number == 1 || outcome == Outcome::Ok { "" } else { "s" };
        format!("{style}{number} {word}{plural}{style:#}")
    };
    format!("{}, {}, {}\n", count(Outcome::Failure), count(Outcome::Warning), count(Outcome::Ok))
}

const fn word(outcome: Outcome) -> (&'static str, Style) {
    match outcome {
        Outcome::Ok => ("ok", AnsiColor::Green.on_default()),
        Outcome::Warning => ("warning", AnsiColor::Yellow.on_default().bold()),
        Outcome::Failure => ("failure", AnsiColor::Red.on_default().bold()),
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use pinnace_supervisor::doctor::{Check, Outcome, Report, Section};

    fn check(name: &str, outcome: Outcome, message: &str, detail: &[&str], hint: Option<&str>) -> Check {
        Check {
            name: name.to_owned(),
            outcome,
            message: message.to_owned(),
            detail: detail.iter().map(|line| (*line).to_owned()).collect(),
            hint: hint.map(str::to_owned),
        }
    }

    fn report() -> Report {
        let machine = vec![
            check(
                "python",
                Outcome::Ok,
                "3.11.7 at /bin/python3.11",
                &["3.13.0 at /bin/python3.13: no runtime for it"],
                None,
            ),
            check("port 8080", Outcome::Failure, "taken by process 42 (node)", &[], Some("end that process")),
        ];
        let orders = vec![check("application", Outcome::Warning, "none", &[], None)];
        let section = |about: &str, checks| Section { about: about.to_owned(), checks };
        Report { sections: vec![section("machine", machine), section("service orders", orders)] }
    }

    #[test]
    fn each_finding_has_a_line_and_its_way_out_below() {
        let plain = anstream::adapter::strip_str(&render(&report())).to_string();
        let expected = "\
machine
  ok       python       3.11.7 at /bin/python3.11
                        3.13.0 at /bin/python3.13: no runtime for it
  failure  port 8080    taken by process 42 (node)
                        hint: end that process

service orders
  warning  application  none

1 failure, 1 warning, 1 ok
";
        assert_eq!(plain, expected);
    }

    #[test]
    fn colour_is_beside_the_words_and_not_for_what_there_is_none_of() {
        let text = render(&Report { sections: Vec::new() });
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), "0 failures, 0 warnings, 0 ok\n");
        assert_eq!(text, "0 failures, 0 warnings, 0 ok\n");
        assert!(render(&report()).contains("\u{1b}[1m\u{1b}[31mfailure\u{1b}[0m"), "{:?}", render(&report()));
    }
}
