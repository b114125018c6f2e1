"""A request that is sent twice with one key has one effect; a refusal is not stored."""

import asyncio
from functools import partial

import pytest
from sqlalchemy import event, select

from prism.kit.idempotency import HandlerThreads, keys, prune
from tests.kit.notes_app import application, failed, texts

NOTES = "/api/v1/notes"
KEY = {"idempotency-key": "k1"}
IS_JSON = {"content-type": "application/json"}


def rows(db):
    with db.read() as sql:
        return sql.execute(select(keys)).all()


def test_repeated_key_answers_the_stored_answer(notes_app):
    first = notes_app("POST", f"{NOTES}/a/poke", KEY)
    again = notes_app("POST", f"{NOTES}/a/poke", KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert "idempotency-replayed" not in first.headers
    assert again.headers.pop("idempotency-replayed") == "true"
    assert again.headers == first.headers
    assert texts(notes_app.db) == ["a"]


@pytest.mark.postgres
def test_effect_events_and_stored_answer_commit_together_once(notes_app):
    notices = []
    with notes_app.db.bus.listening(
        lambda: notices.append((texts(notes_app.db), len(rows(notes_app.db))))
    ):
        for _ in range(3):
            assert notes_app("POST", NOTES, KEY, json={"text": "a"}).status_code == 201
    assert notices == [(["a"], 1)], "announced once, after the commit of both"
    assert len(notes_app.db.events_after(0)) == 1


def test_body_with_the_same_json_value_is_the_same_request(notes_app):
    content, other = b'{"text": "a", "loud": false}', b'{"loud":false,"text":"a"}'
    first = notes_app("POST", NOTES, KEY | IS_JSON, content=content)
    again = notes_app("POST", NOTES, KEY | IS_JSON, content=other)
    assert first.status_code == again.status_code == 201
    fault = failed(notes_app("POST", NOTES, KEY, json={"text": "b"}), 409, "IDEMPOTENCY_CONFLICT")
    assert "another body" in fault["details"]
    assert texts(notes_app.db) == ["a"]


def test_key_belongs_to_its_actor_and_path_and_not_to_the_query(notes_app, db, clock):
    assert notes_app("POST", f"{NOTES}/a/poke?wait=5", KEY).json() == {"name": "a"}
    assert notes_app("POST", f"{NOTES}/a/poke", KEY).headers["idempotency-replayed"] == "true"
    assert notes_app("POST", f"{NOTES}/b/poke", KEY).json() == {"name": "b"}
    grace = application(db, clock, actor="grace")
    assert grace("POST", f"{NOTES}/a/poke", KEY).json() == {"name": "a"}
    assert texts(db) == ["a", "b", "a"]


@pytest.mark.postgres
def test_refused_or_failed_request_is_rolled_back_and_not_stored(notes_app):
    for _ in range(2):
        failed(notes_app("POST", NOTES, KEY, json={"text": "too much"}), 409, "TEST_FULL")
        failed(notes_app("POST", NOTES, KEY, json={"text": "broken"}), 500, "INTERNAL_ERROR")
    assert (texts(notes_app.db), rows(notes_app.db), notes_app.db.events_after(0)) == ([], [], [])
    assert notes_app("POST", NOTES, KEY, json={"text": "a"}).json()["count"] == 1


@pytest.mark.postgres
def test_failed_commit_answers_500_and_stores_nothing(notes_app):
    def refuse(_):
        raise OSError("disk full")

    event.listen(notes_app.db.writer, "commit", refuse)
    answer = notes_app("POST", NOTES, KEY, json={"text": "a"})
    event.remove(notes_app.db.writer, "commit", refuse)
    failed(answer, 500, "INTERNAL_ERROR")
    assert (texts(notes_app.db), rows(notes_app.db)) == ([], [])
    assert notes_app("POST", NOTES, KEY, json={"text": "a"}).status_code == 201


def test_token_is_not_stored_in_the_answer(notes_app):
    first = notes_app("POST", NOTES, KEY, json={"text": "a"})
    again = notes_app("POST", NOTES, KEY, json={"text": "a"})
    assert (first.json()["token"], again.json()["token"]) == ("clear", None)
    assert again.headers["content-length"] == str(len(again.content))
    assert b"clear" not in rows(notes_app.db)[0].answer


def test_key_can_be_used_again_after_a_day(notes_app, clock):
    notes_app("POST", NOTES, KEY, json={"text": "a"})
    clock.advance(hours=23, minutes=59)
    failed(notes_app("POST", NOTES, KEY, json={"text": "b"}), 409, "IDEMPOTENCY_CONFLICT")
    clock.advance(minutes=1)
    assert notes_app("POST", NOTES, KEY, json={"text": "b"}).status_code == 201
    assert len(rows(notes_app.db)) == 1
    with notes_app.db.write() as tx:
        prune(tx.sql, clock.now())
    assert len(rows(notes_app.db)) == 1, "recent keys are kept"


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "ä", "a\x7f"])
def test_invalid_key_is_refused(notes_app, key):
    headers = [("idempotency-key", key.encode())]
    failed(notes_app("POST", f"{NOTES}/a/poke", headers), 422, "VALIDATION_FAILED")
    assert texts(notes_app.db) == []


