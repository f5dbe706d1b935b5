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
