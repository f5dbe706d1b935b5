//! Every kind of mistake is told with its place, the nearest name that would be right, and the way out.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use std::path::{Path, PathBuf};

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

/// Each `.toml` of the folder is a mistake, and the `.txt` beside it what is said about it. `BLESS=1` writes the latter.
#[test]
fn each_mistake_is_told_as_it_was_agreed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let bless = std::env::var_os("BLESS").is_some();
    let mut mistakes: Vec<PathBuf> = fs_err::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    mistakes.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    mistakes.sort();
    let mut wrong = Vec::new();
    for mistake in &mistakes {
        let told = told(&fs_err::read(mistake).unwrap());
        let file = mistake.with_extension("txt");
        let agreed = fs_err::read_to_string(&file).unwrap_or_default();
        if bless {
            fs_err::write(&file, &told).unwrap();
        } else if told != agreed {
            wrong.push(format!("{}\n{told}instead of\n{agreed}", file.display()));
        }
    }
    assert!(mistakes.len() >= 60, "only {} files were found", mistakes.len());
    assert!(wrong.is_empty(), "{}\n`BLESS=1 cargo test -p pinnace-manifest` writes what is told now", wrong.join("\n"));
}

/// What `pinnace check` says about a file.
fn told(bytes: &[u8]) -> String {
    let folder = Folder::new();
    let path = folder.0.path().join("pinnace.toml");
    fs_err::write(&path, bytes).unwrap();
    let found = match Manifest::load(&path) {
        Ok(manifest) => Diagnostics::sorted([manifest.design_findings(), manifest.not_enforced()].concat()),
        Err(found) => found,
    };
    for finding in &found.0 {
        assert!(finding.hint.is_some(), "no way out of: {}", finding.message);
    }
    let plain = found.render();
    assert!(!plain.is_empty(), "nothing is wrong with it");
    plain.replace(&path.display().to_string(), "pinnace.toml")
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
