//! The watcher with real files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pinnace_manifest::Manifest;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Change, Watched, Watcher};

struct Tree {
    folder: TempDir,
    root: PathBuf,
    services: Vec<Watched>,
}

struct Followed {
    _watcher: Watcher,
    changes: mpsc::Receiver<Change>,
    tree: Tree,
    seen: BTreeSet<String>,
}

/// A system with the services `orders`, which also watches `shared`, and `catalog`.
fn tree() -> Tree {
    let folder = tempfile::tempdir().unwrap();
    let root = fs_err::canonicalize(folder.path()).unwrap();
    for folder in ["orders/shop", "catalog", "shared/deep", "orders/.venv", "orders/__pycache__"] {
        fs_err::create_dir_all(root.join(folder)).unwrap();
    }
    let manifest = "[system]\nname = \"shop\"\n\
        [service.orders]\npath = \"orders\"\napp = \"a:app\"\nwatch = [\"../shared/**/*.py\", \"settings/*.db\"]\n\
        [service.catalog]\npath = \"catalog\"\napp = \"a:app\"\n";
    fs_err::write(root.join("pinnace.toml"), manifest).unwrap();
    let manifest = Manifest::load(&root.join("pinnace.toml")).unwrap();
    let services = manifest.services.iter().map(Watched::from).collect();
    Tree { folder, root, services }
}

fn follow(tree: Tree) -> Followed {
    let (changed, changes) = mpsc::channel(16);
    let (hub, file) = ("hub".parse().unwrap(), tree.root.join("pinnace.toml"));
    let watcher = Watcher::start(&tree.services, Some((&hub, &file)), changed).unwrap();
    Followed { _watcher: watcher, changes, tree, seen: BTreeSet::new() }
}

impl Followed {
    fn write(&self, file: &str) {
        fs_err::write(self.tree.root.join(file), "x = 1\n").unwrap();
    }

    async fn next(&mut self) -> (String, Vec<String>) {
        let change = timeout(Duration::from_secs(20), self.changes.recv()).await.expect("a change").unwrap();
        let root = &self.tree.root;
        let name = |file: &Path| file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        (change.service.to_string(), change.files.iter().map(|file| name(file)).collect())
    }

    /// These files of this service are told next, and none besides; a slow machine may tell them one by one, or twice.
    async fn expect(&mut self, service: &str, files: &[&str]) {
        let mut missing: BTreeSet<&str> = files.iter().copied().collect();
        while !missing.is_empty() {
            let (whose, told) = self.next().await;
            let again = told.iter().all(|file| self.seen.contains(file));
            assert!(whose == service || again, "{whose} {told:?}");
            for file in told {
                assert!(missing.remove(file.as_str()) || self.seen.contains(&file), "{file} was told");
                self.seen.insert(file);
            }
        }
    }
}

#[tokio::test]
async fn the_manifest_is_told_for_the_hub_and_no_other_file_beside_it() {
    let mut followed = follow(tree());
    followed.write("notes.txt");
    followed.write("pinnace.toml");
    followed.expect("hub", &["pinnace.toml"]).await;
}

#[tokio::test]
async fn a_saved_file_is_told_once_for_its_service() {
    let mut followed = follow(tree());
    followed.write("orders/shop/views.py");
    followed.write("orders/shop/models.py");
    followed.expect("orders", &["orders/shop/models.py", "orders/shop/views.py"]).await;
    followed.write("catalog/app.py");
    followed.expect("catalog", &["catalog/app.py"]).await;
    // As editors save: beside it, then over it.
    followed.write("catalog/app.py~");
    fs_err::rename(followed.tree.root.join("catalog/app.py~"), followed.tree.root.join("catalog/app.py")).unwrap();
    followed.expect("catalog", &["catalog/app.py"]).await;
    fs_err::remove_file(followed.tree.root.join("catalog/app.py")).unwrap();
    followed.expect("catalog", &["catalog/app.py"]).await;
}

