//! `pinnace ps`: show what runs.

mod gateway;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use pinnace_types::ExitCode;
use pinnace_types::control::{InstanceView, ServiceState, ServiceView, SystemView};
use serde::Serialize;

use super::running::Running;
use super::runtime;
use crate::Complaint;
use crate::duration_text::lasted;
use crate::table::{Cell, Table};

/// The arguments of `pinnace ps`.
#[derive(Args, Debug)]
pub(crate) struct PsArgs {
    /// The system's file [default: `pinnace.toml` here or in a folder above]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Show the gateway's routes and the instances behind them; with a request, what it would do with it
    #[arg(long)]
    gateway: bool,
    /// A request, such as `/orders`, `POST /orders` or `http://shop.example/orders` [default of the method: GET]
    #[arg(requires = "gateway", num_args = 1..=2, value_names = ["METHOD", "TARGET"])]
    request: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl PsArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        let running = Running::find(self.file)?;
        if self.gateway {
            return gateway::show(&running, &self.request, self.json);
        }
        let system: SystemView = runtime::block_on(running.get("/v1/system"))??;
        print(&system, self.json, |system| render(system, Timestamp::now()))
    }
}

/// Prints a document as one line of JSON, or as people read it.
fn print<T: Serialize>(document: &T, as_json: bool, render: impl Fn(&T) -> String) -> Result<ExitCode, Complaint> {
    let failed = |error: &dyn std::error::Error| Complaint::new(ExitCode::Failure, error.to_string());
    let text = if as_json {
        serde_json::to_string(document).map_err(|error| failed(&error))? + "\n"
    } else {
        render(document)
    };
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(&error)),
        _ => Ok(ExitCode::Ok),
    }
}

/// A row a service; where there are several instances, each has one more.
fn render(system: &SystemView, now: Timestamp) -> String {
    let mut table = Table::new(&["SERVICE", "STATE", "INST", "WORK", "PID", "URL", "RESTARTS", "UP"]);
    for service in &system.services {
        table.row(row(service, now));
        if service.instances.len() > 1 {
            for instance in &service.instances {
                table.row(instance_row(instance, now));
            }
        }
    }
    table.render(0)
}

fn row(service: &ServiceView, now: Timestamp) -> [Cell; 8] {
    let pid = match &service.instances[..] {
        [instance] => Some(instance.pid.to_string()),
        _ => None,
    };
    // One that only finishes what it has is shown below and not counted.
    let goes_on = |instance: &&InstanceView| instance.state != ServiceState::Stopping;
    let since = service.instances.iter().map(|instance| instance.started_at).min();
    [
        Cell::new(service.name.as_str()),
        Cell::state(service.state),
        Cell::new(service.instances.iter().filter(goes_on).count().to_string()),
        Cell::new(service.workers.to_string()),
        Cell::or_dash(pid),
        Cell::or_dash(service.url.as_deref()),
        Cell::new(service.restarts.to_string()),
        Cell::or_dash(since.map(|since| up(since, now))),
    ]
}

fn instance_row(instance: &InstanceView, now: Timestamp) -> [Cell; 8] {
    [
        Cell::new(format!("  {}", instance.id)),
        Cell::state(instance.state),
        Cell::new(""),
        Cell::new(""),
        Cell::new(instance.pid.to_string()),
        Cell::new(instance.port.map(|port| format!("http://127.0.0.1:{port}")).unwrap_or_default()),
        Cell::new(""),
        Cell::new(up(instance.started_at, now)),
    ]
}

/// A clock that was set back makes nothing negative.
fn up(since: Timestamp, now: Timestamp) -> String {
    lasted(Duration::try_from(now.duration_since(since)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::samples;
    use pinnace_types::control::ServiceState;

    #[test]
    fn every_service_has_a_row_and_several_instances_have_their_own() {
        let mut system = samples::system_with("storefront", ServiceState::Failed, Some("exit code 1"));
        system.services[4].restarts = 12;
        assert_eq!(
            anstream::adapter::strip_str(&render(&system, samples::noon())).to_string(),
            "\
SERVICE     STATE   INST  WORK  PID   URL                     RESTARTS  UP
hub         ready   1     2     4701  http://127.0.0.1:7070   0         3m12s
gateway     ready   1     2     4801  http://127.0.0.1:8080   0         3m12s
catalog     ready   1     2     4311  http://127.0.0.1:41231  0         3m12s
orders      ready   2     2     –     http://127.0.0.1:41232  0         3m12s
  orders-1  ready               4321  http://127.0.0.1:42001            3m12s
  orders-2  ready               4322  http://127.0.0.1:42002            3m12s
mailer      ready   1     2     4001  –                       12        3m12s
storefront  failed  0     2     –     http://127.0.0.1:41233  0         –
"
        );
    }

    #[test]
    fn a_clock_that_was_set_back_is_no_error() {
        let before = samples::noon() - jiff::SignedDuration::from_hours(5);
        assert!(render(&samples::system(), before).contains("  0s\n"));
    }
}
