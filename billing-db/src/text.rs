//! Searching texts without regard to case, in every script: SQLite's own `lower` knows ASCII only.

use diesel::SqliteConnection;

use crate::backend::Backend;
use crate::error::DbError;

#[diesel::declare_sql_function]
extern "SQL" {
    /// Whether the first text contains the second, which is in lower case already.
    fn text_contains(text: diesel::sql_types::Text, lower: diesel::sql_types::Text) -> diesel::sql_types::Bool;
}

/// Makes `text_contains` known to a connection.
pub(crate) fn register(c: &mut SqliteConnection) -> Result<(), DbError> {
    text_contains_utils::register_impl(c, |text: String, lower: String| text.to_lowercase().contains(&lower))?;
    Ok(())
}

/// The condition that one of `columns` contains the text `?`, which is in lower case and stands there once a column.
pub(crate) fn any_contains<const N: usize>(backend: Backend, columns: [&str; N]) -> String {
    let conditions = columns.map(|column| match backend {
        Backend::Postgres => format!("position(?::text in lower({column} collate \"default\")) > 0"),
        Backend::Sqlite => format!("text_contains(coalesce({column}, ''), ?)"),
    });
    format!("({})", conditions.join(" or "))
}