#[tokio::test]
async fn touching_a_file_counts_and_reading_does_not() {
    let tree = tree();
    fs_err::write(tree.root.join("orders/a.py"), "").unwrap();
    fs_err::write(tree.root.join("orders/b.py"), "").unwrap();
    let mut followed = follow(tree);
    fs_err::read(followed.tree.root.join("orders/a.py")).unwrap();
    fs_err::OpenOptions::new().append(true).open(followed.tree.root.join("orders/b.py")).unwrap();
    followed.expect("orders", &["orders/b.py"]).await;
}

#[tokio::test]
async fn what_is_ignored_is_not_told() {
    let tree = tree();
    fs_err::write(tree.root.join(".gitignore"), "media/\n*.css\n").unwrap();
    fs_err::create_dir(tree.root.join("orders/media")).unwrap();
    let mut followed = follow(tree);
    for file in ["__pycache__/x.pyc", ".venv/x.py", "media/x.py", "x.css", "db.sqlite3", "db.sqlite3-journal", "x.py~"]
    {
        followed.write(&format!("orders/{file}"));
    }
    followed.write("orders/last.py");
    followed.expect("orders", &["orders/last.py"]).await;
}

#[tokio::test]
async fn a_new_folder_is_followed_with_the_files_that_it_has_already() {
    let mut followed = follow(tree());
    let outside = followed.tree.folder.path().join("outside");
    fs_err::create_dir_all(outside.join("deep/er")).unwrap();
    fs_err::write(outside.join("deep/er/x.py"), "").unwrap();
    fs_err::rename(outside.join("deep"), followed.tree.root.join("orders/deep")).unwrap();
    followed.expect("orders", &["orders/deep/er/x.py"]).await;
    followed.write("orders/deep/er/y.py");
    followed.expect("orders", &["orders/deep/er/y.py"]).await;
    fs_err::remove_dir_all(followed.tree.root.join("orders/deep")).unwrap();
    assert_eq!(followed.next().await.0, "orders");
    // The same name again, which has to be watched anew.
    fs_err::create_dir_all(followed.tree.root.join("orders/deep/er")).unwrap();
    followed.write("orders/deep/er/z.py");
    followed.expect("orders", &["orders/deep/er/z.py"]).await;
    followed.write("orders/deep/er/w.py");
    followed.expect("orders", &["orders/deep/er/w.py"]).await;
}

#[tokio::test]
async fn globs_name_files_outside_and_files_that_are_ignored_otherwise() {
    let tree = tree();
    fs_err::create_dir(tree.root.join("orders/settings")).unwrap();
    let mut followed = follow(tree);
    followed.write("shared/deep/readme.txt");
    followed.write("shared/deep/prices.py");
    followed.expect("orders", &["shared/deep/prices.py"]).await;
    followed.write("orders/settings/rates.db");
    followed.expect("orders", &["orders/settings/rates.db"]).await;
}

#[tokio::test]
async fn a_changed_gitignore_holds_at_once() {
    let tree = tree();
    fs_err::write(tree.root.join("orders/.gitignore"), "generated/\n").unwrap();
    fs_err::create_dir(tree.root.join("orders/generated")).unwrap();
    let mut followed = follow(tree);
    fs_err::write(followed.tree.root.join("orders/.gitignore"), "").unwrap();
    followed.expect("orders", &["orders/.gitignore"]).await;
    followed.write("orders/generated/x.py");
    followed.expect("orders", &["orders/generated/x.py"]).await;
}

#[tokio::test]
async fn more_than_anyone_can_follow_counts_as_a_change_of_everything() {
    let mut followed = follow(tree());
    // On one thread the task cannot look at any of it meanwhile.
    for number in 0..3000 {
        followed.write(&format!("orders/{number}.py"));
    }
    let mut told = BTreeSet::new();
    while told.len() < 3 {
        told.insert(followed.next().await.0);
    }
    followed.write("orders/after.py");
    while !followed.next().await.1.contains(&"orders/after.py".to_owned()) {}
}

#[tokio::test]
async fn dropping_it_ends_the_following() {
    let Followed { _watcher: watcher, mut changes, tree: _tree, seen: _ } = follow(tree());
    drop(watcher);
    assert_eq!(timeout(Duration::from_secs(20), changes.recv()).await.expect("an end"), None);
}
