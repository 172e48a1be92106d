//! The dictionary of a partition: names that the journal stores as numbers.

use std::collections::HashMap;
use std::sync::Arc;

use billing_db::NameRow;

/// The committed names of a partition, numbered from 1.
#[derive(Debug, Default)]
pub(super) struct Names {
    list: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, i32>,
}

impl Names {
    /// The highest number in use; 0 when there is none.
    pub(super) fn last(&self) -> i32 {
        i32::try_from(self.list.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn number(&self, name: &str) -> Option<i32> {
        self.numbers.get(name).copied()
    }

    pub(super) fn name(&self, number: i32) -> Option<Arc<str>> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.list.get(index).cloned()
    }

    /// Takes a name in, if it is the next one; earlier ones are known.
    pub(super) fn add(&mut self, number: i32, name: &Arc<str>) {
        if number == self.last() + 1 {
            self.list.push(Arc::clone(name));
            self.numbers.insert(Arc::clone(name), number);
        }
    }

    pub(super) fn extend(&mut self, rows: Vec<NameRow>) {
        for row in rows {
            self.add(row.name_id, &Arc::from(row.name));
        }
    }
}
