//! `pinnace scale`: give a service another number of instances.

use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use pinnace_types::control::{InstanceView, ScaleRequest, ServiceState, ServiceView};
use pinnace_types::{ExitCode, ServiceName};

use super::running::Running;
use super::runtime;
use crate::Complaint;

/// The arguments of `pinnace scale`.
#[derive(Args, Debug)]
pub(crate) struct ScaleArgs {
    /// The service and how many instances it is to have, 1 to 64, such as `orders=3`
    #[arg(value_name = "SERVICE=N")]
    wanted: Wanted,
    /// The system's file [default: `pinnace.toml` here or in a folder above]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print the service as one JSON object
    #[arg(long)]
    json: bool,
}

/// What stands in `SERVICE=N`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Wanted {
    service: ServiceName,
    instances: u32,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, instances) = text.split_once('=').ok_or("write SERVICE=N, such as `orders=3`")?;
        let number = instances.parse().ok().filter(|number| (1..=64).contains(number));
        Ok(Self {
            service: service.parse().map_err(|error: pinnace_types::InvalidName| error.to_string())?,
            instances: number.ok_or_else(|| format!("`{instances}` is no number from 1 to 64"))?,
        })
    }
}

impl ScaleArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        let running = Running::find(self.file)?;
        let Wanted { service, instances } = self.wanted;
        let request = ScaleRequest { instances };
        let view: ServiceView = runtime::block_on(running.post(&format!("/v1/services/{service}/scale"), &request))??;
        tell(&view, self.json)
    }
}

/// Says what has come of a command.
pub(super) fn tell(view: &ServiceView, json: bool) -> Result<ExitCode, Complaint> {
    let failed = |error: &dyn std::error::Error| Complaint::new(ExitCode::Failure, error.to_string());
    let text = if json { serde_json::to_string(view).map_err(|error| failed(&error))? + "\n" } else { sentence(view) };
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(&error)),
        _ => Ok(ExitCode::Ok),
    }
}

/// Instances that only finish what they have are not counted.
fn sentence(view: &ServiceView) -> String {
    let goes_on = |instance: &&InstanceView| instance.state != ServiceState::Stopping;
    let instances = match view.instances.iter().filter(goes_on).count() {
        1 => "1 instance".to_owned(),
        number => format!("{number} instances"),
    };
    format!("{} is {}: {instances}\n", view.name, view.state.word())
}

#[cfg(test)]
mod tests {
    use super::{Wanted, sentence};
    use crate::samples;

    #[test]
    fn a_wish_is_a_service_and_a_number() {
        assert_eq!("orders=3".parse(), Ok(Wanted { service: samples::name("orders"), instances: 3 }));
        for (text, message) in [
            ("orders", "write SERVICE=N, such as `orders=3`"),
            ("orders=", "`` is no number from 1 to 64"),
            ("orders=0", "`0` is no number from 1 to 64"),
            ("orders=65", "`65` is no number from 1 to 64"),
            ("orders=3=4", "`3=4` is no number from 1 to 64"),
            ("=3", "a service name may not be empty"),
        ] {
            assert_eq!(text.parse::<Wanted>(), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_has_come_of_it_is_one_sentence() {
        let system = samples::system();
        assert_eq!(sentence(&system.services[2]), "catalog is ready: 1 instance\n");
        assert_eq!(sentence(&system.services[3]), "orders is ready: 2 instances\n");
    }
}
