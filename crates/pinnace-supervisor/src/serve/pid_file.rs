//! The file that names this process for scripts, as long as it runs.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The file. Dropping it takes it away, unless another process has written its own number since.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    text: String,
}

impl PidFile {
    /// Writes the file, over one that was left behind.
    pub(super) fn write(path: &Path) -> io::Result<Self> {
        let file = Self { path: path.to_owned(), text: format!("{}\n", std::process::id()) };
        fs::write(path, &file.text)?;
        Ok(file)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            // One that stays names a process that is gone, which whoever reads it has to look at anyway.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PidFile;

    #[test]
    fn it_goes_with_its_process_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serve.pid");
        let file = PidFile::write(&path).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
        let replaced = PidFile::write(&path).unwrap();
        fs_err::write(&path, "1\n").unwrap();
        drop(replaced);
        assert!(path.exists(), "it names another process");
    }
}
