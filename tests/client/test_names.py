"""Names in lists of a shared daemon."""

from prism.client.names import shortest_names, unique_name


def row(name, full_name=None):
    return {"name": name} | ({"full_name": full_name} if full_name else {})


def test_full_name_is_used_where_two_people_have_the_same_name():
    rows = [row("mine", "mine--ada"), row("mine", "mine--eve"), row("other", "other--eve")]
    assert shortest_names(rows) == ["mine--ada", "mine--eve", "other"]
    assert [unique_name(each) for each in rows] == ["mine--ada", "mine--eve", "other--eve"]


def test_name_stays_short_without_full_names_and_for_ended_workspaces_of_one_person():
    assert shortest_names([row("mine"), row("mine")]) == ["mine", "mine"]
    assert shortest_names([row("mine", "mine--ada"), row("mine", "mine--ada")]) == ["mine"] * 2
    assert unique_name(row("mine")) == "mine"
