insert into holds as h (partition,
    account, hold_id, placed_sequence, state, amount, captured, expires_at, placed_at, updated_at, category,
    description, reference, metadata)
select p.partition,
    t.account, t.hold_id, t.placed_sequence, t.state, t.amount, t.captured, t.expires_at, t.placed_at, t.updated_at,
    t.category, t.description, t.reference, t.metadata
from unnest(
        $1::bigint[], $2::text[], $3::bigint[], $4::smallint[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[]
    ) as t(
        account, hold_id, placed_sequence, state, amount, captured, expires_at, placed_at, updated_at, category,
        description, reference, metadata),
    (select partition from partitions where partition = $14) p
on conflict (partition, account, hold_id) do update set
    placed_sequence = excluded.placed_sequence, state = excluded.state, amount = excluded.amount,
    captured = excluded.captured, expires_at = excluded.expires_at, placed_at = excluded.placed_at,
    updated_at = excluded.updated_at, category = excluded.category, description = excluded.description,
    reference = excluded.reference, metadata = excluded.metadata
