-- The ledger. Every key, unique index and foreign key begins with `partition`, so that the tables can be distributed by
-- it; ids are assigned in the process, so there is no sequence. Amounts are millionths of the currency unit, instants
-- microseconds since 1970-01-01T00:00:00Z, dates days since 1970-01-01. Keys are ordered by their bytes (`collate "C"`), as
-- on SQLite: such an index survives an update of the system's locales.

-- One row a partition: the anchor and the lock of every append. `epoch` fences a writer that has lost its partition,
-- `format` is the newest layout of rows that may be written, `closed_until` the last day of the closed books.
create table partitions (
    partition smallint not null primary key check (partition >= 0),
    epoch bigint not null check (epoch > 0),
    format smallint not null check (format > 0),
    closed_until integer
);

-- What holds for the whole database: the number of partitions, the secret of the tokens, the oldest server served.
create table settings (
    name text collate "C" not null primary key,
    value text not null
);

-- The dictionary of a partition: counter accounts, categories and principals, which the journal names by number.
create table names (
    partition smallint not null references partitions,
    name_id integer not null check (name_id > 0),
    name text collate "C" not null check (name <> ''),
    primary key (partition, name_id),
    unique (partition, name)
);

-- Everything that happened, in order, never changed. NULL stands for zero in the amounts that are mostly zero, for the
-- row's own sequence in `entry_sequence` of an entry and for `recorded_at` in `occurred_at`: narrow rows are fast rows.
-- No foreign key: the append selects from `partitions`, and a key would be checked row by row.
create table journal (
    partition smallint not null,
    position bigint not null check (position >= 0),
    account bigint not null check (account >= 0),
    sequence bigint not null check (sequence >= 0),
    kind smallint not null check (kind >= 0),
    format smallint not null check (format > 0),
    writer integer not null,
    entry_sequence bigint check (entry_sequence >= 0 and entry_sequence < sequence),
    amount bigint not null,
    posted_after bigint not null,
    held_after bigint check (held_after > 0),
    available_after bigint not null,
    bonus_after bigint check (bonus_after > 0),
    credit_limit_after bigint check (credit_limit_after > 0),
    promised_after bigint check (promised_after > 0),
    not_due_after bigint check (not_due_after > 0),
    overdue_after bigint check (overdue_after > 0),
    counter integer,
    category integer,
    created_by integer,
    booking_date integer,
    occurred_at bigint,
    recorded_at bigint not null,
    key_hash bytea check (length(key_hash) = 16),
    idempotency_key text,
    description text,
    reference text,
    details text,
    texts_digest bytea check (length(texts_digest) = 32),
    payload text,
    hash bytea not null check (length(hash) = 32),
    primary key (partition, position),
    -- An entry (kinds 1 to 13) moves money and names where to; nothing else does.
    constraint journal_entry_is_whole check (
        case when kind between 1 and 13 then amount <> 0 and counter is not null and booking_date is not null
             else amount = 0 end),
    constraint journal_available_adds_up check (
        available_after = posted_after - coalesce(held_after, 0) + coalesce(credit_limit_after, 0)
            + coalesce(promised_after, 0) + coalesce(not_due_after, 0))
);
create unique index journal_by_account on journal (partition, account, sequence);
create unique index journal_by_key on journal (partition, key_hash) where key_hash is not null;
-- Rows come nearly in order of their booking date: a block range index finds a month at next to no cost.
create index journal_by_booking_date on journal using brin (partition, booking_date) with (autosummarize = on);

