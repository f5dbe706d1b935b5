//! `cargo xtask generate`: writes the files that come from code; `cargo xtask check` holds them fresh.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use pinnace_manifest::keys::{self, Section, Shape};
use pinnace_types::environment::{self, SetBy};
use pinnace_types::{ErrorCode, ExitCode};

use crate::runtime::workspace_root;

/// A generated file: its path below the root, and what has to stand in it.
type File = (&'static str, String);

/// Writes every generated file.
pub(crate) fn run() -> Result<(), String> {
    let root = workspace_root();
    for (path, text) in files()? {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        fs_err::write(path, text).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Complaints about the files that do not hold what they should.
pub(crate) fn stale(root: &Path) -> Result<Vec<String>, String> {
    let is_stale = |(path, text): &File| fs_err::read_to_string(root.join(path)).ok().as_ref() != Some(text);
    let complain = |(path, _): File| format!("{path}: not fresh; run `cargo xtask generate`");
    Ok(files()?.into_iter().filter(is_stale).map(complain).collect())
}

fn files() -> Result<Vec<File>, String> {
    let schema = serde_json::to_string_pretty(&pinnace_manifest::json_schema()).unwrap_or_default() + "\n";
    Ok(vec![
        ("docs/pinnace.schema.json", schema),
        ("docs/reference/cli.md", command_line("commands")?),
        ("docs/reference/serve.md", command_line("serve")?),
        ("docs/hosting/from-uvicorn.md", with_options("docs/hosting/from-uvicorn.md", "uvicorn")?),
        ("docs/hosting/from-gunicorn.md", with_options("docs/hosting/from-gunicorn.md", "gunicorn")?),
        ("docs/hosting/from-granian.md", with_options("docs/hosting/from-granian.md", "granian")?),
        ("docs/reference/manifest.md", manifest()),
        ("docs/reference/exit-codes.md", exit_codes()),
        ("docs/reference/environment.md", variables()),
    ])
}

/// A program of its own prints this page, so that building `xtask` does not build all that the command stands on.
fn command_line(page: &str) -> Result<String, String> {
    let words = ["run", "--quiet", "--package", "pinnace-cli", "--example", "reference", "--", page];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo).args(words).current_dir(workspace_root()).output();
    let output = run.map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("the reference of the command line: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// A chapter that is written by hand, with the table of a server's options between its marks.
fn with_options(path: &str, server: &str) -> Result<String, String> {
    const BEGIN: &str = "<!-- generated: options -->\n";
    const END: &str = "<!-- end -->\n";
    let text = fs_err::read_to_string(workspace_root().join(path)).map_err(|error| error.to_string())?;
    let around = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = around else { return Err(format!("{path}: there is no place for the options")) };
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", command_line(server)?))
}

fn manifest() -> String {
    const SECTIONS: [Section; 9] = [
        Section::System,
        Section::Engines,
        Section::Context,
        Section::Service,
        Section::Database,
        Section::Auth,
        Section::AuthRule,
        Section::Limits,
        Section::Serve,
    ];
    let mut page = "# `pinnace.toml`\n\nGenerated from the table of keys; `pinnace check` reads a file and tells each mistake with its \
        place.\nEditors find the JSON Schema in [pinnace.schema.json](../pinnace.schema.json).\n"
        .to_owned();
    for section in SECTIONS {
        let title = section.title();
        let _ = write!(page, "\n## `{title}`\n\n| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in keys::table().iter().filter(|key| key.section == section) {
            let default = if key.required { "has to be there" } else { key.default };
            let _ = writeln!(page, "| `{}` | {} | {default} | {} |", key.name, shape(key.shape), key.meaning);
        }
    }
    page
}

fn shape(shape: Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Texts => "list of texts".to_owned(),
        Shape::TextOrTexts => "text or list of texts".to_owned(),
        Shape::Number(most) => format!("1 to {most}"),
        Shape::Flag => "`true` or `false`".to_owned(),
        Shape::TextTable => "table of texts".to_owned(),
        Shape::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Shape::Duration => "duration, such as `10s`".to_owned(),
        Shape::Size => "size, such as `64MiB`".to_owned(),
        Shape::Table(_) => "table, see below".to_owned(),
        Shape::Tables(_) => "list of tables, see below".to_owned(),
    }
}

fn exit_codes() -> String {
    let mut page = "# Exit codes and error codes\n\nGenerated from the tables in `pinnace-types`. Both are API: numbers and names stay.\n\n\
        ## Exit codes\n\n| code | meaning | what to do |\n|---|---|---|\n"
        .to_owned();
    for row in ExitCode::table() {
        let _ = writeln!(page, "| {} | {} | {} |", row.code.number(), row.meaning, row.remedy);
    }
    page.push_str("\n## Error codes\n\nThe member `code` of a problem document (RFC 9457).\n\n| code | status | title |\n|---|---|---|\n");
    for code in ErrorCode::ALL {
        let name = serde_json::to_value(code).unwrap_or_default();
        let _ =
            writeln!(page, "| `{}` | {} | {} |", name.as_str().unwrap_or_default(), code.http_status(), code.title());
    }
    page
}

fn variables() -> String {
    let mut page = "# Environment variables\n\nGenerated from the table in `pinnace-types`.\n\n| variable | set by | meaning | since |\n|---|---|---|---|\n"
        .to_owned();
    for variable in environment::table() {
        let set_by = match variable.set_by {
            SetBy::User => "you",
            SetBy::Up => "`pinnace up`, for services",
            SetBy::Pinnace => "Pinnace, for its own processes",
        };
        let _ = writeln!(page, "| `{}` | {set_by} | {} | {} |", variable.name, variable.meaning, variable.since);
    }
    page
}
