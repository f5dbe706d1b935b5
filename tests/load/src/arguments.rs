//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use pinnace_types::HumanDuration;

use crate::shop::Mix;

/// Makes requests by a schedule and reports what a caller would have felt.
///
/// Ends with 0 when every request was answered as it should be, with 1 when one was not, with 2 when nothing was measured.
#[derive(Debug, Parser)]
pub(crate) struct LoadArgs {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shop at examples/shop: browse, look, fill baskets, order
    Shop(ShopArgs),
    /// Ask for one URL, at a constant rate or as fast as a number of connections can
    Url(UrlArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ShopArgs {
    /// The gateway, such as `http://127.0.0.1:8080`
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    /// Parts of each hundred operations
    #[arg(long, default_value_t = Mix::default(), value_name = "NAME=PARTS,…")]
    pub(crate) mix: Mix,
    /// Which products, pages and quantities are drawn
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long one request may take
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) timeout: HumanDuration,
    /// What the ids of the requests begin with
    #[arg(long, default_value = "load")]
    pub(crate) name: String,
    /// Where the report goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct PaceArgs {
    /// Operations that begin in a second
    #[arg(long, default_value_t = 150.0)]
    pub(crate) rate: f64,
    /// How long operations begin
    #[arg(long = "for", default_value = "60s", value_name = "DURATION")]
    pub(crate) length: HumanDuration,
    /// Operations that may be on their way; one that finds no room is counted as overflow
    #[arg(long, default_value_t = 1_000)]
    pub(crate) outstanding: usize,
}

#[derive(Args, Debug)]
pub(crate) struct UrlArgs {
    /// What is asked for
    pub(crate) url: String,
    /// Connections that each send the next request when the last one is answered
    #[arg(long, conflicts_with = "rate")]
    pub(crate) connections: Option<usize>,
    /// Requests that begin in a second
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// How long requests begin
    #[arg(long = "for", default_value = "10s", value_name = "DURATION")]
    pub(crate) length: HumanDuration,
    /// Requests of an open loop that may be on their way
    #[arg(long, default_value_t = 1_000)]
    pub(crate) outstanding: usize,
    /// The method
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// A line of the request's head, `Name: value`; may be given again
    #[arg(long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// The body of each request
    #[arg(long)]
    pub(crate) body: Option<String>,
    /// How long one request may take
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) timeout: HumanDuration,
    /// What the ids of the requests begin with
    #[arg(long, default_value = "load")]
    pub(crate) name: String,
    /// Where the report goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}
