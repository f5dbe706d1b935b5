//! The one table of `up`: what runs, where it is, how to open it, and the last words of what does not run.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use pinnace_types::control::{LogLine, LogStream, ServiceKind, ServiceState, ServiceView, SystemView};

use crate::duration_text::took;
use crate::log_text::LogText;
use crate::table::{Cell, Table, style_of};

/// What is shown of a service's own lines.
const MOST_LINES: usize = 15;

/// The table and the links. `token` is the file with the hub's token.
pub(super) fn render(system: &SystemView, token: &str) -> String {
    let mut table = Table::new(&["SERVICE", "FRAMEWORK", "URL", "STATE", "START"]);
    for service in own(system) {
        let start = service.ready_ms.map(|millis| took(Duration::from_millis(millis)));
        table.row([
            Cell::new(service.name.as_str()),
            Cell::or_dash(service.framework.as_deref()),
            Cell::or_dash(service.url.as_deref()),
            Cell::state(service.state),
            Cell::or_dash(start),
        ]);
    }
    let mut text = table.render(1);
    text.push('\n');
    for line in gateway(system) {
        text.push_str(&line);
    }
    text.push_str(&hub(system, token));
    text.push('\n');
    text
}

/// Those that do not run, each with why and the last lines that it wrote.
pub(super) fn failures(
    system: &SystemView,
    look: &LogText,
    last: impl Fn(&ServiceView) -> Vec<Arc<LogLine>>,
) -> String {
    let mut text = String::new();
    let broken = |state| matches!(state, ServiceState::Failed | ServiceState::Crashed);
    for service in system.services.iter().filter(|service| broken(service.state)) {
        let style = style_of(service.state);
        let reason = service.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{style}{} has {}{style:#}{reason}", service.name, service.state.word());
        for line in last_words(service, &last(service)) {
            look.write(&mut text, line);
        }
        let _ = writeln!(
            text,
            "`pinnace logs {0}` has more; save a change of its files or `pinnace restart {0}` to try again\n",
            service.name
        );
    }
    text
}

/// Of the last lines those that tell most: what the supervisor has gathered (a traceback, an installer's error), or else
/// what the service itself wrote. The reason is said already.
fn last_words<'a>(service: &ServiceView, lines: &'a [Arc<LogLine>]) -> Vec<&'a LogLine> {
    let is_reason = |line: &LogLine| Some(&line.text) == service.reason.as_ref();
    let is_gathered = |line: &LogLine| line.stream == LogStream::Supervisor && line.instance == service.name.as_str();
    let start = lines.iter().rposition(|line| !is_gathered(line)).map_or(0, |last| last + 1);
    let gathered: Vec<&LogLine> = lines[start..].iter().map(AsRef::as_ref).filter(|line| !is_reason(line)).collect();
    if !gathered.is_empty() {
        return gathered;
    }
    lines[lines.len().saturating_sub(MOST_LINES)..].iter().map(AsRef::as_ref).filter(|line| !is_reason(line)).collect()
}

/// The user's services.
fn own(system: &SystemView) -> impl Iterator<Item = &ServiceView> {
    system.services.iter().filter(|service| service.kind != ServiceKind::Platform)
}

/// A link for each place at the gateway.
fn gateway(system: &SystemView) -> Vec<String> {
    let url = &system.gateway_url;
    let mut links = Vec::new();
    for service in own(system) {
        for route in &service.routes {
            let (link, note) = match route.split_once('/') {
                Some(("", path)) => (format!("{url}/{path}"), String::new()),
                Some((host, path)) => (format!("{url}/{path}"), format!(", asked for as {host}")),
                None => (format!("{url}/"), format!(", asked for as {route}")),
            };
            links.push((link, format!("{}{note}", service.name)));
        }
    }
    if links.is_empty() {
        links.push((url.clone(), "no service has a route".to_owned()));
    }
    let width = links.iter().map(|(link, _)| link.len()).max().unwrap_or_default();
    let heads = std::iter::once("gateway").chain(std::iter::repeat(""));
    let line = |(head, (link, what)): (&str, (String, String))| format!("{head:<7}  {link:<width$}  {what}\n");
    heads.zip(links).map(line).collect()
}

