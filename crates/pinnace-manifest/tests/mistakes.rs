//! Every kind of mistake is told with its place, the nearest name that would be right, and the way out.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use pinnace_manifest::{Diagnostics, Manifest, Run};
use proptest::prelude::*;

/// The example of the handbook, with the folders that it names.
const GOOD: &str = r#"
[system]
name = "shop"

[engines]
amqp = "amqp://guest:secret@broker:5672/"

[context.ordering]
services = ["orders", "payments"]

[service.catalog]
path = "services/catalog"
route = "/api/products"

[service.orders]
path = "services/orders"
app = "orders.wsgi:application"
python = ">=3.11"
health = "/healthz"
route = ["/orders", "shop.example/orders"]
calls = ["catalog", "payments"]
publishes = ["orders.placed"]
subscribes = ["payments.captured"]
database = { engine = "sqlite", migrate = "python manage.py migrate" }
workers = 2
env = { CURRENCY = "EUR" }
secrets = ["STRIPE_KEY"]
callers = ["gateway", "payments"]
[service.orders.auth]
default = "authenticated"
rules = [{ path = "/orders/**", methods = ["POST"], roles = ["customer"] }]
[service.orders.limits]
timeout = "10s"
concurrency = 200

[service.payments]
path = "services/payments"
command = ["python", "-m", "payments"]
publishes = ["payments.captured"]
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for service in ["catalog", "orders", "payments"] {
            fs_err::create_dir_all(folder.path().join("services").join(service)).unwrap();
        }
        Self(folder)
    }

    fn load(&self, text: &str) -> Result<Manifest, Diagnostics> {
        let path = self.0.path().join("pinnace.toml");
        fs_err::write(&path, text).unwrap();
        Manifest::load(&path)
    }
}

fn load(text: &str) -> Result<Manifest, Diagnostics> {
    Folder::new().load(text)
}

/// A service table with these lines, in a system that is otherwise good.
fn with_service(lines: &str) -> String {
    format!("[system]\nname = \"shop\"\n[service.orders]\npath = \"services/orders\"\n{lines}\n")
}

#[test]
fn the_whole_example_is_read() {
    let manifest = load(GOOD).unwrap();
    let orders = manifest.service("orders").unwrap();
    assert_eq!(orders.context.as_ref().unwrap().as_str(), "ordering");
    assert_eq!(orders.run, Run::Hosted { app: Some("orders.wsgi:application".to_owned()) });
    assert_eq!(orders.routes.len(), 2);
    assert_eq!(orders.auth.as_ref().unwrap().rules[0].roles, ["customer"]);
    assert_eq!(orders.workers, 2);
    let order: Vec<&str> = manifest.start_order().iter().map(|service| service.name.as_str()).collect();
    assert_eq!(order, ["catalog", "payments", "orders"]);
    assert!(manifest.design_findings().is_empty());
    let refused: Vec<String> = manifest.not_enforced().into_iter().map(|finding| finding.message).collect();
    assert_eq!(refused.len(), 6, "{refused:?}");
    assert!(!format!("{manifest:?}").contains("secret@"), "a password is shown");
}

#[test]
fn a_finding_shows_the_line_the_place_and_the_way_out() {
    let found = load(&with_service("worker = 2")).unwrap_err();
    let rendered = found.render();
    let shown = rendered.split_once("pinnace.toml").unwrap().1;
    assert!(rendered.starts_with("error: there is no key in `[service.orders]` that is called `worker`\n"));
    assert_eq!(shown, ":5:1\n  |\n5 | worker = 2\n  | ^^^^^^\n  = hint: did you mean `workers`?\n");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let found = load(&with_service("workers = 0\nport = \"no\"\nrout = \"/x\"")).unwrap_err();
    let lines: Vec<usize> = found.0.iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [5, 6, 7]);
}

