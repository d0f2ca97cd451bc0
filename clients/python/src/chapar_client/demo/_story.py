"""What is played: each scene says what happens and checks that it did."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chapar_client.demo._person import WAIT_S_MAX, Person
from chapar_client.demo._stage import Stage, eventually
from chapar_client.sdk import Refused, SignedOut
from chapar_client.terminal import isolated
from chapar_client.toman import shown_toman

CAST = {
    "سارا احمدی": "sara_ahmadi",
    "رضا کریمی": "reza_karimi",
    "مریم حسینی": "maryam_h",
    "امیرحسین نجفی": "amir_najafi",
    "نازنین مرادی": "nazanin_m",
}

CASH_IN_RIALS = 5_000_000
DINNER_RIALS = 1_200_000
KILLED = "messaging"
MESSAGES_UNDER_FIRE = 30


class Mismatch(Exception):
    """The story went differently than it must."""


@dataclass(slots=True)
class Story:
    """The scenes, in order, on one stage."""

    stage: Stage
    tell: Callable[[str], None]

    async def play(self) -> None:
        """All scenes."""
        people = await self.sign_in()
        sara, reza, maryam, amir, nazanin = people
        await self.usernames(people)
        await self.talk(sara, reza)
        await self.group(people)
        await self.presence(sara, reza)
        await self.money(sara, reza)
        await self.under_fire(maryam, amir)
        await self.revoke(nazanin)

    async def sign_in(self) -> list[Person]:
        """Five people sign in at once."""
        people = list(await asyncio.gather(*(self.stage.person(name) for name in CAST)))
        for person in people:
            await person.read_from_now()
        self.tell(f"{len(people)} people signed in: " + ", ".join(isolated(person.name) for person in people))
        return people

    async def usernames(self, people: list[Person]) -> None:
        """Each takes a username; one that is taken is refused."""
        for person, username in zip(people, CAST.values(), strict=True):
            await person.client.identity.set_username(username)
        sara, reza = people[:2]
        found = await sara.client.identity.resolve_username("reza_karimi")
        _check(found == reza.user_id, "a username leads to its holder")
        await _refused(reza.client.identity.set_username("sara_ahmadi"), "REASON_USERNAME_TAKEN")
        self.tell("each has a @username; @sara_ahmadi cannot be taken twice")

    async def talk(self, sara: Person, reza: Person) -> None:
        """Two people talk, one replies, and what is unread is counted."""
        room = sara.with_(reza)
        first = await sara.say(room, "سلام رضا! شام امشب چی بخوریم؟")
        heard = await reza.message(room, first)
        self.tell(f"{isolated(sara.name)}: {isolated(heard.text)}")
        answer = await reza.say(room, "سلام! قورمه‌سبزی 🍲", reply_to=first)
        reply = await sara.message(room, answer)
        _check(reply.reply_to_sequence == first, "a reply names what it answers")
        self.tell(f"{isolated(reza.name)}, in reply: {isolated(reply.text)}")

    async def group(self, people: list[Person]) -> None:
        """A group: everybody hears, the unread are counted and read."""
        sara, reza, *others = people
        room = await sara.client.messaging.create_group("شب یلدا 🍉", [other.user_id for other in (reza, *others)])
        for text in ("انار با من", "هندوانه هم با رضا", "ساعت ۸ خانه‌ی ما"):
            await sara.say(room, text)
        await asyncio.gather(*(person.message(room, 3) for person in people))
        unread = [await person.unread(room) for person in people]
        _check(unread == [0, 3, 3, 3, 3], f"unread in the group: {unread}")
        await reza.client.messaging.mark_read(room, 3)
        _check(await reza.unread(room) == 0, "what is read is not unread")
        self.tell(f"{isolated('شب یلدا 🍉')}: three messages, heard by all five; three unread for each but the sender")

    async def presence(self, sara: Person, reza: Person) -> None:
        """One sees the other come and go."""
        await sara.watch(reza)
        await sara.presence_of(reza, online=True)
        await reza.stop_reading()
        gone = await sara.presence_of(reza, online=False)
        _check(gone.last_seen_time_ms > 0, "who went was last seen")
        reza.read()
        await sara.presence_of(reza, online=True)
        self.tell(f"{isolated(sara.name)} saw {isolated(reza.name)} online, gone after ten seconds' grace, and back")

    async def money(self, sara: Person, reza: Person) -> None:
        """Money comes in, is paid with a card in the chat, and cannot be overdrawn."""
        await self.stage.cash_in(sara, CASH_IN_RIALS)
        room = sara.with_(reza)
        paid = await sara.client.payments.transfer(reza.user_id, DINNER_RIALS, memo="شام")
        _check(paid.balance_rials == CASH_IN_RIALS - DINNER_RIALS, "the payer's balance")

        def card() -> bool:
            cards = [message.payment_card for message in reza.messages(room) if message.HasField("payment_card")]
            return [one.transfer_id for one in cards] == [paid.transfer_id]

        await reza.until(card, "the card of the payment")

        async def arrived() -> bool:
            return (await reza.client.payments.get_wallet()).balance_rials == DINNER_RIALS

        await eventually(arrived, "the money at the payee")
        await _refused(sara.client.payments.transfer(reza.user_id, CASH_IN_RIALS), "REASON_FUNDS_INSUFFICIENT")
        self.tell(
            f"{isolated(sara.name)} paid {isolated(reza.name)} {shown_toman(DINNER_RIALS)}: the card is in the chat, "
            f"the money in the wallet; paying more than there is was refused"
        )

    async def under_fire(self, maryam: Person, amir: Person) -> None:
        """A service is killed while messages are sent: each arrives once, in order."""
        room = maryam.with_(amir)
        for number in range(1, MESSAGES_UNDER_FIRE + 1):
            if number == MESSAGES_UNDER_FIRE // 3:
                self.tell(f"kill -9 {KILLED} (process {self.stage.up.pid(KILLED)}) while messages are being sent ...")
                killing = asyncio.create_task(self.stage.up.kill_and_wait(KILLED), name="kill")
            await maryam.say(room, f"پیام {number}")
        await killing
        await amir.message(room, MESSAGES_UNDER_FIRE)
        heard = [(message.sequence, message.text) for message in amir.messages(room)]
        expected = [(number, f"پیام {number}") for number in range(1, MESSAGES_UNDER_FIRE + 1)]
        _check(heard == expected, f"all messages once and in order, not {heard}")
        self.tell(f"... it is back (process {self.stage.up.pid(KILLED)}); {len(heard)} messages arrived once, in order")

    async def revoke(self, nazanin: Person) -> None:
        """A second device signs in and ends the session of the first, which notices at once."""
        mine = [session.session_id async for session in nazanin.client.identity.sessions()]
        tablet = await self.stage.person(nazanin.name, phone=(await _phone(nazanin)), device="tablet")
        _check(tablet.user_id == nazanin.user_id, "one phone, one user")
        await tablet.client.identity.revoke_session(mine[0])
        async with asyncio.timeout(WAIT_S_MAX):
            await nazanin.reading_ended()
        _check(isinstance(nazanin.ended, SignedOut), f"the revoked session ended with {nazanin.ended!r}")
        self.tell(f"{isolated(nazanin.name)} ended her phone's session from a tablet; the phone was cut off at once")


async def _phone(person: Person) -> str:
    return (await person.client.identity.get_profile()).phone


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise Mismatch(what)


async def _refused(call: Awaitable[object], reason: str) -> None:
    try:
        await call
    except Refused as refusal:
        _check(refusal.reason == reason, f"refused with {refusal.reason} instead of {reason}")
        return
    raise Mismatch(f"not refused: {reason} was due")