def test_two_keys_in_one_request_are_refused(notes_app):
    twice = [("idempotency-key", "a"), ("idempotency-key", "b")]
    failed(notes_app("POST", f"{NOTES}/a/poke", twice), 422, "VALIDATION_FAILED")
    assert notes_app("POST", f"{NOTES}/a/poke", {"idempotency-key": "x y!" + "z" * 251}).is_success


def test_key_is_ignored_for_get_requests(notes_app):
    for _ in range(2):
        answer = notes_app("GET", f"{NOTES}/1", KEY)
        assert "idempotency-replayed" not in answer.headers
    assert rows(notes_app.db) == []


@pytest.mark.postgres
def test_repeats_wait_for_the_first_request_with_few_threads(notes_app):
    """Fewer threads than writers: the request that holds the writer still gets a thread."""

    async def send_all():
        asyncio.get_running_loop().set_default_executor(HandlerThreads(2))
        asks = [notes_app.ask("POST", f"{NOTES}/same/poke", KEY) for _ in range(10)]
        asks += [
            notes_app.ask("POST", f"{NOTES}/w{n}/poke", {"idempotency-key": f"w{n}"})
            for n in range(10)
        ]
        asks += [notes_app.ask("POST", f"{NOTES}/plain/poke") for _ in range(20)]
        return await asyncio.wait_for(asyncio.gather(*asks), 120)

    answers = asyncio.run(send_all())
    assert {answer.status_code for answer in answers} == {200}
    replayed = [a for a in answers[:10] if "idempotency-replayed" in a.headers]
    assert len(replayed) == 9
    assert sorted(texts(notes_app.db)) == sorted(
        ["same", *(f"w{n}" for n in range(10)), *["plain"] * 20]
    )


@pytest.mark.postgres
def test_cancelled_request_releases_the_writer(notes_app):
    async def cancel_first():
        opened, loop = asyncio.Event(), asyncio.get_running_loop()
        tell = partial(loop.call_soon_threadsafe, opened.set)
        event.listen(notes_app.db.writer, "begin", lambda _: tell(), once=True)
        asking = asyncio.ensure_future(notes_app.ask("POST", NOTES, KEY, json={"text": "a"}))
        await asyncio.wait_for(opened.wait(), 120)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert asking.cancelled()
        after = await asyncio.wait_for(notes_app.ask("POST", f"{NOTES}/b/poke"), 120)
        assert after.status_code == 200
        return await notes_app.ask("POST", NOTES, KEY, json={"text": "a"})

    answer = asyncio.run(cancel_first())
    assert (answer.status_code, sorted(texts(notes_app.db))) == (201, ["a", "b"])
