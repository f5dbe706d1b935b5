//! A folder has one holder, and the next one learns which process that is.

use pinnace_os::{FolderLock, LockError};

#[test]
fn a_second_holder_is_refused_and_told_who_the_first_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let first = FolderLock::acquire(&path).unwrap();
    let Err(LockError::Held { holder, .. }) = FolderLock::acquire(&path) else { panic!("a second holder was let in") };
    assert_eq!(holder, std::process::id());
    drop(first);
    FolderLock::acquire(&path).unwrap();
}

#[test]
fn whoever_asks_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    assert!(!FolderLock::is_held(&path).unwrap());
    assert!(!path.exists());
    let lock = FolderLock::acquire(&path).unwrap();
    assert!(FolderLock::is_held(&path).unwrap());
    let written = fs_err::read_to_string(&path).unwrap();
    drop(lock);
    assert!(!FolderLock::is_held(&path).unwrap());
    assert_eq!(fs_err::read_to_string(&path).unwrap(), written);
}
