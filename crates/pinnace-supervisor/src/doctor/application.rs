//! What can be said of an application without importing it: whether the file that names it is there and knows the name.
//!
//! The order of the search is that of `pinnace/_application.py`, which has the last word when a worker imports it.

use std::path::Path;

use pinnace_manifest::Service;

use super::{Check, shown};

const NAME: &str = "application";
/// What an application is called in a module that is looked at by convention.
const ATTRIBUTES: &[&str] = &["app", "application", "create_app", "make_app"];
/// Folders with Python files in them that are no application.
const SKIPPED: [&str; 7] = ["tests", "test", "migrations", "docs", "scripts", "node_modules", "__pycache__"];
const HINT: &str = "name it: `app = \"module:attribute\"`";

/// Of `module:attribute`, as the manifest names it.
pub(super) fn named(folder: &Path, target: &str) -> Check {
    let (module, attribute) = target.split_once(':').unwrap_or((target, ""));
    let Some((file, text)) = source(folder, module) else {
        let message = format!("`{target}`: there is no {} in the folder", file_of(module));
        return Check::warning(NAME, message)
            .with_hint("it may be installed in the environment; else mend `app`, `module:attribute`");
    };
    let attribute = attribute.trim_end_matches("()").split('.').next().unwrap_or_default();
    if attribute.is_empty() || knows(&text, attribute) {
        return Check::ok(NAME, format!("`{target}`"));
    }
    Check::warning(NAME, format!("`{target}`: nothing in {file} is called `{attribute}`"))
        .with_hint("mend `app`, `module:attribute`")
}

/// Of what is found where nothing is named.
pub(super) fn by_convention(service: &Service) -> Check {
    let folder = service.path.as_path();
    let mut tried = Vec::new();
    let mut is_any_there = false;
    for (module, attributes) in candidates(service) {
        let Some((file, text)) = source(folder, &module) else {
            tried.push(format!("there is no {}", file_of(&module)));
            continue;
        };
        is_any_there = true;
        match attributes.iter().find(|attribute| knows(&text, attribute)) {
            Some(attribute) => return Check::ok(NAME, format!("found by convention: `{module}:{attribute}`")),
            None => tried.push(format!("{file} has no `{}`", attributes.join("`, `"))),
        }
    }
    let message = "no application is found by convention";
    // A file may bring in a name in ways that only an import shows.
    let check = if is_any_there { Check::warning(NAME, message) } else { Check::failure(NAME, message) };
    check.with_detail(tried).with_hint(HINT)
}

/// The modules that are looked at, in their order, with what an application may be called there.
fn candidates(service: &Service) -> Vec<(String, &'static [&'static str])> {
    let (plain, django) = (&ATTRIBUTES[..3], &["application", "app"]);
    let folder = service.path.as_path();
    let packages = packages(service);
    let mut found: Vec<(String, &[&str])> = vec![("main".to_owned(), plain), ("app".to_owned(), plain)];
    for package in &packages {
        let kinds = ["wsgi", "asgi"].iter().filter(|kind| folder.join(package).join(format!("{kind}.py")).is_file());
        found.extend(kinds.map(|kind| (format!("{package}.{kind}"), &django[..])));
    }
    found.extend(["wsgi", "asgi"].map(|module| (module.to_owned(), &django[..])));
    for package in &packages {
        found.push((package.clone(), ATTRIBUTES));
        let inner = ["main", "app"].iter().filter(|name| folder.join(package).join(format!("{name}.py")).is_file());
        found.extend(inner.map(|name| (format!("{package}.{name}"), plain)));
    }
    found
}

