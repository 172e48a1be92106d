"""Uses a server through stubs generated from proto/: posts, reads, subscribes, and reads a refusal.

    PYTHONPATH=<stubs> python client.py <address>
"""

import sys
import threading

import grpc

from billing.v1 import (
    account_pb2,
    account_pb2_grpc,
    balance_pb2,
    balance_pb2_grpc,
    events_pb2,
    events_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    money_pb2,
)

TIMEOUT = 20


def money(value):
    return money_pb2.Money(value=value)


def post(kind, value, key, **fields):
    return ledger_pb2.PostRequest(
        account_id="py-1", kind=kind, amount=money(value), idempotency_key=key, **fields
    )


def check_unary(accounts, ledger, balances):
    opened = accounts.CreateAccount(
        account_pb2.CreateAccountRequest(
            account_id="py-1",
            customer_id="python",
            currency_code="EUR",
            time_zone="Europe/Berlin",
            display_name="Пайтон",
        ),
        timeout=TIMEOUT,
    )
    assert opened.account.display_name == "Пайтон", opened
    request = post(ledger_pb2.ENTRY_KIND_PAYMENT, "100.5", "py-pay-1", metadata={"bank": "1"})
    first = ledger.Post(request, timeout=TIMEOUT)
    again = ledger.Post(request, timeout=TIMEOUT)
    assert not first.replayed and again.replayed
    assert first.entry == again.entry
    assert first.entry.amount.value == "100.50", first
    read = balances.GetBalance(
        balance_pb2.GetBalanceRequest(account_id="py-1", min_position=first.position), timeout=TIMEOUT
    )
    assert read.balance.available.value == "100.50", read


def check_refusal(ledger):
    request = post(ledger_pb2.ENTRY_KIND_CHARGE, "1000", "py-charge-1", require_available=True)
    try:
        ledger.Post(request, timeout=TIMEOUT)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        details = dict(error.trailing_metadata())
        assert b"INSUFFICIENT_FUNDS" in details["grpc-status-details-bin"], details
    else:
        raise AssertionError("a charge beyond what is there was posted")


def check_batch_and_stream(ledger):
    operations = [
        ledger_pb2.Operation(post=post(ledger_pb2.ENTRY_KIND_CHARGE, "0.5", f"py-batch-{n}")) for n in range(3)
    ]
    batch = ledger.PostBatch(ledger_pb2.PostBatchRequest(operations=operations), timeout=TIMEOUT)
    assert [result.WhichOneof("result") for result in batch.results] == ["post"] * 3, batch
    requests = (
        ledger_pb2.PostStreamRequest(
            operation=ledger_pb2.Operation(post=post(ledger_pb2.ENTRY_KIND_PAYMENT, "1", f"py-stream-{n}"))
        )
        for n in range(500)
    )
    answers = sorted(answer.request_index for answer in ledger.PostStream(requests, timeout=TIMEOUT))
    assert answers == list(range(500))


def check_events(ledger, events):
    request = events_pb2.SubscribeRequest(account_ids=["py-1"], include_snapshot=True)
    stream = events.Subscribe(request, timeout=TIMEOUT)
    seen = {event.WhichOneof("payload"): event for event in (next(stream).event, next(stream).event)}
    assert set(seen) == {"balance_snapshot", "snapshot_completed"}, seen
    before = seen["balance_snapshot"].balance_snapshot.balance
    poster = threading.Thread(
        target=ledger.Post, args=(post(ledger_pb2.ENTRY_KIND_PAYMENT, "7", "py-event-1"),), kwargs={"timeout": TIMEOUT}
    )
    poster.start()
    event = next(response.event for response in stream if response.event.HasField("balance_changed"))
    poster.join()
    assert event.sequence == before.sequence + 1, event
    assert event.balance_changed.entry.idempotency_key == "py-event-1"
    stream.cancel()
    ledger.Post(post(ledger_pb2.ENTRY_KIND_CHARGE, "1", "py-event-2"), timeout=TIMEOUT)
    resumed = events.Subscribe(
        events_pb2.SubscribeRequest(account_ids=["py-1"], resume_token=event.resume_token), timeout=TIMEOUT
    )
    following = next(response.event for response in resumed if not response.event.HasField("heartbeat"))
    assert following.sequence == event.sequence + 1, following
    assert following.balance_changed.entry.idempotency_key == "py-event-2"
    resumed.cancel()


def main(address):
    with grpc.insecure_channel(address) as channel:
        accounts = account_pb2_grpc.AccountServiceStub(channel)
        ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
        balances = balance_pb2_grpc.BalanceServiceStub(channel)
        events = events_pb2_grpc.EventServiceStub(channel)
        check_unary(accounts, ledger, balances)
        check_refusal(ledger)
        check_batch_and_stream(ledger)
        check_events(ledger, events)
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1])
