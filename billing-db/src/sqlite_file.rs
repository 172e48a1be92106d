//! The file of a SQLite database: one process owns it.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::DbError;

/// A database file and the lock that makes it ours; a temporary one goes away with it.
#[derive(Debug)]
pub(crate) struct SqliteFile {
    pub(crate) path: String,
    _lock: File,
    temporary: Option<PathBuf>,
}

impl SqliteFile {
    /// Takes the file; `:memory:` gets one in a directory of its own that is removed in the end, because SQLite's own
    /// memory databases cannot be shared by several connections.
    pub(crate) fn take(path: &str) -> Result<Self, DbError> {
        if path == ":memory:" {
            let directory = temporary_directory()?;
            let path = directory.join("ledger.db").to_string_lossy().into_owned();
            let lock = lock(&path)?;
            return Ok(Self { path, _lock: lock, temporary: Some(directory) });
        }
        Ok(Self { path: path.to_owned(), _lock: lock(path)?, temporary: None })
    }
}

impl Drop for SqliteFile {
    fn drop(&mut self) {
        if let Some(directory) = &self.temporary
            && let Err(error) = fs::remove_dir_all(directory)
        {
            tracing::warn!(%error, directory = %directory.display(), "cannot remove a temporary database");
        }
    }
}

fn lock(path: &str) -> Result<File, DbError> {
    let lock_path = format!("{path}.lock");
    let failed = |cause| DbError::File { path: lock_path.clone(), cause };
    let file = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DbError::InUse(path.to_owned())),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

/// A new directory that nobody else can have made.
fn temporary_directory() -> Result<PathBuf, DbError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("billing-{}-{nanos}-{count}", std::process::id()));
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&directory).map_err(|cause| DbError::File { path: directory.display().to_string(), cause })?;
    Ok(directory)
}
