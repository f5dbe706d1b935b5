//! `pinnace ps --gateway`: the routes, the instances behind them, and what would become of a request.

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pinnace_types::ExitCode;
use pinnace_types::gateway::{Explanation, GatewayView, RouteView, UpstreamView};

use super::super::running::Running;
use super::super::runtime;
use super::print;
use crate::Complaint;
use crate::table::{Cell, Table};

pub(super) fn show(running: &Running, request: &[String], as_json: bool) -> Result<ExitCode, Complaint> {
    if request.is_empty() {
        let view: GatewayView = runtime::block_on(running.get_from_gateway("/v1/routes"))??;
        return print(&view, as_json, render);
    }
    let path = question(request)?;
    let explanation: Explanation = runtime::block_on(running.get_from_gateway(&path))??;
    print(&explanation, as_json, explain)
}

/// The question that stands for a request.
fn question(request: &[String]) -> Result<String, Complaint> {
    let (method, target) = match request {
        [target] => ("GET", target),
        [method, target, ..] => (method.as_str(), target),
        [] => ("GET", &String::new()),
    };
    let uri: Uri = target.parse().map_err(|_| no_target(target))?;
    let host = uri.host().unwrap_or("localhost");
    if !uri.path().starts_with('/') {
        return Err(no_target(target));
    }
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    Ok(format!("/v1/explain?method={}&host={}&path={}", encoded(method), encoded(host), encoded(uri.path())))
}

fn no_target(target: &str) -> Complaint {
    Complaint::new(ExitCode::Usage, format!("`{target}` is no path and no URL"))
        .with_hint("write it like `/orders`, `POST /orders` or `http://shop.example/orders`")
}

/// A row a route, and one more for each instance.
fn render(view: &GatewayView) -> String {
    let mut table = Table::new(&["ROUTE", "ADDRESS", "WEIGHT", "STATE", "BUSY", "LATENCY", "SENT", "FAILED"]);
    for route in &view.routes {
        table.row(route_row(route));
        for instance in &route.instances {
            table.row(instance_row(instance));
        }
    }
    let registry = match &view.registry {
        Some(registry) => format!("instances are those of {registry}\n"),
        None => "instances are not followed: there is no registry\n".to_owned(),
    };
    format!("{}\n{registry}", table.render(0))
}

fn route_row(route: &RouteView) -> [Cell; 8] {
    let tags = if route.tags.is_empty() { String::new() } else { format!(" [{}]", route.tags.join(", ")) };
    [
        Cell::new(format!("{}{} {}{tags}", route.host.as_deref().unwrap_or_default(), route.path, route.service)),
        Cell::new(route.upstream.to_string()),
        Cell::new(""),
        Cell::new(if route.available { "open" } else { "closed" }),
        Cell::new(""),
        Cell::new(""),
        Cell::new(""),
        Cell::new(""),
    ]
}

fn instance_row(instance: &UpstreamView) -> [Cell; 8] {
    [
        Cell::new(format!("  {}", instance.id)),
        Cell::new(instance.address.clone()),
        Cell::new(instance.weight.to_string()),
        Cell::new(instance.out_for_ms.map_or_else(|| "well".to_owned(), |left| format!("out {left} ms"))),
        Cell::new(instance.in_flight.to_string()),
        Cell::or_dash(instance.latency_ms.map(|latency| format!("{latency:.1} ms"))),
        Cell::new(instance.sent.to_string()),
        Cell::new(instance.failed.to_string()),
    ]
}

