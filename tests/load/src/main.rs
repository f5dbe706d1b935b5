//! `pinnace-load`: makes requests by a schedule, measures what a caller would have felt, and names every failure.
//!
//! Two ways to load: an open loop, where requests begin at fixed moments whether or not earlier ones have ended, and
//! whose latencies count from those moments, so that a server that stalls cannot hide it (no coordinated omission); and
//! a closed loop of a number of connections for figures of throughput. The report is one JSON document.

#![forbid(unsafe_code)]

mod arguments;
mod caller;
mod closed;
mod draw;
mod histogram;
mod open;
mod report;
mod shop;
mod tally;

use std::process::ExitCode;
use std::sync::Arc;

use arguments::{Command, LoadArgs, ShopArgs, UrlArgs};
use caller::{Call, Caller};
use clap::Parser as _;
use open::Pace;
use report::Report;
use tally::{Outcome, Tally};

fn main() -> ExitCode {
    let arguments = LoadArgs::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("cannot start: {error}")),
    };
    let report = match arguments.command {
        Command::Shop(arguments) => runtime.block_on(load_shop(arguments)),
        Command::Url(arguments) => runtime.block_on(load_url(arguments)),
    };
    match report.and_then(|report| report.publish()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => complain(&message),
    }
}

async fn load_shop(arguments: ShopArgs) -> Result<Report, String> {
    let settings = format!("shop {} mix {} seed {}", arguments.target, arguments.mix, arguments.seed);
    let pace = Pace::from(&arguments.pace);
    let caller = Caller::new(&arguments.target, &arguments.name, arguments.timeout.as_duration())?;
    let shop = shop::Shop::open(caller, arguments.mix, arguments.seed).await?;
    let mut tally = open::drive(&pace, |number| {
        let shop = Arc::clone(&shop);
        async move { shop.operation(number).await }
    })
    .await;
    tally.facts.extend(shop.settle().await);
    Ok(Report::new(settings, Some(pace.rate), tally, arguments.report))
}

async fn load_url(arguments: UrlArgs) -> Result<Report, String> {
    let caller = Caller::new(&arguments.url, &arguments.name, arguments.timeout.as_duration())?;
    let call = Call::plain(&arguments.method, caller.path())?
        .with_headers(&arguments.headers)?
        .with_body(arguments.body.clone().unwrap_or_default());
    let settings = format!("{} {}", arguments.method, arguments.url);
    let (rate, tally) = match (arguments.connections, arguments.rate) {
        (Some(connections), None) => {
            let length = arguments.length.as_duration();
            (None, closed::drive(&caller, &call, connections, length).await)
        }
        (None, Some(rate)) => {
            let pace = Pace { rate, length: arguments.length.as_duration(), outstanding: arguments.outstanding };
            (Some(rate), steadily(caller, call, &pace).await)
        }
        _ => return Err("give either --connections or --rate".to_owned()),
    };
    Ok(Report::new(settings, rate, tally, arguments.report))
}

/// One request at each moment of the schedule.
async fn steadily(caller: Caller, call: Call, pace: &Pace) -> Tally {
    let shared = Arc::new((caller, call));
    open::drive(pace, |number| {
        let shared = Arc::clone(&shared);
        async move {
            let (caller, call) = &*shared;
            let result = caller.send(call.clone(), &number.to_string()).await.and_then(caller::Answer::success);
            Outcome { operation: "request", requests: 1, result: result.map(|_| None) }
        }
    })
    .await
}

#[expect(clippy::print_stderr, reason = "a tool for the command line")]
fn complain(message: &str) -> ExitCode {
    eprintln!("pinnace-load: {message}");
    ExitCode::from(2)
}
