"""Thresholds in a new period, and requests above the threshold at which workspaces sleep."""

from tests.shapes import failed


def test_alert_is_sent_again_in_a_period_that_is_above_it_when_it_is_first_seen(clocked_daemon):
    """No daemon runs from one day to the next; the disk alone costs more than both alerts."""
    clocked_daemon.project("lab")
    clocked_daemon.pool("grant", 1.0, "daily", alert_threshold=0.1)
    clocked_daemon.allocate("grant", "lab", 1.0, alert_threshold=0.1)
    storage = {"ebs_volume_size": 100}
    clocked_daemon.running(project="lab", storage=storage)
    clocked_daemon.verb("mine", "stop")
    clocked_daemon.settle(hours=12)
    assert len(clocked_daemon.events("budget_threshold_exceeded")) == 2
    clocked_daemon.settle(hours=2)
    assert len(clocked_daemon.events("budget_threshold_exceeded")) == 2, "once in a period"
    clocked_daemon.settle(hours=24)
    events = clocked_daemon.events("budget_threshold_exceeded")
    assert [event.data["scope"] for event in events] == ["allocation", "pool"] * 2


def test_nothing_starts_above_the_threshold_at_which_all_workspaces_sleep(clocked_daemon):
    clocked_daemon.project("lab", 10.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=12)
    clocked_daemon.put("projects/lab", budget={"auto_hibernate_threshold": 5.0})
    clocked_daemon.settle(minutes=1)
    assert clocked_daemon.state() == "hibernated"
    why = "5 % of the budget of $10.00 of project 'lab' is spent"
    for answer in (
        clocked_daemon.verb("mine", "resume"),
        clocked_daemon.launch("more", project="lab"),
        clocked_daemon.launch("more", project="lab", dry_run=True),
    ):
        refusal = failed(answer, 403, "BUDGET_EXCEEDED")
        assert refusal["message"] == f"All workspaces of 'lab' sleep: {why}"
    assert clocked_daemon.get("projects/lab/budget")["no_launches"] == why
    clocked_daemon.put("projects/lab", budget={"auto_hibernate_threshold": 50.0})
    assert clocked_daemon.verb("mine", "resume").status_code == 200
    clocked_daemon.settle(minutes=1)
    assert clocked_daemon.state() == "running"
