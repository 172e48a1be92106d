//! The company goes on living: some entries a second, so that whoever subscribes sees the stream move.

use std::sync::Arc;
use std::time::Duration;

use super::PRINCIPAL;
use super::company::{Account, minor};
use super::random::Random;
use crate::domain::holds::{Capture, Expiry, HoldTexts, Place};
use crate::domain::ledger::Post;
use crate::domain::record::{Kind, Texts};
use crate::engine::Engine;
use crate::engine::command::{Body, Command};
use crate::time::World;

/// The pause between two things that happen.
const PAUSE: (i64, i64) = (120, 600);
/// How long a hold waits for its charge.
const HOLD_FOR: Duration = Duration::from_secs(60);

/// Posts until it is dropped. Every run has keys of its own: these entries are new each time.
pub(super) async fn post(engine: Engine, accounts: Vec<Account>, world: World) {
    let bytes = world.ids.random();
    let seed = bytes.iter().fold(0_u64, |seed, byte| (seed << 8) | u64::from(*byte));
    let mut random = Random::new(seed);
    let accounts: Vec<&Account> = accounts.iter().filter(|account| account.closes.is_none()).collect();
    if accounts.is_empty() {
        return;
    }
    let mut held: Option<Command> = None;
    for number in 0_u64.. {
        let pause = random.between(PAUSE.0, PAUSE.1);
        tokio::time::sleep(Duration::from_millis(pause.unsigned_abs())).await;
        let key = format!("demo-live-{seed:016x}-{number}");
        let account = random.pick(&accounts);
        let command = match held.take() {
            Some(capture) if random.chance(500) => Some(capture),
            waiting => {
                held = waiting;
                next(&engine, account, key, &mut random, &mut held).await
            }
        };
        let Some(command) = command else { continue };
        let account_id = command.account_id.clone();
        if let Err(refusal) = engine.submit(command, None).await {
            tracing::debug!(account_id, reason = refusal.reason.name(), "a demonstration entry was refused");
        }
    }
}

/// What happens to an account now: whoever is in debt pays at times, others use something.
async fn next(
    engine: &Engine,
    account: &Account,
    key: String,
    random: &mut Random,
    capture: &mut Option<Command>,
) -> Option<Command> {
    let heads = engine.heads(std::slice::from_ref(&account.account_id)).await.ok()?;
    let head = heads.into_iter().flatten().next()?;
    let market = account.market;
    let texts = market.texts;
    let posted = head.amounts.posted;
    let body = if posted.is_negative() && random.chance(500) {
        let counter = random.pick(market.pays_by);
        let post = entry(Kind::Payment, posted.abs().micros() / 10_000 + market.round, texts.payment)?;
        Body::Post(Box::new(Post { counter: Some(counter.to_owned()), ..post }))
    } else if capture.is_none() && random.chance(150) {
        let (place, charge) = domain(texts.domain, &key, random.between(market.extras.0, market.extras.1))?;
        *capture = Some(command(account, format!("{key}-capture"), Body::CaptureHold(Box::new(charge))));
        Body::PlaceHold(Box::new(place))
    } else if random.chance(60) {
        Body::Post(Box::new(entry(Kind::Bonus, market.round / 10, texts.bonus)?))
    } else {
        let post = entry(Kind::Charge, random.between(market.calls.0, market.calls.1), texts.calls)?;
        Body::Post(Box::new(Post { category: Some("telephony".to_owned()), ..post }))
    };
    Some(command(account, key, body))
}

fn domain(text: &str, hold_id: &str, amount: i64) -> Option<(Place, Capture)> {
    let place = Place {
        hold_id: hold_id.to_owned(),
        amount: minor(amount).ok()?,
        currency: None,
        expiry: Some(Expiry::After(HOLD_FOR)),
        category: Some("domains".to_owned()),
        texts: HoldTexts { description: Some(text.to_owned()), ..HoldTexts::default() },
    };
    let capture = Capture {
        hold_id: hold_id.to_owned(),
        amount: None,
        currency: None,
        keep_rest: false,
        counter: None,
        category: None,
        occurred_at: None,
        tax: None,
        texts: Texts { description: Some(text.to_owned()), ..Texts::default() },
    };
    Some((place, capture))
}

fn entry(kind: Kind, amount: i64, text: &str) -> Option<Post> {
    Some(Post {
        kind,
        amount: minor(amount).ok()?,
        currency: None,
        counter: None,
        category: None,
        occurred_at: None,
        invoice_id: None,
        tax: None,
        texts: Texts { description: Some(text.to_owned()), ..Texts::default() },
        require_available: false,
        expected_sequence: None,
    })
}

fn command(account: &Account, key: String, body: Body) -> Command {
    let principal = Some(Arc::from(PRINCIPAL));
    Command { account_id: account.account_id.clone(), key: Some(key), principal, body, validate_only: false }
}
