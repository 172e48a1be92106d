//! What can go wrong, sorted by what the caller has to do about it.

use diesel::result::{DatabaseErrorKind, Error};

/// What to do about a [`DbError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A unique key is taken (23505): somebody was first; read again.
    Conflict,
    /// Serialisation failure or deadlock (40001, 40P01): nothing happened; try the same again.
    Retry,
    /// The change may or may not have happened (XX000, 08xxx, 57xxx, a broken link): find out by reading.
    OutcomeUnknown,
    /// The database cannot be reached, or is busy; nothing happened.
    Unavailable,
    /// The disk is full; nothing happened.
    StorageFull,
    /// The values offered violate a rule of the schema (22xxx, 23502, 23514 and the like).
    BadData,
    /// Another process owns the SQLite file.
    InUse,
    /// This server and that database do not fit together.
    Incompatible,
    /// A mistake in this program or in the set-up.
    Other,
}

/// An error of the storage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// A statement failed.
    #[error("the database refused a statement: {0}")]
    Query(#[from] Error),
    /// No connection could be made.
    #[error("cannot connect to the database: {0}")]
    Connect(#[source] diesel::ConnectionError),
    /// No connection of the pool became free in time.
    #[error("no database connection became free: {0}")]
    Pool(#[from] diesel::r2d2::PoolError),
    /// The URL names no database this service knows.
    #[error("the database URL must begin with `sqlite:`, `postgres://` or `postgresql://`, not `{0}`")]
    UnknownScheme(String),
    /// Another process owns the SQLite file.
    #[error("the database {0} is in use by another process")]
    InUse(String),
    /// The URL asks for TLS, which the libpq of this build does not have.
    #[error(
        "the database URL asks for TLS, which this build does not have: build with the feature `postgres-tls` or \
         `postgres-tls-vendored`, or say `sslmode=disable`"
    )]
    NoTls,
    /// The schema is newer than this server.
    #[error("the schema of the database serves servers from {oldest_server} on; this one knows version {known}")]
    TooNew {
        /// What the schema demands.
        oldest_server: i64,
        /// What this server offers.
        known: i64,
    },
    /// Another number of partitions was asked for than the database has.
    #[error("the database has {existing} partitions, not {asked}: use `repartition` to change their number")]
    Partitions {
        /// How many the settings ask for.
        asked: u16,
        /// How many there are.
        existing: u16,
    },
    /// A migration failed.
    #[error("a migration failed: {0}")]
    Migration(Box<dyn std::error::Error + Send + Sync>),
    /// A file of the database could not be opened or locked.
    #[error("cannot use the database file {path}: {cause}")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        cause: std::io::Error,
    },
    /// The caller, or the database, broke a rule of this crate.
    #[error("{0}")]
    Invariant(String),
}

impl From<diesel::ConnectionError> for DbError {
    /// libpq looks at what is asked of it, in the URL or in its environment, before it connects.
    fn from(error: diesel::ConnectionError) -> Self {
        match error {
            diesel::ConnectionError::BadConnection(message) if lacks_tls(&message) => DbError::NoTls,
            other => DbError::Connect(other),
        }
    }
}

impl DbError {
    /// What to do about it. Told from the SQLSTATE where diesel shows it, else from the message, never from the name of a
    /// constraint. What is not recognised counts as [`ErrorKind::OutcomeUnknown`], the careful answer.
    pub fn kind(&self) -> ErrorKind {
        match self {
            DbError::Query(error) => kind_of_query(error),
            DbError::Migration(error) => kind_of_migration(&error.to_string()),
            DbError::Connect(diesel::ConnectionError::CouldntSetupConfiguration(error)) => match kind_of_query(error) {
                ErrorKind::OutcomeUnknown => ErrorKind::Unavailable,
                kind => kind,
            },
            DbError::Connect(diesel::ConnectionError::BadConnection(_)) | DbError::Pool(_) => ErrorKind::Unavailable,
            DbError::InUse(_) => ErrorKind::InUse,
            DbError::NoTls | DbError::TooNew { .. } | DbError::Partitions { .. } => ErrorKind::Incompatible,
            DbError::File { cause, .. } if cause.kind() == std::io::ErrorKind::StorageFull => ErrorKind::StorageFull,
            DbError::Connect(_) | DbError::UnknownScheme(_) | DbError::File { .. } | DbError::Invariant(_) => {
                ErrorKind::Other
            }
        }
    }
}

fn lacks_tls(message: &str) -> bool {
    message.contains("SSL support is not compiled in")
}

/// The type diesel wraps the statement's error in is private, so only its text is left.
fn kind_of_migration(message: &str) -> ErrorKind {
    match kind_of_message(message) {
        ErrorKind::OutcomeUnknown if message.contains("duplicate key value") => ErrorKind::Conflict,
        ErrorKind::OutcomeUnknown => ErrorKind::Other,
        kind => kind,
    }
}

