//! Writes files that hold credentials: only their owner may read them, and a reader never sees half of one.
//! Used by `sim` and `demo`.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use tempfile::NamedTempFile;

/// Writes a file with mode 0600, whole or not at all. An existing file or link of that name is replaced and
/// not written to, so its mode and its open readers do not matter. Fails if the path is not a regular file,
/// such as a folder or a device.
pub fn write(path: &Path, content: &str) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it exists, and is not a regular file"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The temporary file is in the same folder, since it can be renamed within one file system only. Its
    // mode is 0600 from the start.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_written_file_is_private_and_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        write(&path, "first").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap(), mode(&path)), ("first".to_owned(), 0o600));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        // Somebody has it open already.
        let mut open = fs::File::open(&path).unwrap();
        write(&path, "second").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap(), mode(&path)), ("second".to_owned(), 0o600));
        assert_eq!(io::read_to_string(&mut open).unwrap(), "first", "they see nothing of the new one");
        assert_eq!(names(folder.path()), ["kubeconfig"]);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("kubeconfig"), folder.path().join("other"));
        fs::write(&other, "somebody's").unwrap();
        symlink(&other, &path).unwrap();
        write(&path, "secret").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "somebody's");
        assert_eq!((fs::read_to_string(&path).unwrap(), mode(&path)), ("secret".to_owned(), 0o600));
        fs::remove_file(&path).unwrap();
        symlink(folder.path().join("gone"), &path).unwrap();
        write(&path, "secret").unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn only_files_are_replaced_and_no_temporary_file_remains() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path(), "secret").is_err());
        assert!(write(Path::new("/dev/null"), "secret").is_err());
        assert!(write(&folder.path().join("no/such"), "secret").is_err());
        assert_eq!(names(folder.path()), [""; 0]);
    }
}
