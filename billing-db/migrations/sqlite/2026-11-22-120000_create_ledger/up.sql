-- The ledger. Every key, unique index and foreign key begins with `partition`, so that the tables can be distributed by
-- it; ids are assigned in the process, so there is no sequence. Amounts are millionths of the currency unit, instants
-- microseconds since 1970-01-01T00:00:00Z, dates days since 1970-01-01.

-- One row a partition: the anchor and the lock of every append. `epoch` fences a writer that has lost its partition,
-- `format` is the newest layout of rows that may be written, `closed_until` the last day of the closed books.
create table partitions (
    partition integer not null primary key check (partition >= 0),
    epoch integer not null check (epoch > 0),
    format integer not null check (format > 0),
    closed_until integer
) strict;

-- What holds for the whole database: the number of partitions, the secret of the tokens, the oldest server served.
create table settings (
    name text not null primary key,
    value text not null
) strict;

-- The dictionary of a partition: counter accounts, categories and principals, which the journal names by number.
create table names (
    partition integer not null references partitions,
    name_id integer not null check (name_id > 0),
    name text not null check (name <> ''),
    primary key (partition, name_id),
    unique (partition, name)
) strict;

-- Everything that happened, in order, never changed. NULL stands for zero in the amounts that are mostly zero, for the
-- row's own sequence in `entry_sequence` of an entry and for `recorded_at` in `occurred_at`: narrow rows are fast rows.
-- No foreign key: the append selects from `partitions`, and a key would be checked row by row.
create table journal (
    partition integer not null,
    position integer not null check (position >= 0),
    account integer not null check (account >= 0),
    sequence integer not null check (sequence >= 0),
    kind integer not null check (kind >= 0),
    format integer not null check (format > 0),
    writer integer not null,
    entry_sequence integer check (entry_sequence >= 0 and entry_sequence < sequence),
    amount integer not null,
    posted_after integer not null,
    held_after integer check (held_after > 0),
    available_after integer not null,
    bonus_after integer check (bonus_after > 0),
    credit_limit_after integer check (credit_limit_after > 0),
    promised_after integer check (promised_after > 0),
    not_due_after integer check (not_due_after > 0),
    overdue_after integer check (overdue_after > 0),
    counter integer,
    category integer,
    created_by integer,
    booking_date integer,
    occurred_at integer,
    recorded_at integer not null,
    key_hash blob check (length(key_hash) = 16),
    idempotency_key text,
    description text,
    reference text,
    details text,
    texts_digest blob check (length(texts_digest) = 32),
    payload text,
    hash blob not null check (length(hash) = 32),
    primary key (partition, position),
    -- An entry (kinds 1 to 13) moves money and names where to; nothing else does.
    constraint journal_entry_is_whole check (
        case when kind between 1 and 13 then amount <> 0 and counter is not null and booking_date is not null
             else amount = 0 end),
    constraint journal_available_adds_up check (
        available_after = posted_after - coalesce(held_after, 0) + coalesce(credit_limit_after, 0)
            + coalesce(promised_after, 0) + coalesce(not_due_after, 0))
) strict;
create unique index journal_by_account on journal (partition, account, sequence);
create unique index journal_by_key on journal (partition, key_hash) where key_hash is not null;
-- The second wall: the journal is insert-only. The one change allowed takes the erasable texts of a row away and leaves
-- their digest in their place.
create trigger journal_append_only before update on journal
when not (new.description is null and new.reference is null and new.details is null
     and old.texts_digest is null and new.texts_digest is not null
     and new.partition is old.partition and new.position is old.position and new.account is old.account
     and new.sequence is old.sequence and new.kind is old.kind and new.format is old.format
     and new.writer is old.writer and new.entry_sequence is old.entry_sequence and new.amount is old.amount
     and new.posted_after is old.posted_after and new.held_after is old.held_after
     and new.available_after is old.available_after and new.bonus_after is old.bonus_after
     and new.credit_limit_after is old.credit_limit_after and new.promised_after is old.promised_after
     and new.not_due_after is old.not_due_after and new.overdue_after is old.overdue_after
     and new.counter is old.counter and new.category is old.category and new.created_by is old.created_by
     and new.booking_date is old.booking_date and new.occurred_at is old.occurred_at
     and new.recorded_at is old.recorded_at and new.key_hash is old.key_hash
     and new.idempotency_key is old.idempotency_key and new.payload is old.payload and new.hash is old.hash)
begin
    select raise(abort, 'the journal is append-only');
end;
create trigger journal_no_delete before delete on journal
begin
    select raise(abort, 'the journal is append-only');
end;

-- Identity and settings of the accounts. `account` is the position of the row that created it, `version` the sequence of
-- the row that last changed it. `secret` salts the digests of the account's texts; erasing it makes them unguessable.
create table accounts (
    partition integer not null references partitions,
    account integer not null check (account > 0),
    account_id text not null,
    customer_id text not null,
    currency text not null check (length(currency) = 3),
    time_zone text not null,
    locale text not null,
    state integer not null,
    billing_mode integer not null,
    credit_limit integer not null check (credit_limit >= 0),
    payment_terms_days integer check (payment_terms_days >= 0),
    policy_id text,
    display_name text,
    billing_details text,
    metadata text,
    secret blob check (length(secret) = 32),
    version integer not null check (version > 0),
    created_at integer not null,
    updated_at integer not null,
    primary key (partition, account),
    unique (partition, account_id)
) strict;
create index accounts_by_customer on accounts (partition, customer_id, account_id);

-- Reservations, open and closed. `placed_sequence` is the sequence of the row that placed it.
create table holds (
    partition integer not null,
    account integer not null,
    hold_id text not null,
    placed_sequence integer not null check (placed_sequence > 0),
    state integer not null,
    amount integer not null check (amount > 0),
    captured integer not null check (captured >= 0 and captured <= amount),
    expires_at integer not null,
    placed_at integer not null,
    updated_at integer not null,
    category text,
    description text,
    reference text,
    metadata text,
    primary key (partition, account, hold_id),
    foreign key (partition, account) references accounts
) strict;
create index holds_open on holds (partition, account) where state = 1;
create index holds_by_time on holds (partition, account, placed_at, hold_id);

-- How much of an entry was taken back by reversals, so that it is never taken back twice.
create table reversals (
    partition integer not null,
    account integer not null,
    sequence integer not null,
    reversed integer not null check (reversed > 0),
    primary key (partition, account, sequence),
    foreign key (partition, account) references accounts
) strict;

-- Refusals remembered for their idempotency key: 30 days. `content` is what was asked, to tell a repetition from a reuse.
create table outcomes (
    partition integer not null,
    account integer not null check (account >= 0),
    key_hash blob not null check (length(key_hash) = 16),
    recorded_at integer not null,
    reason text not null,
    content text not null,
    details text not null,
    primary key (partition, key_hash)
) strict;
create index outcomes_by_age on outcomes (partition, recorded_at);

-- Whatever will fall due. Read without locks; the writer decides.
create table due (
    partition integer not null references partitions,
    at integer not null,
    kind integer not null,
    account integer not null,
    subject text not null,
    primary key (partition, at, kind, account, subject)
) strict;
