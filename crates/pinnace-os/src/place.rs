//! What may be done in a place of the file system, without doing it.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

/// Bytes that this user may still write to the file system of a path.
pub fn free_space(path: &Path) -> io::Result<u64> {
    let found = statvfs(path)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// Whether this process may make files in a folder.
pub fn may_write(folder: &Path) -> bool {
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// Whether this process may write to a file.
pub fn may_write_file(file: &Path) -> bool {
    access(file, AccessFlags::W_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{free_space, may_write, may_write_file};

    #[test]
    fn a_folder_of_ones_own_has_room_and_one_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_space(folder.path()).unwrap() > 0);
        assert!(may_write(folder.path()));
        let file = folder.path().join("file");
        fs_err::write(&file, "").unwrap();
        assert!(may_write_file(&file) && !may_write_file(&folder.path().join("other")));
        let absent = folder.path().join("absent");
        assert!(free_space(&absent).is_err() && !may_write(&absent));
    }
}