fn hub(system: &SystemView, token: &str) -> String {
    let url = &system.hub_url;
    format!("hub      {url}\n         curl --oauth2-bearer \"$(cat {token})\" \\\n              {url}/api/v1/system\n")
}

#[cfg(test)]
mod tests {
    use super::{failures, render};
    use crate::log_text::LogText;
    use crate::samples;
    use pinnace_types::control::{LogStream, ServiceState};
    use std::sync::Arc;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn the_table_and_the_links_fit_a_terminal() {
        let mut system = samples::system_with("storefront", ServiceState::Failed, Some("exit code 1"));
        system.services[2].ready_ms = Some(240);
        let text = plain(&render(&system, ".pinnace/run/hub-token"));
        assert_eq!(
            text,
            "\
SERVICE     FRAMEWORK                     URL                     STATE   START
catalog     FastAPI 0.163.0               http://127.0.0.1:41231  ready   240 ms
orders      Django REST framework 3.16.1  http://127.0.0.1:41232  ready   1.2 s
mailer      –                             –                       ready   1.2 s
storefront  Flask 3.1.2                   http://127.0.0.1:41233  failed  –

gateway  http://127.0.0.1:8080/orders  orders
         http://127.0.0.1:8080/orders  orders, asked for as shop.example
         http://127.0.0.1:8080/        storefront
hub      http://127.0.0.1:7070
         curl --oauth2-bearer \"$(cat .pinnace/run/hub-token)\" \\
              http://127.0.0.1:7070/api/v1/system

"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn a_system_without_routes_says_so() {
        let mut system = samples::system();
        for service in &mut system.services {
            service.routes.clear();
        }
        assert!(render(&system, "x").contains("gateway  http://127.0.0.1:8080  no service has a route\n"));
    }

    #[test]
    fn what_does_not_run_is_shown_with_its_last_words() {
        let system = samples::system_with("storefront", ServiceState::Failed, Some("exit code 1"));
        let look = LogText::new(&system, None);
        let text = failures(&system, &look, |service| {
            assert_eq!(service.name.as_str(), "storefront");
            let line = |text| Arc::new(samples::line("storefront", "storefront-1", LogStream::Stderr, text));
            vec![line("Traceback (most recent call last):"), line("KeyError: 'X'")]
        });
        assert_eq!(
            plain(&text),
            "storefront has failed: exit code 1\n\
             storefront-1 | Traceback (most recent call last):\n\
             storefront-1 | KeyError: 'X'\n\
             `pinnace logs storefront` has more; save a change of its files or `pinnace restart storefront` to try again\n\n"
        );
        assert_eq!(failures(&samples::system(), &look, |_| Vec::new()), "");
    }

    #[test]
    fn what_the_supervisor_has_gathered_is_not_said_twice() {
        let system = samples::system_with("storefront", ServiceState::Failed, Some("no environment"));
        let text = failures(&system, &LogText::new(&system, None), |_| {
            let line = |instance, stream, text| Arc::new(samples::line("storefront", instance, stream, text));
            vec![
                line("storefront/env", LogStream::Supervisor, "$ pip install"),
                line("storefront/env", LogStream::Stderr, "ERROR: no flask"),
                line("storefront", LogStream::Supervisor, "no environment"),
                line("storefront", LogStream::Supervisor, "  ERROR: no flask"),
                line("storefront", LogStream::Supervisor, "hint: mend it"),
            ]
        });
        let shown = plain(&text);
        let shown: Vec<&str> = shown.lines().take(3).collect();
        assert_eq!(
            shown,
            [
                "storefront has failed: no environment",
                "storefront   | pinnace:   ERROR: no flask",
                "storefront   | pinnace: hint: mend it"
            ]
        );
    }
}
