insert into accounts as a (partition,
    account, account_id, customer_id, currency, time_zone, locale, state, billing_mode, credit_limit,
    payment_terms_days, policy_id, display_name, billing_details, metadata, secret, version, created_at,
    updated_at)
select p.partition,
    t.account, t.account_id, t.customer_id, t.currency, t.time_zone, t.locale, t.state, t.billing_mode,
    t.credit_limit, t.payment_terms_days, t.policy_id, t.display_name, t.billing_details, t.metadata, t.secret,
    t.version, t.created_at, t.updated_at
from unnest(
        $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[],
        $8::smallint[], $9::bigint[], $10::integer[], $11::text[], $12::text[], $13::text[], $14::text[],
        $15::bytea[], $16::bigint[], $17::bigint[], $18::bigint[]
    ) as t(
        account, account_id, customer_id, currency, time_zone, locale, state, billing_mode, credit_limit,
        payment_terms_days, policy_id, display_name, billing_details, metadata, secret, version, created_at,
        updated_at),
    (select partition from partitions where partition = $19) p