-- The second wall: the journal is insert-only. The one change allowed takes the erasable texts of a row away and leaves
-- their digest in their place.
create function journal_refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE'
        and new.description is null and new.reference is null and new.details is null
        and old.texts_digest is null and new.texts_digest is not null
        and (new.partition, new.position, new.account, new.sequence, new.kind, new.format, new.writer, new.amount,
             new.posted_after, new.available_after, new.recorded_at, new.hash)
          = (old.partition, old.position, old.account, old.sequence, old.kind, old.format, old.writer, old.amount,
             old.posted_after, old.available_after, old.recorded_at, old.hash)
        and (new.entry_sequence, new.held_after, new.bonus_after, new.credit_limit_after, new.promised_after,
             new.not_due_after, new.overdue_after, new.counter, new.category, new.created_by, new.booking_date,
             new.occurred_at, new.key_hash, new.idempotency_key, new.payload)
          is not distinct from
            (old.entry_sequence, old.held_after, old.bonus_after, old.credit_limit_after, old.promised_after,
             old.not_due_after, old.overdue_after, old.counter, old.category, old.created_by, old.booking_date,
             old.occurred_at, old.key_hash, old.idempotency_key, old.payload)
    then
        return new;
    end if;
    raise exception 'the journal is append-only' using errcode = 'restrict_violation';
end $$;
set local citus.enable_unsafe_triggers = on;
create trigger journal_append_only before update or delete on journal
    for each row execute function journal_refuse_change();
create trigger journal_no_truncate before truncate on journal
    for each statement execute function journal_refuse_change();

-- Identity and settings of the accounts. `account` is the position of the row that created it, `version` the sequence of
-- the row that last changed it. `secret` salts the digests of the account's texts; erasing it makes them unguessable.
create table accounts (
    partition smallint not null references partitions,
    account bigint not null check (account > 0),
    account_id text collate "C" not null,
    customer_id text collate "C" not null,
    currency text not null check (length(currency) = 3),
    time_zone text not null,
    locale text not null,
    state smallint not null,
    billing_mode smallint not null,
    credit_limit bigint not null check (credit_limit >= 0),
    payment_terms_days integer check (payment_terms_days >= 0),
    policy_id text,
    display_name text,
    billing_details text,
    metadata text,
    secret bytea check (length(secret) = 32),
    version bigint not null check (version > 0),
    created_at bigint not null,
    updated_at bigint not null,
    primary key (partition, account),
    unique (partition, account_id)
);
create index accounts_by_customer on accounts (partition, customer_id, account_id);

-- Reservations, open and closed. `placed_sequence` is the sequence of the row that placed it.
create table holds (
    partition smallint not null,
    account bigint not null,
    hold_id text collate "C" not null,
    placed_sequence bigint not null check (placed_sequence > 0),
    state smallint not null,
    amount bigint not null check (amount > 0),
    captured bigint not null check (captured >= 0 and captured <= amount),
    expires_at bigint not null,
    placed_at bigint not null,
    updated_at bigint not null,
    category text,
    description text,
    reference text,
    metadata text,
    primary key (partition, account, hold_id),
    foreign key (partition, account) references accounts
);
create index holds_open on holds (partition, account) where state = 1;
create index holds_by_time on holds (partition, account, placed_at, hold_id);

-- How much of an entry was taken back by reversals, so that it is never taken back twice.
create table reversals (
    partition smallint not null,
    account bigint not null,
    sequence bigint not null,
    reversed bigint not null check (reversed > 0),
    primary key (partition, account, sequence),
    foreign key (partition, account) references accounts
);

-- Refusals remembered for their idempotency key: 30 days. `content` is what was asked, to tell a repetition from a reuse.
create table outcomes (
    partition smallint not null,
    account bigint not null check (account >= 0),
    key_hash bytea not null check (length(key_hash) = 16),
    recorded_at bigint not null,
    reason text not null,
    content text not null,
    details text not null,
    primary key (partition, key_hash)
);
create index outcomes_by_age on outcomes (partition, recorded_at);

-- Whatever will fall due. Read without locks; the writer decides.
create table due (
    partition smallint not null references partitions,
    at bigint not null,
    kind smallint not null,
    account bigint not null,
    subject text collate "C" not null,
    primary key (partition, at, kind, account, subject)
);
