"""Credit: what is queued, what is folded together, and when a subscription counts as stalled."""

from __future__ import annotations

from chapar.gateway.v1 import gateway_pb2 as api
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.presence.v1 import presence_pb2 as presence
from chapar_gateway.outbox import STALL_MS_MAX, Outbox


def event(n: int, text: str = "") -> api.SubscribeResponse:
    message = messaging.Message(conversation_id="c", sequence=n, text=text)
    return api.SubscribeResponse(
        cursor=api.InboxCursor(epoch=1, n=n), inbox_event=messaging.InboxEvent(message=message)
    )


def online(user_id: str, *, now: bool) -> api.SubscribeResponse:
    return api.SubscribeResponse(presence=presence.Presence(user_id=user_id, online=now))


def drain(outbox: Outbox, now_ms: int = 0) -> list[api.SubscribeResponse]:
    """Writes all that waits."""
    frames = []
    while (data := outbox.pop(now_ms)) is not None:
        frames.append(api.SubscribeResponse.FromString(data))
    return frames


def test_frames_are_numbered_densely_in_the_order_in_which_they_are_written() -> None:
    outbox = Outbox()
    outbox.offer_control(api.SubscribeResponse(hello=api.Hello()), 0)
    outbox.offer_inbox(event(7), 0)
    outbox.offer_presence("u", online("u", now=True), 0)
    frames = drain(outbox)
    assert [frame.frame for frame in frames] == [1, 2, 3]
    assert [frame.WhichOneof("kind") for frame in frames] == ["hello", "inbox_event", "presence"]


def test_beyond_the_credit_the_inbox_becomes_one_gap_with_the_newest_cursor() -> None:
    outbox = Outbox(frames_max=3)
    for n in range(1, 11):
        outbox.offer_inbox(event(n), 0)
    assert [frame.cursor.n for frame in drain(outbox)] == [1, 2, 3]
    outbox.acknowledge(1, 0)
    (gap,) = drain(outbox)
    assert (gap.WhichOneof("kind"), gap.cursor.n, gap.frame) == ("gap", 10, 4)
    outbox.acknowledge(4, 0)
    outbox.offer_inbox(event(11), 0)
    assert [frame.cursor.n for frame in drain(outbox)] == [11]


def test_credit_counts_bytes_too() -> None:
    outbox = Outbox(bytes_max=1_000)
    for n in range(1, 20):
        outbox.offer_inbox(event(n, "x" * 400), 0)
    assert len(drain(outbox)) == 3
    outbox.acknowledge(3, 0)
    assert [frame.WhichOneof("kind") for frame in drain(outbox)] == ["gap"]


def test_beyond_the_credit_only_the_latest_presence_of_each_user_is_kept() -> None:
    outbox = Outbox(frames_max=1)
    outbox.offer_inbox(event(1), 0)
    for turn in range(100):
        outbox.offer_presence("a", online("a", now=turn % 2 == 0), 0)
        outbox.offer_presence("b", online("b", now=True), 0)
    outbox.keep_presence({"a"})
    assert len(drain(outbox)) == 1
    outbox.acknowledge(1, 0)
    (frame,) = drain(outbox)
    assert (frame.presence.user_id, frame.presence.online) == ("a", False)


def test_only_what_was_written_can_be_acknowledged() -> None:
    """Otherwise a client that reads nothing and acknowledges everything would have the queue grow for ever."""
    outbox = Outbox(frames_max=3)
    for n in range(1, 3):
        outbox.offer_inbox(event(n), 0)
    assert outbox.pop(0) is not None
    for n in range(3, 100):
        outbox.acknowledge(2**62, 0)
        outbox.offer_inbox(event(n), 0)
    assert [frame.cursor.n for frame in drain(outbox)] == [2, 3, 4]
    outbox.acknowledge(2**62, 0)
    assert [frame.WhichOneof("kind") for frame in drain(outbox)] == ["gap"]


def test_what_is_kept_of_users_that_nobody_asks_for_any_more_is_dropped() -> None:
    """Otherwise a client that changes its mind, and never reads, would have it grow for ever."""
    outbox = Outbox(frames_max=1)
    outbox.offer_inbox(event(1), 0)
    for turn in range(100):
        outbox.keep_presence({f"u{turn}"})
        outbox.offer_presence(f"u{turn}", online(f"u{turn}", now=True), 0)
    assert len(drain(outbox)) == 1
    shown = []
    for frame in range(1, 101):
        outbox.acknowledge(frame, 0)
        shown += [frame.presence.user_id for frame in drain(outbox)]
    assert shown == ["u99"]


def test_a_pending_gap_comes_before_newer_events_and_nothing_overtakes_it() -> None:
    outbox = Outbox(frames_max=2)
    for n in (1, 2, 3):
        outbox.offer_inbox(event(n), 0)
    drain(outbox)
    outbox.acknowledge(2, 0)
    outbox.offer_inbox(event(4), 0)
    assert [(f.WhichOneof("kind"), f.cursor.n) for f in drain(outbox)] == [("gap", 3), ("inbox_event", 4)]


def test_acknowledging_again_or_from_the_future_gives_no_more_credit_than_there_is() -> None:
    outbox = Outbox(frames_max=2)
    for n in (1, 2):
        outbox.offer_inbox(event(n), 0)
    assert len(drain(outbox)) == 2
    for frame in (1, 1, -5, 0):
        outbox.acknowledge(frame, 0)
    assert not outbox.full
    outbox.acknowledge(10**12, 0)
    for n in (3, 4, 5):
        outbox.offer_inbox(event(n), 0)
    assert len(drain(outbox)) == 2
    assert outbox.full


def test_a_client_that_reads_but_never_acknowledges_stalls_once_its_credit_is_used_up() -> None:
    outbox = Outbox(frames_max=2)
    outbox.offer_inbox(event(1), 0)
    drain(outbox)
    assert not outbox.stalled(10 * STALL_MS_MAX)
    outbox.offer_inbox(event(2), 1_000)
    drain(outbox, 1_000)
    assert not outbox.stalled(1_000 + STALL_MS_MAX - 1)
    assert outbox.stalled(1_000 + STALL_MS_MAX)


def test_an_ack_that_makes_progress_resets_the_stall() -> None:
    outbox = Outbox(frames_max=2)
    for n in (1, 2):
        outbox.offer_inbox(event(n), 0)
    drain(outbox)
    outbox.acknowledge(1, 20_000)
    outbox.offer_inbox(event(3), 20_000)
    drain(outbox, 20_000)
    outbox.acknowledge(1, 45_000)
    assert not outbox.stalled(20_000 + STALL_MS_MAX - 1)
    assert outbox.stalled(20_000 + STALL_MS_MAX)


def test_a_frame_that_cannot_be_written_for_too_long_is_a_stall() -> None:
    outbox = Outbox()
    outbox.offer_control(api.SubscribeResponse(heartbeat=api.Heartbeat()), 5)
    assert not outbox.stalled(5 + STALL_MS_MAX - 1)
    assert outbox.stalled(5 + STALL_MS_MAX)
    drain(outbox, 5)
    assert not outbox.stalled(5 + 10 * STALL_MS_MAX)
