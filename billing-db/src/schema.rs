//! The tables as diesel sees them; the same on both databases.

diesel::table! {
    partitions (partition) {
        partition -> SmallInt,
        epoch -> BigInt,
        format -> SmallInt,
        closed_until -> Nullable<Integer>,
    }
}

diesel::table! {
    settings (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    names (partition, name_id) {
        partition -> SmallInt,
        name_id -> Integer,
        name -> Text,
    }
}

diesel::table! {
    journal (partition, position) {
        partition -> SmallInt,
        position -> BigInt,
        account -> BigInt,
        sequence -> BigInt,
        kind -> SmallInt,
        format -> SmallInt,
        writer -> Integer,
        entry_sequence -> Nullable<BigInt>,
        amount -> BigInt,
        posted_after -> BigInt,
        held_after -> Nullable<BigInt>,
        available_after -> BigInt,
        bonus_after -> Nullable<BigInt>,
        credit_limit_after -> Nullable<BigInt>,
        promised_after -> Nullable<BigInt>,
        not_due_after -> Nullable<BigInt>,
        overdue_after -> Nullable<BigInt>,
        counter -> Nullable<Integer>,
        category -> Nullable<Integer>,
        created_by -> Nullable<Integer>,
        booking_date -> Nullable<Integer>,
        occurred_at -> Nullable<BigInt>,
        recorded_at -> BigInt,
        key_hash -> Nullable<Binary>,
        idempotency_key -> Nullable<Text>,
        description -> Nullable<Text>,
        reference -> Nullable<Text>,
        details -> Nullable<Text>,
        texts_digest -> Nullable<Binary>,
        payload -> Nullable<Text>,
        hash -> Binary,
    }
}

diesel::table! {
    accounts (partition, account) {
        partition -> SmallInt,
        account -> BigInt,
        account_id -> Text,
        customer_id -> Text,
        currency -> Text,
        time_zone -> Text,
        locale -> Text,
        state -> SmallInt,
        billing_mode -> SmallInt,
        credit_limit -> BigInt,
        payment_terms_days -> Nullable<Integer>,
        policy_id -> Nullable<Text>,
        display_name -> Nullable<Text>,
        billing_details -> Nullable<Text>,
        metadata -> Nullable<Text>,
        secret -> Nullable<Binary>,
        version -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    holds (partition, account, hold_id) {
        partition -> SmallInt,
        account -> BigInt,
        hold_id -> Text,
        placed_sequence -> BigInt,
        state -> SmallInt,
        amount -> BigInt,
        captured -> BigInt,
        expires_at -> BigInt,
        placed_at -> BigInt,
        updated_at -> BigInt,
        category -> Nullable<Text>,
        description -> Nullable<Text>,
        reference -> Nullable<Text>,
        metadata -> Nullable<Text>,
    }
}

diesel::table! {
    reversals (partition, account, sequence) {
        partition -> SmallInt,
        account -> BigInt,
        sequence -> BigInt,
        reversed -> BigInt,
    }
}

diesel::table! {
    outcomes (partition, key_hash) {
        partition -> SmallInt,
        account -> BigInt,
        key_hash -> Binary,
        recorded_at -> BigInt,
        reason -> Text,
        content -> Text,
        details -> Text,
    }
}

diesel::table! {
    due (partition, at, kind, account, subject) {
        partition -> SmallInt,
        at -> BigInt,
        kind -> SmallInt,
        account -> BigInt,
        subject -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(journal, accounts, holds, names);
