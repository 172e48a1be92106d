insert into holds as h (partition,
    account, hold_id, state, amount, captured, expires_at, placed_at, updated_at, category, description,
    reference, metadata)
select p.partition,
    t.account, t.hold_id, t.state, t.amount, t.captured, t.expires_at, t.placed_at, t.updated_at, t.category,
    t.description, t.reference, t.metadata
from unnest(
        $1::bigint[], $2::text[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[]
    ) as t(
        account, hold_id, state, amount, captured, expires_at, placed_at, updated_at, category, description,
        reference, metadata),
    (select partition from partitions where partition = $13) p
on conflict (partition, account, hold_id) do update set
    state = excluded.state, amount = excluded.amount, captured = excluded.captured,
    expires_at = excluded.expires_at, placed_at = excluded.placed_at, updated_at = excluded.updated_at,
    category = excluded.category, description = excluded.description, reference = excluded.reference,
    metadata = excluded.metadata
