"""Every statement of bi_statements.sql in every protocol mode that Python reaches.

Contract: psycopg2 sends it as a simple query, as a cursor with and without hold, and prepared and executed seven
times; asyncpg prepares it and executes it seven times over the extended protocol with binary results. All answers
must be the hand-written one, with its type OIDs; all errors the same SQLSTATE, message and hint.
"""
import asyncio
from contextlib import closing

import asyncpg
import psycopg2
import psycopg2.extras

from tap import Tap, statements

def text(connection):
    """Text of JSON values as sent, for both drivers alike."""
    psycopg2.extras.register_default_json(connection, loads=lambda value: value)
    psycopg2.extras.register_default_jsonb(connection, loads=lambda value: value)


def answer(cursor):
    rows = cursor.fetchall()
    return [column.type_code for column in cursor.description], rows


def simple(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [answer(cursor)]


def declared(connection, sql, hold=False):
    with closing(connection.cursor("bi cursor", withhold=hold)) as cursor:
        cursor.itersize = 100
        cursor.execute(sql)
        if hold:
            connection.commit()
        rows = list(cursor)
        return [([column.type_code for column in cursor.description], rows)]


def held(connection, sql):
    return declared(connection, sql, hold=True)


def prepared(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
        cursor.execute("PREPARE seven AS " + sql)
        answers = []
        for _ in range(7):
            cursor.execute("EXECUTE seven")
            answers.append(answer(cursor))
        return answers


def run(mode, connection, sql):
    """Answers of one mode, or the error; the connection stays usable either way."""
    try:
        answers = mode(connection, sql)
    except psycopg2.Error as error:
        answers = (error.pgcode, error.diag.message_primary, error.diag.message_hint)
    connection.rollback()
    return answers


async def binary(connection, sql):
    try:
        statement = await connection.prepare(sql)
        answers = []
        for _ in range(7):
            rows = [tuple(row) for row in await statement.fetch()]
            answers.append(([attribute.type.oid for attribute in statement.get_attributes()], rows))
        return answers
    except asyncpg.PostgresError as error:
        return error.sqlstate, error.message, error.hint


def verdict(statement, got, want):
    """None, or what is wrong with a mode's answers."""
    refused = isinstance(got, tuple)
    if statement.error:
        code, *word = statement.error
        right = refused and got[0] == code and all(w in got[1] for w in word) and got[2]
        return None if right else f"got {got if refused else got[0]}, want {statement.expect} and a hint"
    if refused:
        allowed = statement.expect == "rows or KP004" and got[0] == "KP004"
        return None if allowed else f"got error {got}"
    return next(filter(None, (statement.fault(one, want) for one in got)), None)


async def main():
    tap = Tap("statements")
    sync = psycopg2.connect("")
    text(sync)
    extended = await asyncpg.connect(statement_cache_size=0)
    for statement in statements():
        by_hand = simple_want = binary_want = None
        if not statement.error:
            simple_want = run(simple, sync, statement.by_hand)[0]
            binary_want = (await binary(extended, statement.by_hand))[0]
        faults, errors = [], set()
        for mode in (simple, declared, held, prepared, binary):
            if mode is binary:
                got, want = await binary(extended, statement.sql), binary_want
            else:
                got, want = run(mode, sync, statement.sql), simple_want
            fault = verdict(statement, got, want)
            if fault:
                faults.append(f"{mode.__name__}: {fault}")
            errors.add(got if isinstance(got, tuple) else None)
        if len(errors) > 1:
            faults.append(f"modes differ: {errors}")
        tap.ok(not faults, statement.name, *faults)
    sync.close()
    await extended.close()
    tap.done()


asyncio.run(main())
