//! What of some rows is sent, and in which order; balances that pile up before a slow reader are folded.

use std::collections::HashMap;
use std::sync::Arc;

use billing_proto::v1;
use billing_proto::v1::event::Payload;

use super::filter::Types;
use super::row::Row;
use super::token::Cursor;

/// An event to send.
#[derive(Debug)]
pub(super) struct Planned {
    row: Arc<Row>,
    /// Which event of the row.
    index: usize,
    /// Where the reader is once it has it.
    pub(super) after: Cursor,
    folded: Option<Folded>,
}

/// What was folded into an event.
#[derive(Debug)]
struct Folded {
    before: Option<v1::BalanceAmounts>,
    changes: i64,
}

impl Planned {
    /// The event, without its token.
    pub(super) fn event(&self) -> v1::Event {
        let mut event = self.row.events().get(self.index).cloned().unwrap_or_default();
        if let (Some(folded), Some(Payload::BalanceChanged(changed))) = (&self.folded, &mut event.payload) {
            changed.before.clone_from(&folded.before);
            changed.folded_changes = folded.changes;
        }
        event
    }

    fn payload(&self) -> Option<&Payload> {
        self.row.events().get(self.index).and_then(|event| event.payload.as_ref())
    }
}

/// The events of these rows, which stand in order of position, that a reader wants and has not had.
pub(super) fn plan(rows: &[Arc<Row>], cursor: &Cursor, types: Types) -> Vec<Planned> {
    let mut planned = Vec::with_capacity(rows.len());
    for row in rows {
        let had = cursor.sent_of(row.position());
        let wanted: Vec<usize> =
            (0..).zip(row.events()).skip(had).filter(|(_, event)| types.admit(event)).map(|(index, _)| index).collect();
        for (nth, index) in (1..).zip(wanted.iter().copied()) {
            let sent = if nth == wanted.len() { None } else { u8::try_from(index + 1).ok() };
            let after = Cursor { mark: row.mark(), sent };
            planned.push(Planned { row: Arc::clone(row), index, after, folded: None });
        }
    }
    planned
}

/// Leaves only the latest change of each account's balance, told as one change from before the first.
pub(super) fn fold(planned: Vec<Planned>) -> Vec<Planned> {
    let mut latest: HashMap<i64, usize> = HashMap::new();
    let mut kept: Vec<Option<Planned>> = Vec::with_capacity(planned.len());
    for mut event in planned {
        if let Some(Payload::BalanceChanged(changed)) = event.payload() {
            let earlier = latest.insert(event.row.record.row.account, kept.len());
            if let Some(earlier) = earlier.and_then(|index| kept.get_mut(index)).and_then(Option::take) {
                let (before, changes) = match (earlier.payload(), &earlier.folded) {
                    (_, Some(folded)) => (folded.before.clone(), folded.changes),
                    (Some(Payload::BalanceChanged(first)), None) => (first.before.clone(), 0),
                    _ => (changed.before.clone(), 0),
                };
                event.folded = Some(Folded { before, changes: changes + 1 });
            }
        }
        kept.push(Some(event));
    }
    kept.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixture::{capture, entry, made};
    use crate::feed::token::Mark;

    fn told(planned: &[Planned]) -> Vec<(i64, i64)> {
        let told = |event: v1::Event| match event.payload {
            Some(Payload::BalanceChanged(changed)) => (event.sequence, changed.folded_changes),
            _ => (event.sequence, -1),
        };
        planned.iter().map(|planned| told(planned.event())).collect()
    }

    #[test]
    fn only_the_latest_balance_of_an_account_is_left() {
        let rows = [entry(0, 1, 1, 1), entry(0, 2, 2, 1), capture(0, 3, 1, 2), entry(0, 4, 1, 3), entry(0, 5, 2, 2)];
        let rows: Vec<Arc<Row>> = rows.into_iter().map(made).collect();
        let planned = plan(&rows, &Cursor::after(Mark::default()), Types::default());
        assert_eq!(told(&planned), [(1, 0), (1, 0), (2, 0), (2, -1), (3, 0), (2, 0)]);
        let first = planned.first().map(Planned::event);
        let folded = fold(planned);
        assert_eq!(told(&folded), [(2, -1), (3, 2), (2, 1)]);
        let before = |event: Option<v1::Event>| match event.and_then(|event| event.payload) {
            Some(Payload::BalanceChanged(changed)) => changed.before,
            _ => None,
        };
        let folded_before = before(folded.get(1).map(Planned::event));
        assert!(folded_before.is_some());
        assert_eq!(folded_before, before(first));
    }

    #[test]
    fn a_row_half_sent_goes_on_with_its_next_event() {
        let rows = [made(capture(0, 3, 1, 2)), made(entry(0, 4, 1, 3))];
        let whole = plan(&rows, &Cursor::after(Mark::default()), Types::default());
        let cursors: Vec<_> = whole.iter().map(|event| (event.after.mark.position, event.after.sent)).collect();
        assert_eq!(cursors, [(3, Some(1)), (3, None), (4, None)]);
        let rest = plan(&rows, &Cursor { mark: rows[0].mark(), sent: Some(1) }, Types::default());
        assert_eq!(told(&rest), [(2, -1), (3, 0)]);
        let holds = plan(&rows, &Cursor::after(Mark::default()), Types::of([v1::EventType::BalanceChanged]));
        assert_eq!(holds.iter().map(|event| event.after.sent).collect::<Vec<_>>(), [None, None]);
    }
}