#[test]
fn each_kind_of_mistake_is_told() {
    let cases = [
        ("workers = 0", "a whole number from 1 to 64", "workers = 2"),
        ("workers = 65", "a whole number from 1 to 64", "workers = 2"),
        ("workers = \"two\"", "this is a string", "workers = 2"),
        ("threads = 1.5", "this is a float", "threads = 2"),
        ("port = 80", "`true` or `false`", "port = false"),
        ("calls = \"catalog\"", "a list of texts", "calls = ["),
        ("calls = [\"catalgo\"]\n[service.catalog]\npath = \"services/catalog\"", "no service `catalgo`", "`catalog`?"),
        ("calls = [\"orders\"]", "does not call itself", "take it out"),
        ("calls = [\"Orders\"]", "not allowed in a service name", ""),
        ("[service.hub]\npath = \"services/catalog\"", "one of Pinnace's own processes", "another name"),
        ("route = \"orders\"", "starts with `/`", ""),
        ("route = \"/orders/\"", "does not end with `/`", ""),
        ("route = \"/-/x\"", "never routed", ""),
        ("app = \"x:y\"\ncommand = [\"z\"]", "not both", "take one of them out"),
        ("command = []", "names no program", "command = ["),
        ("command = [\"x\"]\nport = false\nhealth = \"/\"", "no `health`", "port = false"),
        ("command = [\"x\"]\nport = false\nroute = \"/\"", "no `route`", "port = false"),
        ("port = false", "a hosted application listens", "command"),
        ("health = \"healthz\"", "no path to ask for", "/healthz"),
        ("python = \"3.11\"", "no condition on a version", ""),
        ("ready_timeout = \"10\"", "no duration", ""),
        ("env = { 1A = \"x\" }", "", ""),
        ("env = { A = 1 }", "`A` is a text", "quotes"),
        ("env = { A = \"x\" }\nsecrets = [\"A\"]", "in `env` and in `secrets`", "does not stand in this file"),
        ("env = { PORT = \"80\" }", "`PORT` is set by Pinnace", "another name"),
        ("secrets = [\"PINNACE_HUB_TOKEN\"]", "is set by Pinnace", "take it out"),
        ("publishes = [\"Placed\"]", "not allowed in a topic", ""),
        ("database = { engine = \"sqllite\" }", "no `engine` `sqllite`", "`sqlite`?"),
        ("database = { migrate = \"x\" }", "has no `engine`", "engine = \"sqlite\""),
        ("database = { engine = \"sqlite\", url = \"x\" }", "no address", "take `url` out"),
        ("database = { engine = \"postgres\" }", "has an address", "postgres://"),
        ("database = { engine = \"postgres\", url = \"mysql://h/d\" }", "no scheme", "`postgres://`"),
        ("database = { engine = \"sqlite\", migrate = \"a && b\" }", "needs a shell", ""),
        ("database = 1", "is a table", ""),
        ("auth = { defualt = \"deny\" }", "`defualt`", "`default`?"),
        ("auth = { default = \"all\" }", "no `default` `all`", "`public`"),
        ("auth = { rules = [{ methods = [\"GET\"] }] }", "has no `path`", "path = "),
        ("limits = { timeout = \"soon\" }", "no duration", ""),
        ("callers = [\"paymnts\"]", "no service `paymnts`", ""),
        ("path = \"x\"", "duplicate key", "TOML"),
        ("workers = ", "", "TOML"),
    ];
    for (lines, message, hint) in cases {
        let found = load(&with_service(lines)).unwrap_err();
        let rendered = found.render();
        assert!(rendered.contains(message) && rendered.contains(hint), "{lines}\nwas told:\n{rendered}");
        assert!(found.0.iter().all(|finding| finding.line >= 3), "{lines}\nwas told:\n{rendered}");
    }
}

