//! The company's customers: who they are, what they have ordered and how they pay.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::random::Random;
use crate::domain::accounts::{BillingMode, Create};
use crate::domain::calendar::TimeZone;
use crate::domain::currency::Currency;
use crate::domain::money::Money;
use crate::domain::record::{BillingDetails, Details};

/// An account of the demonstration, with what the year to come needs to know. Amounts are in minor units.
#[derive(Clone, Debug)]
#[allow(clippy::struct_field_names, reason = "an account's id is `account_id` everywhere")]
pub(super) struct Account {
    pub(super) account_id: String,
    pub(super) create: Create,
    pub(super) market: &'static Market,
    /// What is charged every month.
    pub(super) services: Vec<&'static Service>,
    /// Charged for calls once a week.
    pub(super) has_phone: bool,
    pub(super) paying: Paying,
    /// Days after the beginning of the year: with its first charge, and with its end.
    pub(super) opens: i64,
    pub(super) closes: Option<i64>,
    /// The day of the month on which it is charged.
    pub(super) billing_day: u32,
    pub(super) credit_limit: i64,
    pub(super) posted: i64,
    /// All bonuses so far: that much of the money may not be the owner's own.
    pub(super) bonuses: i64,
}

/// How an owner pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paying {
    InTime,
    Late,
    /// Not at all from this day of the year on.
    NoLongerFrom(i64),
}

/// Where a customer lives, with the prices there in minor units.
#[derive(Debug)]
pub(super) struct Market {
    currency: &'static str,
    zones: &'static [&'static str],
    locale: &'static str,
    country: &'static str,
    pub(super) tax: Option<(&'static str, i64)>,
    pub(super) services: &'static [Service],
    /// What calls cost in a week.
    pub(super) calls: (i64, i64),
    /// What domains, certificates and the like cost.
    pub(super) extras: (i64, i64),
    /// What a prepayment is a multiple of.
    pub(super) round: i64,
    pub(super) pays_by: &'static [&'static str],
    pub(super) texts: &'static Texts,
    people: (&'static [&'static str], &'static [&'static str]),
    companies: (&'static [&'static str], &'static [&'static str]),
}

/// Something that is charged every month.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) category: &'static str,
    pub(super) name: &'static str,
    pub(super) price: i64,
}

/// The words of a market.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) calls: &'static str,
    pub(super) payment: &'static str,
    pub(super) refund: &'static str,
    pub(super) bonus: &'static str,
    pub(super) again: &'static str,
    pub(super) domain: &'static str,
    pub(super) transfer: &'static str,
    pub(super) payout: &'static str,
}

static RUSSIA: Market = Market {
    currency: "RUB",
    zones: &["Europe/Moscow", "Europe/Moscow", "Asia/Yekaterinburg", "Asia/Novosibirsk", "Asia/Vladivostok"],
    locale: "ru",
    country: "RU",
    tax: Some(("vat_20", 20)),
    services: &[
        Service { category: "internet", name: "Интернет 300 Мбит/с", price: 65_000 },
        Service { category: "tv", name: "Цифровое ТВ, 180 каналов", price: 35_000 },
        Service { category: "hosting", name: "Хостинг «Стандарт»", price: 49_900 },
    ],
    calls: (1_200, 24_000),
    extras: (19_900, 249_000),
    round: 50_000,
    pays_by: &["cash:sbp", "cash:card", "cash:bank"],
    texts: &Texts {
        calls: "Звонки за неделю",
        payment: "Оплата услуг связи",
        refund: "Возврат за перерыв в услуге",
        bonus: "Бонус за верность",
        again: "Повторное начисление по ошибке",
        domain: "Продление домена",
        transfer: "Перевод между своими лицевыми счетами",
        payout: "Возврат остатка при закрытии",
    },
    people: (
        &["Анна", "Ольга", "Мария", "Елена", "Татьяна", "Наталья", "Юлия", "Вера", "Светлана", "Дарья"],
        &["Иванова", "Петрова", "Кузнецова", "Смирнова", "Орлова", "Волкова", "Лебедева", "Соколова", "Зайцева"],
    ),
    companies: (
        &["Северный", "Светлый", "Новый", "Первый", "Речной", "Горный", "Степной"],
        &["ветер", "дом", "причал", "берег", "мост", "сад", "квартал"],
    ),
};

static GERMANY: Market = Market {
    currency: "EUR",
    zones: &["Europe/Berlin", "Europe/Vienna", "Europe/Helsinki"],
    locale: "en",
    country: "DE",
    tax: Some(("vat_19", 19)),
    services: &[
        Service { category: "internet", name: "Internet 250 Mbit/s", price: 3_995 },
        Service { category: "tv", name: "Digital TV", price: 1_290 },
        Service { category: "hosting", name: "Hosting, standard", price: 1_490 },
    ],
    calls: (90, 1_800),
    extras: (1_500, 19_900),
    round: 2_500,
    pays_by: &["cash:sepa", "cash:card"],
    texts: &ENGLISH,
    people: (
        &["Anna", "Jonas", "Marie", "Lukas", "Emma", "Felix", "Clara", "Paul"],
        &["Schmidt", "Weber", "Wagner", "Becker", "Hoffmann", "Koch", "Richter", "Wolf"],
    ),
    companies: (
        &["Nordlicht", "Hafen", "Linden", "Sonnen", "Berg"],
        &["Werk GmbH", "Kontor GmbH", "Haus AG", "Café GbR"],
    ),
};

