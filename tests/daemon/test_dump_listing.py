"""Which entries of a dump belong to the tables of Prism."""

from prism.daemon.dump_listing import selection, tables_of

LISTING = """;
; Archive created at 2026-11-27 23:56:58 UTC
;
3761; 0 0 ENCODING - ENCODING
6; 2615 16757 SCHEMA - public prism
221; 1259 16419 TABLE public events prism
;\tdepends on: 6
217; 1259 16395 SEQUENCE public events_id_seq prism
;\tdepends on: 6 221
3766; 0 0 SEQUENCE OWNED BY public events_id_seq prism
;\tdepends on: 217
255; 1259 16747 TABLE public theirs prism
257; 1259 16759 TABLE other events prism
258; 1259 16765 VIEW public seen prism
;\tdepends on: 221 221
3412; 2604 16389 DEFAULT public events id prism
;\tdepends on: 221 217 221
3721; 0 16419 TABLE DATA public events prism
;\tdepends on: 221
3756; 0 16747 TABLE DATA public theirs prism
;\tdepends on: 255
3774; 0 0 SEQUENCE SET public events_id_seq prism
;\tdepends on: 217
3500; 2606 16400 CONSTRAINT public events events_pkey prism
;\tdepends on: 221
3456; 1259 16470 INDEX public events_of prism
;\tdepends on: 221 221
3457; 1259 16471 INDEX public theirs_of prism
;\tdepends on: 255
3600; 2606 16500 FK CONSTRAINT public theirs theirs_fk prism
;\tdepends on: 255 3500 221
"""


def numbers(lines):
    return [int(line.partition(";")[0]) for line in lines]


def test_tables_of_a_listing_are_those_of_one_schema():
    assert tables_of(LISTING, "public") == {"events", "theirs"}
    assert tables_of(LISTING, "other") == {"events"}


def test_selection_contains_parts_of_a_table_but_no_dependent_objects():
    chosen = numbers(selection(LISTING, "public", {"events", "projects"}))
    assert chosen == [221, 217, 3766, 3412, 3721, 3774, 3500, 3456]


def test_selection_contains_a_foreign_key_if_it_contains_both_tables():
    assert 3600 in numbers(selection(LISTING, "public", {"events", "theirs"}))


def test_selection_of_an_unknown_schema_is_empty():
    assert selection(LISTING, "nowhere", {"events"}) == []
