//! `pinnace doctor` as a process: what it says of a machine with nothing on it, and of one that has all that is needed.
//!
//! Whether ports are free and how many folders may be watched is the matter of the machine that runs the tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A machine of a test: a `PATH`, a folder for sockets, a system.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["bin", "run", "shop", "runtime/pinnace_runtime"] {
            fs_err::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        fs_err::canonicalize(self.folder.path()).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        path
    }

    /// A program that answers as an interpreter does.
    fn install_python(&self) {
        let path = self.root().join("bin/python3");
        let answer = format!(
            "#!/bin/sh\necho '{{\"executable\": \"{}\", \"implementation\": \"cpython\", \"version\": [3, 11, 7], \"suffix\": \".test.so\"}}'\n",
            path.display()
        );
        self.write("bin/python3", &answer);
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.write("runtime/pinnace_runtime/_native.test.so", "");
    }

    fn doctor(&self, folder: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinnace"));
        command.arg("doctor").args(arguments).current_dir(folder).env_clear();
        command.env("PATH", self.root().join("bin")).env("XDG_RUNTIME_DIR", self.root().join("run"));
        command.env("PINNACE_RUNTIME_DIR", self.root().join("runtime")).output().unwrap()
    }

    /// What it printed, with the test's own folder as `ROOT`, and without what depends on the machine.
    fn told(&self, output: &Output) -> String {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let text = text.replace(&self.root().display().to_string(), "ROOT");
        let of_machine = ["  port ", "file changes", "disk space", "hint: end that process"];
        let kept: Vec<&str> =
            text.lines().filter(|line| !of_machine.iter().any(|words| line.contains(words))).collect();
        let (summary, lines) = kept.split_last().unwrap();
        assert!(summary.ends_with(" ok"), "{summary}");
        lines.join("\n").trim_end().to_owned()
    }
}

/// The name of the socket follows from the folder's path.
fn without_socket(text: &str) -> String {
    let end = text.find(".sock").unwrap();
    format!("{}NAME{}", &text[..end - 12], &text[end..])
}

const SHOP: &str = "[system]\nname = \"shop\"\n\
    [service.orders]\nsecrets = [\"STRIPE_KEY\"]\n\
    [service.worker]\npath = \"orders\"\ncommand = [\"celery\"]\nport = false\nvenv = \".venv\"\n\
    [service.mail]\nexternal = true\nurl = \"https://u:p@mail.example\"\n";