static AMERICA: Market = Market {
    currency: "USD",
    zones: &["America/New_York", "America/Chicago", "America/Los_Angeles"],
    locale: "en",
    country: "US",
    tax: None,
    services: &[
        Service { category: "internet", name: "Internet 500 Mbit/s", price: 5_999 },
        Service { category: "tv", name: "Digital TV", price: 2_499 },
        Service { category: "hosting", name: "Hosting, standard", price: 1_999 },
    ],
    calls: (100, 2_400),
    extras: (1_500, 29_900),
    round: 5_000,
    pays_by: &["cash:card", "cash:ach"],
    texts: &ENGLISH,
    people: (
        &["Emily", "Michael", "Olivia", "James", "Sophia", "Daniel", "Grace", "Henry"],
        &["Miller", "Davis", "Garcia", "Wilson", "Moore", "Clark", "Lewis", "Young"],
    ),
    companies: (
        &["Blue", "Maple", "Silver", "Harbor", "Summit"],
        &["Bakery LLC", "Studio Inc.", "Logistics LLC", "Labs Inc."],
    ),
};

static ENGLISH: Texts = Texts {
    calls: "Calls of the week",
    payment: "Payment for services",
    refund: "Refund for an outage",
    bonus: "Loyalty bonus",
    again: "Charged twice by mistake",
    domain: "Domain renewal",
    transfer: "Transfer between own accounts",
    payout: "Balance returned at closing",
};

/// The accounts of the demonstration: the same for the same number of them.
pub(super) fn accounts(count: usize, random: &mut Random) -> anyhow::Result<Vec<Account>> {
    let mut accounts = Vec::with_capacity(count);
    let mut customer = 0;
    while accounts.len() < count {
        customer += 1;
        let owner = Owner::new(customer, random);
        let more = random.pick(&[1, 1, 1, 1, 2, 2, 3]);
        for _ in 0..more {
            if accounts.len() < count {
                accounts.push(owner.open(accounts.len() + 1, random)?);
            }
        }
    }
    Ok(accounts)
}

struct Owner {
    customer_id: String,
    market: &'static Market,
    name: String,
    is_company: bool,
    zone: &'static str,
}

impl Owner {
    fn new(number: usize, random: &mut Random) -> Self {
        let market = match random.between(1, 100) {
            1..=60 => &RUSSIA,
            61..=85 => &GERMANY,
            _ => &AMERICA,
        };
        let is_company = random.chance(250);
        let (first, second) = if is_company { market.companies } else { market.people };
        let name = format!("{} {}", random.pick(first), random.pick(second));
        let name = if is_company && market.locale == "ru" { format!("ООО «{name}»") } else { name };
        Self {
            customer_id: format!("demo-customer-{number:03}"),
            market,
            name,
            is_company,
            zone: random.pick(market.zones),
        }
    }

    fn open(&self, number: usize, random: &mut Random) -> anyhow::Result<Account> {
        let market = self.market;
        let mut services: Vec<&Service> = market.services.iter().filter(|_| random.chance(550)).collect();
        if services.is_empty() {
            services.push(&market.services[0]);
        }
        let monthly: i64 = services.iter().map(|service| service.price).sum();
        let is_postpaid = random.chance(if self.is_company { 800 } else { 250 });
        let credit_limit = if is_postpaid { monthly * random.between(2, 4) / market.round * market.round } else { 0 };
        let closes = random.chance(50).then(|| random.between(120, 330));
        let paying = match random.between(1, 100) {
            1..=80 => Paying::InTime,
            81..=94 => Paying::Late,
            _ if closes.is_some() => Paying::InTime,
            _ => Paying::NoLongerFrom(random.between(180, 330)),
        };
        Ok(Account {
            account_id: format!("demo-{number:04}"),
            create: self.create(is_postpaid, minor(credit_limit)?, number)?,
            market,
            services,
            has_phone: random.chance(600),
            paying,
            opens: if random.chance(700) { 0 } else { random.between(1, 100) },
            closes,
            billing_day: u32::try_from(random.between(1, 5))?,
            credit_limit,
            posted: 0,
            bonuses: 0,
        })
    }

    fn create(&self, is_postpaid: bool, credit_limit: Money, number: usize) -> anyhow::Result<Create> {
        let details = self.is_company.then(|| BillingDetails {
            legal_name: self.name.clone(),
            country: self.market.country.to_owned(),
            email: format!("billing-{number:04}@example.com"),
            ..BillingDetails::default()
        });
        Ok(Create {
            customer_id: self.customer_id.clone(),
            currency: Currency::parse(self.market.currency).context("a currency is unknown")?,
            time_zone: TimeZone::parse(self.zone).context("a time zone is unknown")?,
            locale: self.market.locale.to_owned(),
            billing_mode: if is_postpaid { BillingMode::Postpaid } else { BillingMode::Prepaid },
            credit_limit,
            payment_terms_days: is_postpaid.then_some(14),
            policy_id: None,
            details: Details {
                metadata: BTreeMap::from([("demo".to_owned(), "true".to_owned())]),
                display_name: Some(self.name.clone()),
                billing_details: details,
                hold: None,
            },
        })
    }
}

/// An amount of so many minor units, of the currencies here: hundredths.
pub(super) fn minor(units: i64) -> anyhow::Result<Money> {
    Money::try_from_micros(units.saturating_mul(10_000)).context("an amount is out of range")
}
