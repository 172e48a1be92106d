update accounts a set
    account_id = t.account_id, customer_id = t.customer_id, currency = t.currency, time_zone = t.time_zone,
    locale = t.locale, state = t.state, billing_mode = t.billing_mode, credit_limit = t.credit_limit,
    payment_terms_days = t.payment_terms_days, policy_id = t.policy_id, display_name = t.display_name,
    billing_details = t.billing_details, metadata = t.metadata, secret = t.secret, version = t.version,
    created_at = t.created_at, updated_at = t.updated_at
from unnest(
        $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[],
        $8::smallint[], $9::bigint[], $10::integer[], $11::text[], $12::text[], $13::text[], $14::text[],
        $15::bytea[], $16::bigint[], $17::bigint[], $18::bigint[]
    ) as t(
        account, account_id, customer_id, currency, time_zone, locale, state, billing_mode, credit_limit,
        payment_terms_days, policy_id, display_name, billing_details, metadata, secret, version, created_at,
        updated_at)
where a.partition = $19 and a.account = t.account