fn explain(explanation: &Explanation) -> String {
    let Explanation { method, host, path, refusal, route, repeatable } = explanation;
    let mut lines = vec![format!("{method} {host}{path}")];
    if let Some(route) = route {
        lines.push(format!("  route     {}{}", route.host.as_deref().unwrap_or_default(), route.path));
        lines.push(format!("  service   {}", route.service));
    }
    if let Some((status, reason)) = refusal {
        lines.push(format!("  answered  by the gateway with {status}: {reason}"));
    } else if let Some(route) = route {
        lines.extend(destinations(route));
        lines.push(format!("  timeout   {} ms until an answer begins, and between two pieces of it", route.timeout_ms));
        let again = if *repeatable {
            "to another instance if one refuses the connection, or breaks it and the body is below 64 KiB"
        } else {
            "to another instance if one refuses the connection"
        };
        lines.push(format!("  again     {again}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn destinations(route: &RouteView) -> Vec<String> {
    let total: u64 = route.instances.iter().map(|instance| u64::from(instance.weight)).sum();
    let mut lines: Vec<String> = route
        .instances
        .iter()
        .map(|instance| {
            let share = u64::from(instance.weight) * 100 / total.max(1);
            let state = instance.out_for_ms.map(|left| format!(", left out for {left} ms")).unwrap_or_default();
            format!("  one of    {} at {}, {share} % by weight{state}", instance.id, instance.address)
        })
        .collect();
    if route.tags.is_empty() {
        let word = if lines.is_empty() { "goes to " } else { "else to " };
        lines.push(format!("  {word}  {}, the service's own socket", route.upstream));
    } else {
        lines.push(format!("  tags      {}: nothing else gets it", route.tags.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use pinnace_types::gateway::{Explanation, GatewayView, RouteView, UpstreamView};

    use super::{explain, question, render};

    fn route(tags: &[&str], instances: &[(&str, u32)]) -> RouteView {
        let instance = |(id, weight): &(&str, u32)| UpstreamView {
            id: (*id).to_owned(),
            address: "127.0.0.1:42001".to_owned(),
            weight: *weight,
            in_flight: 2,
            latency_ms: Some(1.25),
            sent: 41,
            failed: 1,
            out_for_ms: (*weight == 1).then_some(80),
        };
        RouteView {
            host: None,
            path: "/orders".to_owned(),
            service: "orders".parse().unwrap(),
            tags: tags.iter().map(ToString::to_string).collect(),
            upstream: "127.0.0.1:41232".parse().unwrap(),
            available: true,
            timeout_ms: 30_000,
            instances: instances.iter().map(instance).collect(),
        }
    }

    #[test]
    fn routes_and_instances_are_a_table() {
        let view = GatewayView {
            system: "shop".parse().unwrap(),
            registry: Some("consul://127.0.0.1:7070".to_owned()),
            routes: vec![route(&[], &[("orders-1", 3), ("orders-2", 1)])],
        };
        assert_eq!(
            anstream::adapter::strip_str(&render(&view)).to_string(),
            "\
ROUTE           ADDRESS          WEIGHT  STATE      BUSY  LATENCY  SENT  FAILED
/orders orders  127.0.0.1:41232          open
  orders-1      127.0.0.1:42001  3       well       2     1.2 ms   41    1
  orders-2      127.0.0.1:42001  1       out 80 ms  2     1.2 ms   41    1

instances are those of consul://127.0.0.1:7070
"
        );
    }

    #[test]
    fn a_request_is_explained() {
        let mut explanation = Explanation {
            method: "POST".to_owned(),
            host: "localhost".to_owned(),
            path: "/orders/7".to_owned(),
            refusal: None,
            route: Some(route(&[], &[("orders-1", 3), ("orders-2", 1)])),
            repeatable: false,
        };
        assert_eq!(
            explain(&explanation),
            "\
POST localhost/orders/7
  route     /orders
  service   orders
  one of    orders-1 at 127.0.0.1:42001, 75 % by weight
  one of    orders-2 at 127.0.0.1:42001, 25 % by weight, left out for 80 ms
  else to   127.0.0.1:41232, the service's own socket
  timeout   30000 ms until an answer begins, and between two pieces of it
  again     to another instance if one refuses the connection
"
        );
        explanation.route = Some(route(&["stable"], &[]));
        assert!(explain(&explanation).contains("  tags      stable: nothing else gets it\n"));
        explanation.route = None;
        explanation.refusal = Some((404, "no route has a prefix of this path".to_owned()));
        assert_eq!(
            explain(&explanation),
            "POST localhost/orders/7\n  answered  by the gateway with 404: no route has a prefix of this path\n"
        );
    }

    #[test]
    fn a_request_is_a_method_and_a_path_or_a_url() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let asked = |request: &[&str]| question(&words(request)).unwrap();
        assert_eq!(asked(&["/orders"]), "/v1/explain?method=GET&host=localhost&path=%2Forders");
        let url = asked(&["POST", "http://shop.example:8080/a%2Fb?x=1"]);
        assert_eq!(url, "/v1/explain?method=POST&host=shop%2Eexample&path=%2Fa%252Fb");
        for wrong in ["orders", "", "a b"] {
            assert!(question(&words(&[wrong])).is_err(), "{wrong}");
        }
    }
}
