insert into journal as j (partition, position,
    account, sequence, kind, format, writer, entry_sequence, amount, posted_after, held_after, available_after,
    bonus_after, credit_limit_after, promised_after, not_due_after, overdue_after, counter, category, created_by,
    booking_date, occurred_at, recorded_at, key_hash, idempotency_key, description, reference, details,
    texts_digest, payload, hash)
select p.partition, $1::bigint + t.o,
    t.account, t.sequence, t.kind, t.format, t.writer, t.entry_sequence, t.amount, t.posted_after, t.held_after,
    t.available_after, t.bonus_after, t.credit_limit_after, t.promised_after, t.not_due_after, t.overdue_after,
    t.counter, t.category, t.created_by, t.booking_date, t.occurred_at, t.recorded_at, t.key_hash,
    t.idempotency_key, t.description, t.reference, t.details, t.texts_digest, t.payload, t.hash
from (
        select partition from partitions where partition = $2 and epoch = $3 and format <= $4 for no key update
    ) p,
    unnest(
        $5::bigint[], $6::bigint[], $7::smallint[], $8::smallint[], $9::integer[], $10::bigint[],
        $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
        $17::bigint[], $18::bigint[], $19::bigint[], $20::integer[], $21::integer[], $22::integer[],
        $23::integer[], $24::bigint[], $25::bigint[], $26::bytea[], $27::text[], $28::text[], $29::text[],
        $30::text[], $31::bytea[], $32::text[], $33::bytea[]
    ) with ordinality as t(
        account, sequence, kind, format, writer, entry_sequence, amount, posted_after, held_after,
        available_after, bonus_after, credit_limit_after, promised_after, not_due_after, overdue_after,
        counter, category, created_by, booking_date, occurred_at, recorded_at, key_hash, idempotency_key,
        description, reference, details, texts_digest, payload, hash, o)
where exists (
        select 1 from journal h where h.partition = $2 and h.position = $1 and h.hash = $34
    )
