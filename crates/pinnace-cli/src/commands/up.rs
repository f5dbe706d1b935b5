//! `pinnace up`: run the system of `pinnace.toml`.
//!
//! The work is [`pinnace_supervisor::up`]; here are the options and what a person sees: `progress` while things are
//! prepared, `overview` once all is settled, then the lines of the services (`screen`).

mod overview;
mod progress;
mod screen;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use pinnace_manifest::{Diagnostics, Manifest, Severity};
use pinnace_supervisor::up::{Up, UpConfig, UpError};
use pinnace_telemetry::logging;
use pinnace_types::worker::LogFormat;
use pinnace_types::{ByteSize, ExitCode, environment};
use tracing::level_filters::LevelFilter;

use super::running::manifest_path;
use super::runtime;
use crate::Complaint;
use crate::printer::Printer;
use screen::{Form, Screen};

/// How long what is left may take to be shown: the terminal may be stopped.
const PATIENCE: Duration = Duration::from_secs(2);

/// The arguments of `pinnace up`.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// The system's file [default: `pinnace.toml` here or in a folder above]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Where the gateway listens; port 0 takes a free one and keeps it
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    gateway: SocketAddr,
    /// Where the hub listens; port 0 takes a free one and keeps it
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    hub: SocketAddr,
    /// Answer resolvers here, over UDP and TCP: NAME.service.consul; port 0 takes a free one and keeps it
    #[arg(long, value_name = "ADDRESS:PORT")]
    dns: Option<SocketAddr>,
    /// Forget at most 15 % of Eureka's leases within a minute
    #[arg(long)]
    self_preservation: bool,
    /// End when a service does not become ready
    #[arg(long)]
    strict: bool,
    /// Do not reload services when their files change
    #[arg(long)]
    no_watch: bool,
    /// Do not run migrations
    #[arg(long)]
    no_migrate: bool,
    /// Bytes that the body of a request may have at the gateway, such as `10MiB` [default: no limit]
    #[arg(long, value_name = "SIZE")]
    max_body: Option<ByteSize>,
    /// Print JSON: one object for the system when all is settled, then one for each log line
    #[arg(long)]
    json: bool,
}

impl UpArgs {
    pub(super) fn run(self) -> Result<ExitCode, Complaint> {
        // People read this terminal, and what happens to services is told in other words.
        let asked = std::env::var_os(environment::LOG).is_some();
        let level = if asked { logging::level_from_environment() } else { LevelFilter::WARN };
        logging::init(LogFormat::Text, "up", level);
        let form = if self.json { Form::Json } else { Form::Text };
        let config = self.config()?;
        runtime::block_on(Box::pin(run(config, form)))?
    }

    fn config(self) -> Result<UpConfig, Complaint> {
        let path = manifest_path(self.file, "name the file with --file")?;
        let manifest = Manifest::load(&path).map_err(|found| {
            Complaint::new(ExitCode::Manifest, found.to_string())
                .with_detail(found.render_styled().lines().map(str::to_owned))
        })?;
        let binary = std::env::current_exe().map_err(|error| {
            Complaint::new(ExitCode::Failure, format!("cannot tell which program this is: {error}"))
        })?;
        Ok(UpConfig {
            gateway: self.gateway,
            hub: self.hub,
            dns: self.dns,
            self_preservation: self.self_preservation,
            strict: self.strict,
            watch: !self.no_watch,
            migrate: !self.no_migrate,
            max_body: self.max_body,
            ..UpConfig::new(manifest, binary)
        })
    }
}

async fn run(config: UpConfig, form: Form) -> Result<ExitCode, Complaint> {
    let warnings = warnings(&config.manifest);
    let token = token(&config.manifest.root);
    let up = Up::start(config).map_err(|error| complaint(&error))?;
    let printer = Printer::start()
        .map_err(|error| Complaint::new(ExitCode::Failure, format!("nothing can be shown: {error}")))?;
    if !warnings.is_empty() {
        printer.talk(warnings).await;
    }
    let screen = Screen::new(&up, printer, form, token);
    // It ends with the system, whose view it watches.
    let showing = tokio::spawn(screen.run());
    let end = Box::pin(up.run()).await;
    let _ = tokio::time::timeout(PATIENCE, showing).await;
    end.map(|()| ExitCode::Ok).map_err(|error| complaint(&error))
}

/// What is an error for `check` is a warning for a start.
fn warnings(manifest: &Manifest) -> String {
    let mut found = manifest.design_findings();
    for finding in &mut found {
        finding.severity = Severity::Warning;
    }
    Diagnostics(found).render_styled()
}

/// The file with the hub's token, as one would type it here.
fn token(root: &Path) -> String {
    let file = root.join(".pinnace/run/hub-token");
    let here = std::env::current_dir().and_then(fs_err::canonicalize);
    let short = here.ok().and_then(|here| file.strip_prefix(here).ok().map(Path::to_owned));
    short.unwrap_or(file).display().to_string()
}

pub(super) fn complaint(error: &UpError) -> Complaint {
    let complaint = Complaint::new(error.exit_code(), error.to_string()).with_detail(error.detail());
    error.hint().into_iter().fold(complaint, Complaint::with_hint)
}
