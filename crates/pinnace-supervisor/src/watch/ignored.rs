//! What is no source of a service: what tools and the service itself write, and what `.gitignore` names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Names that never count, in the language of `.gitignore`.
const NAMES: &[&str] = &[
    // Version control and ourselves.
    ".git",
    ".hg",
    ".svn",
    ".pinnace",
    // What Python and its tools write.
    "__pycache__",
    "*.py[cod]",
    "*.egg-info/",
    ".venv/",
    ".tox/",
    ".nox/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".coverage",
    ".coverage.*",
    "node_modules/",
    ".idea/",
    ".vscode/",
    // What a running service writes.
    "*.sqlite",
    "*.sqlite-*",
    "*.sqlite3",
    "*.sqlite3-*",
    "*.db",
    "*.db-*",
    "*.log",
    "*.pid",
    "*.sock",
    "celerybeat-schedule*",
    // What editors write beside the file that is edited.
    "*~",
    ".#*",
    "\\#*#",
    "*.sw[opx]",
    "4913",
    "*.tmp",
    ".goutputstream-*",
    "*___jb_*___",
    ".*.kate-swp",
    ".DS_Store",
];

/// The files that say what is ignored, as they were read.
#[derive(Debug)]
pub(super) struct Ignored {
    names: Gitignore,
    /// By the folder that they are in; those without one are empty.
    files: HashMap<PathBuf, Arc<Gitignore>>,
}

impl Default for Ignored {
    fn default() -> Self {
        let mut builder = GitignoreBuilder::new("/");
        for name in NAMES {
            // A test holds that every one is understood.
            let _ = builder.add_line(None, name);
        }
        Self { names: builder.build().unwrap_or_else(|_| Gitignore::empty()), files: HashMap::new() }
    }
}

impl Ignored {
    /// What `.gitignore` files say is read anew.
    pub(super) fn forget(&mut self) {
        self.files.clear();
    }

    /// Whether a folder never counts, whatever `.gitignore` says.
    pub(super) fn is_foreign_folder(&self, folder: &Path) -> bool {
        self.names.matched(folder, true).is_ignore() || folder.join("pyvenv.cfg").exists()
    }

    /// Whether a path below `base` does not count, by itself or by a folder that it is in. `.gitignore` files count from
    /// `top` down, the nearest first, as in git.
    pub(super) fn is_ignored(&mut self, top: &Path, base: &Path, path: &Path, is_folder: bool) -> bool {
        let folders: Vec<&Path> = path.ancestors().skip(1).take_while(|folder| *folder != base).collect();
        let in_ignored = folders.into_iter().rev().any(|folder| self.matches(top, folder, true));
        in_ignored || self.matches(top, path, is_folder)
    }

    fn matches(&mut self, top: &Path, path: &Path, is_folder: bool) -> bool {
        if self.names.matched(path, is_folder).is_ignore() || is_folder && path.join("pyvenv.cfg").exists() {
            return true;
        }
        for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(top)) {
            match self.file(folder).matched(path, is_folder) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }

    fn file(&mut self, folder: &Path) -> Arc<Gitignore> {
        let read = || {
            let file = folder.join(".gitignore");
            // Lines that are not understood are passed over, as git does.
            Arc::new(if file.is_file() { Gitignore::new(file).0 } else { Gitignore::empty() })
        };
        Arc::clone(self.files.entry(folder.to_owned()).or_insert_with(read))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Ignored, NAMES};
    use ignore::gitignore::GitignoreBuilder;

    #[test]
    fn every_name_is_understood() {
        let mut builder = GitignoreBuilder::new("/");
        for name in NAMES {
            assert!(builder.add_line(None, name).is_ok(), "{name}");
        }
        assert_eq!(builder.build().unwrap().len(), NAMES.len());
    }

    #[test]
    fn what_tools_and_the_service_write_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        let mut ignored = Ignored::default();
        for name in [
            ".git/index",
            "__pycache__/x.pyc",
            "a/b/__pycache__/x",
            "x.pyc",
            ".venv/lib/x.py",
            "db.sqlite3",
            "db.sqlite3-journal",
            "a/data.db",
            "data.db-wal",
            "main.py~",
            ".main.py.swp",
            "#main.py#",
            ".#main.py",
            "4913",
            "debug.log",
            "node_modules/x/index.js",
            ".pinnace/run/up.json",
        ] {
            assert!(ignored.is_ignored(base, base, &base.join(name), false), "{name} counts");
        }
        for name in
            ["main.py", "templates/index.html", "dbx.py", "git.py", "requirements.txt", ".env", "a.tmpl", "logs.py"]
        {
            assert!(!ignored.is_ignored(base, base, &base.join(name), false), "{name} does not count");
        }
    }

    #[test]
    fn an_environment_is_known_by_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        fs_err::create_dir(base.join("myenv")).unwrap();
        fs_err::write(base.join("myenv/pyvenv.cfg"), "").unwrap();
        assert!(Ignored::default().is_ignored(base, base, &base.join("myenv/lib/x.py"), false));
    }

    #[test]
    fn gitignore_files_hold_as_in_git() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        let base = top.join("services/orders");
        fs_err::create_dir_all(base.join("static")).unwrap();
        fs_err::write(top.join(".gitignore"), "*.css\n/services/orders/build/\n").unwrap();
        fs_err::write(base.join("static/.gitignore"), "!own.css\n*.map\n").unwrap();
        let mut ignored = Ignored::default();
        let mut counts = |name: &str| !ignored.is_ignored(top, &base, &base.join(name), false);
        assert!(!counts("x.css"));
        assert!(!counts("build/x.py"));
        assert!(counts("static/own.css"));
        assert!(!counts("static/other.css"));
        assert!(!counts("static/x.map"));
        assert!(counts("x.map"));
        fs_err::write(top.join(".gitignore"), "").unwrap();
        ignored.forget();
        assert!(!ignored.is_ignored(top, &base, &base.join("x.css"), false));
        assert!(!ignored.is_ignored(Path::new("/nowhere"), &base, &base.join("static/x.map"), false), "above `top`");
    }
}
