//! The migrations.

use std::collections::BTreeSet;

use billing_db::{Conn, Database, DbError, ErrorKind, Options, migrate, partitions};
use diesel::deserialize::QueryableByName;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_migrations::MigrationHarness;

use crate::fixtures::*;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, QueryableByName)]
#[allow(clippy::struct_field_names, reason = "`column` alone is a word of SQL")]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
}

fn columns(database: &Database) -> BTreeSet<Column> {
    const POSTGRES: &str = "select table_name::text, column_name::text, is_nullable = 'YES' as nullable
        from information_schema.columns where table_schema = 'public' and table_name not like '\\_\\_diesel%'";
    const SQLITE: &str = "select m.name as table_name, c.name as column_name, c.\"notnull\" = 0 as nullable
        from sqlite_master m join pragma_table_info(m.name) c
        where m.type = 'table' and m.name not like '\\_\\_diesel%' escape '\\' and m.name not like 'sqlite\\_%' escape '\\'";
    let columns: Vec<Column> = write(database, |conn| {
        Ok(match conn {
            Conn::Postgres(c) => diesel::sql_query(POSTGRES).load(*c)?,
            Conn::Sqlite(c) => diesel::sql_query(SQLITE).load(*c)?,
        })
    })
    .unwrap();
    columns.into_iter().collect()
}

#[test]
fn both_trees_make_the_same_tables() {
    let sqlite = columns(&sqlite());
    assert!(sqlite.iter().any(|column| column.table_name == "journal"));
    if let Some(database) = postgres() {
        assert_eq!(columns(&database), sqlite);
    }
}

#[test]
fn up_down_up_works() {
    on_both(|database| {
        let before = columns(database);
        write(database, |conn| {
            match conn {
                Conn::Postgres(c) => c.revert_all_migrations(migrate::POSTGRES).map(|_| ()),
                Conn::Sqlite(c) => c.revert_all_migrations(migrate::SQLITE).map(|_| ()),
            }
            .map_err(DbError::Migration)
        })
        .unwrap();
        assert_eq!(columns(database), BTreeSet::new());
        assert!(migrate::pending(database).unwrap());
        migrate(database);
        assert!(!migrate::pending(database).unwrap());
        assert_eq!(columns(database), before);
    });
}

#[test]
fn a_new_database_has_what_it_begins_with() {
    on_both(|database| {
        let again = migrate::run(database, None, 2_000, "other", &genesis).unwrap();
        assert_eq!((again.created, again.partitions, again.applied), (false, 2, vec![]));
        let (all, settings) = write(database, |conn| {
            let names = ["partitions", "token_secret", "oldest_server", "created_at", "database_id", "nothing"];
            let settings: Result<Vec<_>, _> = names.iter().map(|name| partitions::setting(conn, name)).collect();
            Ok((partitions::all(conn)?, settings?))
        })
        .unwrap();
        assert_eq!(
            all.iter().map(|row| (row.partition, row.epoch, row.format)).collect::<Vec<_>>(),
            [(0, 1, 1), (1, 1, 1)]
        );
        assert_eq!(settings[0].as_deref(), Some("2"));
        assert_eq!(settings[1], Some("ab".repeat(32)));
        assert_eq!(settings[2].as_deref(), Some("1"));
        assert_eq!(settings[3].as_deref(), Some("1000"));
        assert_eq!(settings[4].as_ref().map(String::len), Some(32));
        assert_eq!(settings[5], None);
        assert_eq!(migrate::finalize(database).unwrap(), 1);
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    on_both(|database| {
        let error = migrate::run(database, Some(3), 0, "", &genesis).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(error.to_string().contains("repartition"));
        write(database, |conn| partitions::put_setting(conn, "oldest_server", "2")).unwrap();
        let error = migrate::run(database, None, 0, "", &genesis).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
    });
}

#[test]
fn servers_that_start_at_once_do_not_collide() {
    let Some(cluster) = cluster() else { return };
    let url = cluster.create_database().unwrap();
    let created: usize = std::thread::scope(|scope| {
        let servers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let database = Database::open(&url, &Options::default()).unwrap();
                    migrate::run(&database, Some(4), 0, "secret", &genesis).unwrap().created
                })
            })
            .collect();
        servers.into_iter().map(|server| usize::from(server.join().unwrap())).sum()
    });
    assert_eq!(created, 1);
}
