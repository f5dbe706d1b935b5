//! The command tree: one variant and one module for each command.

mod check;
mod doctor;
mod gateway;
mod guard;
mod hub;
mod logs;
mod ps;
mod restart;
mod run;
mod running;
mod runtime;
mod scale;
mod serve;
mod status;
mod up;
mod version;

use clap::Subcommand;

use crate::Complaint;

/// What `pinnace` can be asked to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the system of `pinnace.toml`
    Up(up::UpArgs),
    /// Show what runs
    Ps(ps::PsArgs),
    /// Show what services write
    Logs(logs::LogsArgs),
    /// Replace all processes of a service
    Restart(restart::RestartArgs),
    /// Give a service another number of instances
    Scale(scale::ScaleArgs),
    /// Run a program as a service would: in its folder, environment and variables
    Run(run::RunArgs),
    /// Host one ASGI or WSGI application
    Serve(Box<serve::ServeArgs>),
    /// Check `pinnace.toml` and the rules of its design
    Check(check::CheckArgs),
    /// Check this machine and the system, and say the way out of what is amiss
    Doctor(doctor::DoctorArgs),
    /// Show the version and what this build can host
    Version(version::VersionArgs),
    /// Run the gateway (started by `up`)
    #[command(hide = true)]
    Gateway(gateway::GatewayArgs),
    /// Run the hub (started by `up`)
    #[command(hide = true)]
    Hub(hub::HubArgs),
    /// Run a program whose whole family ends with it (started by `up`)
    #[command(hide = true)]
    Guard(guard::GuardArgs),
}

impl Command {
    pub(crate) fn run(self) -> Result<std::process::ExitCode, Complaint> {
        let code = match self {
            Self::Up(args) => args.run(),
            Self::Ps(args) => args.run(),
            Self::Logs(args) => args.run(),
            Self::Restart(args) => args.run(),
            Self::Scale(args) => args.run(),
            Self::Run(args) => return args.run(),
            Self::Serve(args) => args.run(),
            Self::Check(args) => args.run(),
            Self::Doctor(args) => args.run(),
            Self::Version(args) => args.run(),
            Self::Gateway(args) => args.run(),
            Self::Hub(args) => args.run(),
            Self::Guard(args) => return Ok(args.run()),
        };
        code.map(Into::into)
    }
}