/// The packages in a folder and in its `src`; the one that has Django's settings first.
fn packages(service: &Service) -> Vec<String> {
    let mut found = Vec::new();
    for base in [service.path.clone(), service.path.join("src")] {
        let mut names: Vec<String> = fs_err::read_dir(&base)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| ["__init__.py", "wsgi.py", "asgi.py"].iter().any(|file| entry.path().join(file).is_file()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !SKIPPED.contains(&name.as_str()) && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
            .collect();
        names.sort();
        found.extend(names);
    }
    let settings = service.env.iter().find(|(name, _)| name.as_str() == "DJANGO_SETTINGS_MODULE");
    let first = settings.and_then(|(_, module)| module.split('.').next()).unwrap_or_default();
    found.sort_by_key(|name| name != first);
    found
}

/// The file and the text of a module that is the service's own.
fn source(folder: &Path, module: &str) -> Option<(String, String)> {
    let path = module.replace('.', "/");
    let bases = [folder.to_owned(), folder.join("src")];
    let files = bases.iter().flat_map(|base| [base.join(format!("{path}.py")), base.join(&path).join("__init__.py")]);
    let file = files.into_iter().find(|file| file.is_file())?;
    // A file that cannot be read as text is for the import to judge.
    let text = fs_err::read(&file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    Some((shown(folder, &file), text))
}

/// Whether a module has a name, or may have it out of another.
fn knows(text: &str, name: &str) -> bool {
    let mut words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.any(|word| word == name) || text.contains("import *") || text.contains("__getattr__")
}

fn file_of(module: &str) -> String {
    format!("{}.py", module.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pinnace_manifest::{Manifest, Service};

    use super::{by_convention, named};
    use crate::doctor::{Check, Outcome};

    fn service(root: &Path, files: &[(&str, &str)]) -> Service {
        fs_err::create_dir_all(root.join("shop")).unwrap();
        for (name, text) in files {
            let file = root.join("shop").join(name);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        fs_err::write(root.join("pinnace.toml"), "[system]\nname = \"s\"\n[service.shop]\n").unwrap();
        Manifest::load(&root.join("pinnace.toml")).unwrap().service("shop").unwrap().clone()
    }

    fn found(files: &[(&str, &str)]) -> Check {
        let root = tempfile::tempdir().unwrap();
        by_convention(&service(root.path(), files))
    }

    #[test]
    fn applications_of_every_framework_are_found_by_convention() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[("main.py", "app = FastAPI()")], "main:app"),
            (&[("main.py", "x = 1"), ("app.py", "def create_app(): ...")], "app:create_app"),
            (&[("shop/wsgi.py", "application = get_wsgi_application()"), ("manage.py", "")], "shop.wsgi:application"),
            (&[("store/__init__.py", "def make_app(): ...")], "store:make_app"),
            (&[("src/store/__init__.py", "from .web import *")], "store:app"),
        ];
        for (files, target) in cases {
            assert_eq!(found(files), Check::ok("application", format!("found by convention: `{target}`")));
        }
    }

    #[test]
    fn none_is_a_failure_that_says_what_was_tried() {
        let none = found(&[("web.py", "app = 1")]);
        let expected = Check::failure("application", "no application is found by convention")
            .with_detail(["main", "app", "wsgi", "asgi"].map(|module| format!("there is no {module}.py")))
            .with_hint("name it: `app = \"module:attribute\"`");
        assert_eq!(none, expected);
        assert_eq!(found(&[("main.py", "site = 1")]).outcome, Outcome::Warning);
    }

    #[test]
    fn a_target_that_is_named_is_looked_up_as_far_as_files_tell() {
        let root = tempfile::tempdir().unwrap();
        let folder = service(root.path(), &[("web/site.py", "class Site: ...\nshop = Site()\n")]).path;
        assert_eq!(named(&folder, "web.site:shop"), Check::ok("application", "`web.site:shop`"));
        assert_eq!(named(&folder, "web.site:Site.wsgi()"), Check::ok("application", "`web.site:Site.wsgi()`"));
        let wrong = named(&folder, "web.site:shp");
        assert_eq!(wrong.message, "`web.site:shp`: nothing in web/site.py is called `shp`");
        let elsewhere = named(&folder, "superset.app:create_app");
        assert_eq!(elsewhere.outcome, Outcome::Warning);
        assert_eq!(elsewhere.message, "`superset.app:create_app`: there is no superset/app.py in the folder");
    }
}