#[test]
fn mistakes_outside_of_services_are_told() {
    let cases = [
        ("", "no `[system]` table", "name = \"shop\""),
        ("[sistem]\nname = \"x\"", "no table `sistem`", "`system`?"),
        ("[system]", "has no `name`", "name = "),
        ("[system]\nname = \"My Shop\"", "not allowed in a system name", ""),
        ("[system]\nname = \"s\"\n[engines]\namqp = \"http://x\"", "no scheme", "`amqp://`"),
        ("[system]\nname = \"s\"\n[engines]\nevents = \"nats\"", "no `events` `nats`", "`amqp`"),
        ("[system]\nname = \"s\"\n[engines]\ndiscovery = \"etcd://x\"", "no scheme", "`consul://`"),
        ("[system]\nname = \"s\"\n[context.a]\nservices = [\"b\"]", "no service `b`", "external = true"),
        ("[system]\nname = \"s\"\n[service]\nx = 1", "is a table", "[service.x]"),
        ("[system]\nname = \"s\"\n[service.X]\npath = \".\"", "not allowed in a service name", ""),
        ("[system]\nname = \"s\"\n[service.x]\npath = \"nowhere\"", "no folder `nowhere`", "relative"),
        ("[system]\nname = \"s\"\n[service.x]\npath = \"..\"", "outside of the system's folder", "external"),
        ("[system]\nname = \"s\"\n[service.x]\npath = \"pinnace.toml\"", "is no folder", ""),
    ];
    for (text, message, hint) in cases {
        let rendered = load(text).unwrap_err().render();
        assert!(rendered.contains(message) && rendered.contains(hint), "{text}\nwas told:\n{rendered}");
    }
}

#[test]
fn two_services_at_one_route_or_in_two_contexts_are_told() {
    let services = "[service.a]\npath = \".\"\nroute = \"/x\"\n[service.b]\npath = \".\"\nroute = \"/x\"\n";
    let contexts = "[context.c]\nservices = [\"a\"]\n[context.d]\nservices = [\"a\"]\n";
    let found = load(&format!("[system]\nname = \"s\"\n{services}{contexts}")).unwrap_err();
    let messages: Vec<&str> = found.0.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages, ["`/x` is the route of `a` already", "`a` is in the context `c` already"]);
}

#[test]
fn a_bad_design_is_found() {
    let text = "[system]\nname = \"s\"\n\
        [service.a]\npath = \".\"\ncalls = [\"b\"]\nsubscribes = [\"x.y\"]\n\
        database = { engine = \"postgres\", url = \"postgres://h/one\" }\n\
        [service.b]\npath = \".\"\ncalls = [\"c\"]\ndatabase = { engine = \"postgres\", url = \"postgres://h/one\" }\n\
        [service.c]\npath = \".\"\ncalls = [\"a\"]\n";
    let manifest = load(text).unwrap();
    let messages: Vec<String> = manifest.design_findings().into_iter().map(|finding| finding.message).collect();
    assert_eq!(
        messages,
        ["`b` and `a` have one database", "services wait for each other: a → b → c → a", "nobody publishes `x.y`"]
    );
    assert_eq!(manifest.start_order().len(), 3);
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let rendered = Manifest::load(&folder.path().join("pinnace.toml")).unwrap_err().render();
    assert!(rendered.contains("pinnace.toml") && rendered.contains("--file"), "{rendered}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_brings_it_down(text in "\\PC{0,200}") {
        if let Err(found) = load(&text) {
            prop_assert!(!found.0.is_empty() && !found.render().is_empty());
        }
    }

    #[test]
    fn a_damaged_example_is_read_or_told(start in 0_usize..1400, length in 0_usize..60, insert in "[\\[\\]{}\"=,.a-z0-9\n ü]{0,8}") {
        let folder = Folder::new();
        let mut text = GOOD.to_owned();
        let bound = |offset: usize| (0..=offset.min(GOOD.len())).rev().find(|at| GOOD.is_char_boundary(*at)).unwrap_or(0);
        text.replace_range(bound(start)..bound(start + length).max(bound(start)), &insert);
        if let Err(found) = folder.load(&text) {
            let lines = text.lines().count().max(1) + 1;
            prop_assert!(!found.0.is_empty());
            prop_assert!(found.0.iter().all(|finding| (1..=lines).contains(&finding.line)));
        }
    }
}