fn kind_of_query(error: &Error) -> ErrorKind {
    match error {
        Error::DatabaseError(kind, information) => kind_of_database_error(*kind, information.message()),
        Error::RollbackErrorOnCommit { .. } | Error::RollbackTransaction | Error::BrokenTransactionManager => {
            ErrorKind::OutcomeUnknown
        }
        _ => ErrorKind::Other,
    }
}

fn kind_of_database_error(kind: DatabaseErrorKind, message: &str) -> ErrorKind {
    match kind {
        DatabaseErrorKind::UniqueViolation => ErrorKind::Conflict,
        DatabaseErrorKind::SerializationFailure => ErrorKind::Retry,
        DatabaseErrorKind::NotNullViolation
        | DatabaseErrorKind::CheckViolation
        | DatabaseErrorKind::ForeignKeyViolation
        | DatabaseErrorKind::RestrictViolation
        | DatabaseErrorKind::ExclusionViolation => ErrorKind::BadData,
        // A primary that has become a standby: look for the new one.
        DatabaseErrorKind::ReadOnlyTransaction => ErrorKind::Unavailable,
        DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection => ErrorKind::OutcomeUnknown,
        _ => kind_of_message(message),
    }
}

/// diesel keeps the SQLSTATE of most errors to itself (`DatabaseErrorInformation` has no field for it), so the rest is
/// told from the English message; sessions ask for English.
fn kind_of_message(message: &str) -> ErrorKind {
    const KINDS: &[(ErrorKind, &[&str])] = &[
        // 40P01, and Citus' own detection of deadlocks over several nodes.
        (ErrorKind::Retry, &["deadlock detected", "involved in a distributed deadlock", "could not serialize access"]),
        // 53100 and SQLITE_FULL.
        (ErrorKind::StorageFull, &["No space left on device", "database or disk is full", "disk quota exceeded"]),
        // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_CANTOPEN; a plan that no longer fits is gone with the connection; 53300.
        (
            ErrorKind::Unavailable,
            &[
                "database is locked",
                "database table is locked",
                "unable to open database file",
                "cached plan must not change result type",
                "too many clients already",
                "the database system is",
            ],
        ),
        // 22xxx; SQLite's strict tables, triggers and arithmetic.
        (
            ErrorKind::BadData,
            &[
                "out of range",
                "invalid byte sequence",
                "invalid input syntax",
                "value too long",
                "division by zero",
                "unsupported Unicode escape sequence",
                "null character not permitted",
                "constraint failed",
                "cannot store ",
                "datatype mismatch",
                "integer overflow",
                "string or blob too big",
                "malformed JSON",
                "the journal is append-only",
            ],
        ),
        // 42xxx and their like: nothing happened, and trying again will not help.
        (
            ErrorKind::Other,
            &[
                "permission denied",
                "syntax error",
                "does not exist",
                "already exists",
                "must be owner",
                "no such ",
                "readonly database",
                "malformed",
                "is not a database",
                "too many SQL variables",
                "number of parameters must be",
                "near \"",
                "could not determine",
                "is ambiguous",
                "but expression is of type",
            ],
        ),
    ];
    let known = KINDS.iter().find(|(_, texts)| texts.iter().any(|text| message.contains(text)));
    known.map_or(ErrorKind::OutcomeUnknown, |(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: DatabaseErrorKind, message: &str) -> ErrorKind {
        DbError::Query(Error::DatabaseError(kind, Box::new(message.to_owned()))).kind()
    }

    #[test]
    fn a_message_tells_the_kind_where_the_sqlstate_is_hidden() {
        for (message, kind) in [
            ("deadlock detected", ErrorKind::Retry),
            ("could not extend file \"base/1\": No space left on device", ErrorKind::StorageFull),
            ("database or disk is full", ErrorKind::StorageFull),
            ("database is locked", ErrorKind::Unavailable),
            ("canceling statement due to statement timeout", ErrorKind::OutcomeUnknown),
            ("terminating connection due to administrator command", ErrorKind::OutcomeUnknown),
            ("disk I/O error", ErrorKind::OutcomeUnknown),
            ("failed to execute task 12", ErrorKind::OutcomeUnknown),
            ("bigint out of range", ErrorKind::BadData),
            ("invalid byte sequence for encoding \"UTF8\": 0x00", ErrorKind::BadData),
            ("database disk image is malformed", ErrorKind::Other),
            ("relation \"x\" does not exist", ErrorKind::Other),
        ] {
            assert_eq!(of(DatabaseErrorKind::Unknown, message), kind, "{message}");
        }
    }

    #[test]
    fn a_broken_link_leaves_the_outcome_unknown() {
        assert_eq!(of(DatabaseErrorKind::ClosedConnection, "deadlock detected"), ErrorKind::OutcomeUnknown);
        assert_eq!(DbError::Query(Error::BrokenTransactionManager).kind(), ErrorKind::OutcomeUnknown);
    }

    #[test]
    fn tls_asked_of_a_library_without_it_is_incompatible() {
        let message = "sslmode value \"require\" invalid when SSL support is not compiled in".to_owned();
        let error = DbError::from(diesel::ConnectionError::BadConnection(message));
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(error.to_string().contains("`postgres-tls` or `postgres-tls-vendored`"), "{error}");
    }
}
