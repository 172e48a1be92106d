//! Whether the copy says of every account what the original says.

use std::collections::{BTreeMap, HashMap};

use anyhow::bail;
use billing_db::heads::{self, HeadRow, LastRow};
use billing_db::{AccountRow, Database};

use super::source::Source;
use crate::commands::progress;

/// How many accounts one query reads.
const AT_ONCE: usize = 500;

/// Compares settings and newest rows, account by account.
pub(super) fn heads(old: &Database, new: &Database, source: &Source) -> anyhow::Result<()> {
    let bar = progress("comparing", u64::try_from(source.owners.len())?);
    let mut moves: BTreeMap<(i16, i16), Vec<&str>> = BTreeMap::new();
    for ((partition, _), owner) in &source.owners {
        moves.entry((*partition, owner.home)).or_default().push(&owner.account_id);
    }
    for ((from, to), ids) in moves {
        for ids in ids.chunks(AT_ONCE) {
            compare(&load(old, from, ids)?, &load(new, to, ids)?, ids)?;
            bar.inc(u64::try_from(ids.len())?);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn load(database: &Database, partition: i16, ids: &[&str]) -> anyhow::Result<HashMap<String, HeadRow>> {
    let rows = database.read(|conn| heads::load_by_ids(conn, partition, ids))?;
    // What depends on the place is left out of the comparison.
    let placeless = |row: HeadRow| HeadRow {
        account: AccountRow { partition: 0, account: 0, ..row.account },
        last: LastRow { position: 0, ..row.last },
    };
    Ok(rows.into_iter().map(|row| (row.account.account_id.clone(), placeless(row))).collect())
}

fn compare(old: &HashMap<String, HeadRow>, new: &HashMap<String, HeadRow>, ids: &[&str]) -> anyhow::Result<()> {
    for id in ids {
        if old.get(*id) != new.get(*id) || !old.contains_key(*id) {
            bail!("account {id} is not in the copy what it is in the original");
        }
    }
    Ok(())
}