#[test]
fn a_machine_with_nothing_on_it_is_told_what_to_install() {
    let machine = Machine::new();
    let shop = machine.root().join("shop");
    machine.write("shop/pinnace.toml", SHOP);
    machine.write("shop/orders/orders/__init__.py", "site = 1\n");
    let output = machine.doctor(&shop, &[]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "\
machine
  failure  python          there is no Python on PATH
                           hint: `sudo apt-get install python3 python3-venv`, or put one on PATH
  failure  environments    there is no Python from 3.10 on that could make one
                           hint: install one and put it on PATH

system shop
  ok       manifest        pinnace.toml with 3 services
  ok       state folder    .pinnace will be made
  ok       control socket  ROOT/run/pinnace/NAME.sock
  ok       running         no

service orders
  ok       folder          orders
  failure  environment     there is no Python >=3.10 on PATH
                           hint: install one and put it on PATH, or change `python`
  warning  application     no application is found by convention
                           there is no main.py
                           there is no app.py
                           there is no wsgi.py
                           there is no asgi.py
                           orders/__init__.py has no `app`, `application`, `create_app`, `make_app`
                           hint: name it: `app = \"module:attribute\"`
  failure  secrets         not set: STRIPE_KEY
                           hint: export it, or write it to `.env` beside `pinnace.toml`

service worker
  ok       folder          orders
  failure  environment     there is no environment at `ROOT/shop/orders/.venv`
                           hint: make it: `cd ROOT/shop/orders && python3 -m venv ROOT/shop/orders/.venv && \
        ROOT/shop/orders/.venv/bin/pip install -r requirements.txt`; or take `venv` out
  failure  program         there is no program `celery`
                           hint: the first word of `command` is looked for in the service's environment, then on PATH

service mail
  ok       external        https://mail.example/";
    let expected = expected.trim_end_matches('/');
    assert_eq!(without_socket(&machine.told(&output)), expected);
    assert!(!shop.join(".pinnace").exists(), "looking made a folder");
    assert!(!machine.root().join("run/pinnace").exists(), "looking made a folder");
}

#[test]
fn a_machine_with_all_that_is_needed_has_no_failure() {
    let machine = Machine::new();
    machine.install_python();
    let file = machine.write("shop/pinnace.toml", "[system]\nname = \"shop\"\n[service.orders]\nsecrets = [\"KEY\"]\n");
    machine.write("shop/orders/main.py", "app = FastAPI()\n");
    machine.write("shop/orders/requirements.txt", "fastapi\n");
    machine.write("shop/.env", "KEY=hunter2\n");
    let output = machine.doctor(&machine.root(), &["--file", "shop/pinnace.toml"]);
    let expected = "\
machine
  ok       python          3.11.7 at ROOT/bin/python3
  ok       environments    made by venv and pip

system shop
  ok       manifest        shop/pinnace.toml with 1 service
  ok       state folder    .pinnace will be made
  ok       control socket  ROOT/run/pinnace/NAME.sock
  ok       running         no

service orders
  ok       folder          orders
  ok       environment     will be made with Python 3.11.7 from orders/requirements.txt
  ok       application     found by convention: `main:app`
  ok       secrets         set: KEY";
    assert_eq!(without_socket(&machine.told(&output)), expected);

    let output = machine.doctor(&machine.root(), &["--json", "--file", &file.display().to_string()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("hunter2") && text.lines().count() == 1, "{text}");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sections = document["sections"].as_array().unwrap();
    let abouts: Vec<&str> = sections.iter().map(|section| section["about"].as_str().unwrap()).collect();
    assert_eq!(abouts, ["machine", "system shop", "service orders"]);
    let python = serde_json::json!({
        "name": "python",
        "outcome": "ok",
        "message": format!("3.11.7 at {}", machine.root().join("bin/python3").display()),
        "detail": [],
        "hint": null,
    });
    assert_eq!(sections[0]["checks"][0], python);
    let failed = sections
        .iter()
        .flat_map(|section| section["checks"].as_array().unwrap())
        .any(|check| check["outcome"] == "failure");
    assert_eq!(output.status.code(), Some(i32::from(failed)));
}

#[test]
fn a_mistake_in_the_manifest_leaves_the_rest_to_be_looked_at() {
    let machine = Machine::new();
    machine.write("shop/pinnace.toml", "[system]\nname = \"shop\"\n[service.x]\npaht = \".\"\n");
    let output = machine.doctor(&machine.root().join("shop"), &[]);
    let text = machine.told(&output);
    let (_, system) = text.split_once("\nsystem\n").unwrap();
    let expected = "  failure  manifest        2 mistakes in pinnace.toml
                           line 3: there is no folder `x`
                           line 4: there is no key in `[service.x]` that is called `paht`
                           hint: `pinnace check` shows each with the way out
  ok       state folder    .pinnace will be made";
    assert!(system.starts_with(expected), "{system}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn without_a_system_only_the_machine_is_looked_at() {
    let machine = Machine::new();
    machine.install_python();
    let output = machine.doctor(&machine.root(), &[]);
    let text = machine.told(&output);
    let expected = "system
  warning  manifest      there is no pinnace.toml here or in a folder above
                         hint: name one with --file; `pinnace serve` needs none";
    assert!(text.ends_with(expected), "{text}");
    let output = machine.doctor(&machine.root(), &["--file", "absent.toml"]);
    assert!(machine.told(&output).contains("failure  manifest      there is no file `absent.toml`\n"));
    assert_eq!(output.status.code(), Some(1));
}
