//! The command tree: one variant and one module for each command.

mod check;
mod doctor;
mod gateway;
mod guard;
mod hub;
mod logs;
mod ps;
mod restart;
mod runtime;
mod scale;
mod serve;
mod up;
mod version;

use clap::Subcommand;

use crate::Complaint;

/// What `pinnace` can be asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the whole system of this folder's `pinnace.toml` and show its logs
    Up(up::UpArgs),
    /// Host one ASGI or WSGI application
    Serve(serve::ServeArgs),
    /// Show the services of the running system
    Ps(ps::PsArgs),
    /// Show what the services wrote
    Logs(logs::LogsArgs),
    /// Replace a service's processes, with no failed request
    Restart(restart::RestartArgs),
    /// Change how many instances a service has
    Scale(scale::ScaleArgs),
    /// Check `pinnace.toml` and the rules of its design
    Check(check::CheckArgs),
    /// Look for what would keep this folder's system from starting
    Doctor(doctor::DoctorArgs),
    /// Show the version and what this build can host
    Version(version::VersionArgs),
    /// Run the hub (started by `up`)
    #[command(hide = true)]
    Hub(hub::HubArgs),
    /// Run the gateway (started by `up`)
    #[command(hide = true)]
    Gateway(gateway::GatewayArgs),
    /// Run a program whose whole family ends with it (started by `up`)
    #[command(hide = true)]
    Guard(guard::GuardArgs),
}

impl Command {
    pub(crate) fn run(self) -> Result<std::process::ExitCode, Complaint> {
        let code = match self {
            Self::Up(args) => args.run(),
            Self::Serve(args) => args.run(),
            Self::Ps(args) => args.run(),
            Self::Logs(args) => args.run(),
            Self::Restart(args) => args.run(),
            Self::Scale(args) => args.run(),
            Self::Check(args) => args.run(),
            Self::Doctor(args) => args.run(),
            Self::Version(args) => args.run(),
            Self::Hub(args) => args.run(),
            Self::Gateway(args) => args.run(),
            Self::Guard(args) => return Ok(args.run()),
        };
        code.map(Into::into)
    }
}
