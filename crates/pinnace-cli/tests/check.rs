//! `pinnace check` as a process: what it prints, where, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

fn check(folder: &Path, text: &str, arguments: &[&str]) -> Output {
    fs_err::create_dir_all(folder.join("orders")).unwrap();
    fs_err::write(folder.join("pinnace.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinnace"));
    command.arg("check").args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn findings_are_data_and_mistakes_end_with_the_code_of_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[system]\nname = \"shop\"\n[service.orders]\nworker = 2\n";
    let output = check(folder.path(), text, &[]);
    let expected = "\
error: there is no key in `[service.orders]` that is called `worker`
 --> pinnace.toml:4:1
  |
4 | worker = 2
  | ^^^^^^
  = hint: did you mean `workers`?

1 error, 0 warnings
";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(3));
    let output = check(&folder.path().join("orders"), text, &["../pinnace.toml", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found[0]["line"], &found[0]["file"]), (&4.into(), &"../pinnace.toml".into()));
}

#[test]
fn what_is_not_enforced_is_a_warning_and_nothing_amiss_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let good = "[system]\nname = \"shop\"\n[service.orders]\n";
    let output = check(folder.path(), good, &[]);
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"no finding\n"[..], Some(0)));
    let output = check(folder.path(), &format!("{good}limits = {{ timeout = \"1s\" }}\n"), &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("warning: `limits` is not enforced"), "{text}");
    assert!(text.ends_with("\n\n0 errors, 1 warning\n"), "{text}");
    assert_eq!(output.status.code(), Some(0));
}
