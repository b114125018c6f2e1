"""The first real account: tries on AWS what its documents leave open, and leaves nothing behind.

    make aws-proof PROFILE=lab [REGION=us-west-2] [BUDGET=5]

PROFILE is a section of AWS's own files. The script has a daemon and a home of its own. It prints
what it will make and what that costs at most, and asks; then it launches the smallest machines and
checks each point, one after the other. Whatever happens, it destroys what it has made. What came
of it is written to `docs/aws-proof.json`, with the request ids of AWS's answers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import boto3
from botocore.exceptions import ClientError

from prism.cli.daemon_start import answers
from prism.client.address import DaemonAddress

BIN = Path(sys.executable).parent
OUT = Path(__file__).parents[1] / "docs" / "aws-proof.json"
MAIN, SPOT, DATA, SHARED, COPY, AGAIN = (
    "proof-main", "proof-spot", "proof-data", "proof-shared", "proof-copy", "proof-again",
)  # fmt: skip
DAEMON_ENDS = 60.0  # seconds: it lets requests end for 30
HOURS = 2  # that everything may exist, at most
MANAGED = [{"Name": "tag:prism:managed", "Values": ["true"]}]
GONE = {"shutting-down", "terminated"}
Tree = dict[str, Any]


def say(text: str) -> None:
    """A line for whoever looks on."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Failed(Exception):
    """Something is not as it should be."""


class Proof:
    """One account and region, a daemon of our own, and what has been found out."""

    def __init__(
        self, region: str, aws_profile: str | None, patience: float, quiet: float
    ) -> None:
        self.region, self.patience, self.quiet = region, patience, quiet
        self.home = Path(tempfile.mkdtemp(prefix="prism-proof-"))
        ours = {"PRISM_HOME": str(self.home), "PRISM_PORT": "0"}
        others = (it for it in os.environ.items() if not it[0].startswith("PRISM_"))
        self.environ = dict(others) | ours
        self.session = boto3.Session(profile_name=aws_profile, region_name=region)
        self.aws_profile, self.requests = aws_profile, list[str]()
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        self.double = endpoint if "127.0.0.1" in endpoint else ""

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """Run the daemon as a child, so that it ends with this script whatever it is busy with."""
        with (self.home / "daemon.log").open("w") as log:
            child = subprocess.Popen(
                [str(BIN / "prismd")],
                env=self.environ,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for this script, which then cleans up
            )
        try:
            self.until("the daemon answers", lambda: self._answers(child))
            yield
        finally:
            child.terminate()
            try:
                child.wait(DAEMON_ENDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _answers(self, child: subprocess.Popen[bytes]) -> bool:
        if child.poll() is not None:
            raise Failed(f"the daemon ended: {(self.home / 'daemon.log').read_text().strip()}")
        return answers(DaemonAddress(str(self.home)))

    def prism(self, *words: str) -> Any:
        """What a command answers."""
        command = [str(BIN / "prism"), *words, "--json"]
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Failed(f"prism {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def ask(self, service: str, action: str, **arguments: Any) -> Tree:
        """What AWS itself says; its request id is kept."""
        answer: Tree = getattr(self.session.client(service), action)(**arguments)
        self.requests.append(answer["ResponseMetadata"]["RequestId"])
        return answer

    def machine(self, name: str) -> Tree:
        """A workspace's machine, as EC2 describes it."""
        id = self.prism("show", name)["id"]
        found: Tree = self.ask("ec2", "describe_instances", InstanceIds=[id])["Reservations"][0]
        return dict(found["Instances"][0])

    def until(self, what: str, so: Callable[[], Any]) -> Any:
        """Wait until something is so."""
        ends = time.monotonic() + self.patience
        while not (found := so()):
            if time.monotonic() > ends:
                raise Failed(f"{what}: not within {self.patience:.0f} s")
            time.sleep(self.quiet)
        return found

    def becomes(self, name: str, state: str) -> Tree:
        """Wait until a workspace is that."""

        def shown() -> Tree | None:
            it: Tree = self.prism("show", name)
            if it["state"] == "failed" and state != "failed":
                raise Failed(f"{name} failed: {it['failure']}")
            return it if it["state"] == state else None

        return dict(self.until(f"{name} {state}", shown))

    def power_off(self, name: str) -> None:
        """What somebody types inside; the double's machines have no inside."""
        if self.double:
            id = self.prism("show", name)["id"]
            body = json.dumps({"id": id}).encode()
            request = urllib.request.Request(
                f"{self.double}/_double/power-off", body, method="POST"
            )
            urllib.request.urlopen(request, timeout=10).close()
        else:
            command = [str(BIN / "prism"), "exec", name, "--", "sudo", "systemctl", "poweroff"]
            subprocess.run(command, env=self.environ, check=False, timeout=60)


# ------------------------------------------------------------------ the points, in their order
def who(proof: Proof) -> Tree:
    """Everything is done under the daily policy, by which nobody can become an administrator."""
    [access] = proof.prism("aws", "check")
    if access["problem"] or access["missing"]:
        raise Failed(f"{access['problem'] or 'missing: ' + ', '.join(access['missing'])}")
    may = {}
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"):
        try:
            said = proof.ask("iam", "simulate_principal_policy", ActionNames=[action],
                             PolicySourceArn=access["identity"])  # fmt: skip
            may[action] = said["EvaluationResults"][0]["EvalDecision"]
        except ClientError as no:
            may[action] = no.response["Error"]["Code"]
    return {"identity": access["identity"], "note": access["note"], "more_than_daily": may}


def launch(proof: Proof) -> Tree:
    """A launch becomes ready, with standard CPU credits and everything tagged."""
    order = ("JupyterLab", MAIN, "--instance-type", "t3.small", "--ttl", str(HOURS))
    proof.prism("launch", *order, "--no-wait")
    it = proof.becomes(MAIN, "running")
    found = proof.machine(MAIN)
    said = proof.ask("ec2", "describe_instance_credit_specifications",
                     InstanceIds=[found["InstanceId"]])  # fmt: skip
    [credits] = [it["CpuCredits"] for it in said["InstanceCreditSpecifications"]]
    if credits != "standard":
        raise Failed(f"its CPU credits are {credits}")
    return {"id": found["InstanceId"], "stage": it["stage"], "credits": credits}


def sleep_and_wake(proof: Proof) -> Tree:
    """It hibernates, and wakes up in the same boot."""
    before = _tag(proof.machine(MAIN), "prism:boot-id")
    proof.until("old enough to hibernate", lambda: _hibernated(proof))
    proof.becomes(MAIN, "hibernated")
    reason = proof.machine(MAIN)["StateReason"]["Code"]
    proof.prism("resume", MAIN, "--no-wait")
    it = proof.becomes(MAIN, "running")
    if it["failure"]:
        raise Failed(f"{it['failure']['message']}")
    after = _tag(proof.machine(MAIN), "prism:boot-id")
    if before != after:
        raise Failed(f"the boot before was {before}, the one after is {after}")
    return {"reason": reason, "boot_id": before}


def spot_powers_off(proof: Proof) -> Tree:
    """Powering off inside a spot machine stops it, and EC2 does not replace it."""
    order = ("Plain Shell", SPOT, "--instance-type", "t3.small", "--spot", "--ttl", str(HOURS))
    proof.prism("launch", *order, "--no-hibernation", "--no-wait")
    proof.becomes(SPOT, "running")
    request = proof.machine(SPOT)["SpotInstanceRequestId"]
    proof.power_off(SPOT)
    proof.becomes(SPOT, "stopped")
    for _ in range(3):
        time.sleep(proof.quiet * 5)
        if (state := proof.machine(SPOT)["State"]["Name"]) != "stopped":
            raise Failed(f"it was stopped, and is {state}")
    said = proof.ask("ec2", "describe_spot_instance_requests", SpotInstanceRequestIds=[request])
    return {"request": request, "request_state": said["SpotInstanceRequests"][0]["State"]}


def volume(proof: Proof) -> Tree:
    """A volume is attached to JupyterLab, in the home of who works there."""
    proof.prism("volume", "create", DATA, "--size", "1", "--no-wait")
    _volume(proof, DATA, "available")
    proof.prism("volume", "attach", DATA, MAIN, "--no-wait")
    shown = _attached(proof, DATA)
    if not proof.double:
        _inside(proof, MAIN, "sh", "-c", f"echo precious > ~/volumes/{DATA}/thesis")
    return {"attached": shown}


def shared(proof: Proof) -> Tree:
    """An EFS file system is mounted through a target of its own."""
    proof.prism("volume", "create", SHARED, "--type", "efs", "--no-wait")
    it = _volume(proof, SHARED, "available")
    proof.prism("volume", "attach", SHARED, MAIN, "--no-wait")

    def there() -> list[str]:
        said = proof.ask("efs", "describe_mount_targets", FileSystemId=it["filesystem_id"])
        return [one["MountTargetId"] for one in said["MountTargets"]]

    return {"filesystem": it["filesystem_id"], "targets": proof.until("a mount target", there)}


def copy(proof: Proof) -> Tree:
    """A snapshot is taken and restored."""
    # Nobody can enter the double's machines, so there a volume never ends being attached.
    source = ("--workspace", SPOT) if proof.double else ("--volume", DATA)
    proof.prism("snapshot", "create", COPY, *source, "--no-wait")
    proof.until(
        "the snapshot", lambda: proof.prism("snapshot", "show", COPY)["state"] == "completed"
    )
    proof.prism("snapshot", "restore", COPY, AGAIN, "--no-wait")
    it = _volume(proof, AGAIN, "available")
    wanted = [{"Name": "volume-id", "Values": [it["volume_id"]]}]
    [found] = proof.until(  # EC2 may not list at once what it has made
        "the restored volume",
        lambda: proof.ask("ec2", "describe_volumes", Filters=wanted)["Volumes"],
    )
    if not found.get("SnapshotId"):
        raise Failed("the restored volume comes of no snapshot")
    return {"restored": it["volume_id"], "of": found["SnapshotId"]}


POINTS = (who, launch, sleep_and_wake, spot_powers_off, volume, shared, copy)


# ------------------------------------------------------------------ the end
def clean(proof: Proof) -> None:
    """Destroy whatever there is, each as far as it goes."""
    for words in (
        ("terminate", MAIN, "--yes", "--no-wait"),
        ("terminate", SPOT, "--yes", "--no-wait"),
        *(("volume", "detach", name, MAIN, "--no-wait") for name in (DATA, SHARED)),
        ("snapshot", "delete", COPY, "--yes", "--no-wait"),
    ):
        try:
            proof.prism(*words)
        except Failed:
            continue  # it was never made, or is gone


def left(proof: Proof) -> Tree:
    """What is left of it in the account; everything that is ours goes by then."""

    def nothing() -> bool:
        for name in (DATA, SHARED, AGAIN):
            try:
                proof.prism("volume", "delete", name, "--yes", "--no-wait")
            except Failed:
                continue
        return not list(_remains(proof))

    clean(proof)
    try:
        proof.until("nothing left", nothing)
    except Failed:
        raise Failed(f"left in the account: {', '.join(_remains(proof))}") from None
    return {"left": []}


def _remains(proof: Proof) -> Iterator[str]:
    names = {"Name": "tag:prism:name", "Values": [MAIN, SPOT, DATA, SHARED, COPY, AGAIN]}
    ours = [*MANAGED, names]
    for group in proof.ask("ec2", "describe_instances", Filters=ours)["Reservations"]:
        yield from (
            it["InstanceId"] for it in group["Instances"] if it["State"]["Name"] not in GONE
        )
    yield from (
        it["VolumeId"] for it in proof.ask("ec2", "describe_volumes", Filters=ours)["Volumes"]
    )
    said = proof.ask("ec2", "describe_snapshots", OwnerIds=["self"], Filters=ours)
    yield from (it["SnapshotId"] for it in said["Snapshots"])
    for it in proof.ask("efs", "describe_file_systems")["FileSystems"]:
        if it.get("Name") == SHARED:
            yield it["FileSystemId"]
    said = proof.ask("ec2", "describe_spot_instance_requests", Filters=ours)
    open_ones = (it for it in said["SpotInstanceRequests"] if it["State"] in {"open", "active"})
    yield from (it["SpotInstanceRequestId"] for it in open_ones)


# ------------------------------------------------------------------ words
def _tag(machine: Tree, key: str) -> str | None:
    return next((it["Value"] for it in machine["Tags"] if it["Key"] == key), None)


def _hibernated(proof: Proof) -> bool:
    """Whether it took the wish; EC2 wants a machine to be up for some minutes first."""
    proof.prism("hibernate", MAIN, "--no-wait")
    return True


def _volume(proof: Proof, name: str, state: str) -> Tree:
    def shown() -> Tree | None:
        it: Tree = proof.prism("volume", "show", name)
        return it if it["state"] == state else None

    return dict(proof.until(f"volume {name} {state}", shown))


def _attached(proof: Proof, name: str) -> str:
    def there() -> str | None:
        it = proof.prism("volume", "show", name)
        wanted = [{"Name": "volume-id", "Values": [it["volume_id"]]}]
        found = proof.ask("ec2", "describe_volumes", Filters=wanted)["Volumes"]
        if not found:  # it was made anew, in the zone of the workspace
            return None
        said = found[0]
        done = it["state"] == "in-use" or proof.double  # nobody can enter the double's machines
        states = [one["State"] for one in said["Attachments"]]
        return str(it["volume_id"]) if states == ["attached"] and done else None

    return str(proof.until(f"volume {name} attached", there))


def _inside(proof: Proof, name: str, *words: str) -> None:
    command = [str(BIN / "prism"), "exec", name, "--", *words]
    done = subprocess.run(command, env=proof.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"inside of {name}: {done.stderr.strip()}")


def worst_case(proof: Proof) -> float:
    """What everything costs at most, in USD: all of it for the whole time."""
    total = 0.0
    for template, more in (("JupyterLab", ()), ("Plain Shell", ("--spot",))):
        words = (
            "launch",
            template,
            "proof-plan",
            "--instance-type",
            "t3.small",
            *more,
            "--dry-run",
        )
        plan = proof.prism(*words)
        say(f"  {plan['instance_type']}: ${plan['hourly']} an hour ({plan['price_source']})")
        total += plan["hourly"] * HOURS + (plan["disk_monthly"] or 0) / 720 * HOURS
    addresses, storage = (
        2 * 0.005 * HOURS,
        0.50,
    )  # two volumes, a snapshot, a file system: far less
    return float(total + addresses + storage)


def run(proof: Proof, budget: float, sure: bool) -> Tree:
    """Everything, in its order; the answer is what is written down."""
    proof.prism("profile", "create", "proof", "--provider", "aws", "--region", proof.region,
                *(("--aws-profile", proof.aws_profile) if proof.aws_profile else ()))  # fmt: skip
    proof.prism("profile", "switch", "proof")
    say(
        f"In {proof.region}, for {HOURS} hours at most: two machines, two volumes, a snapshot, EFS"
    )
    most = worst_case(proof)
    say(f"  at most ${most:.2f}; the budget is ${budget:.2f}")
    if most > budget:
        raise SystemExit("error: that is more than the budget: make aws-proof BUDGET=…")
    if not sure and input("Go on? Type yes: ").strip() != "yes":
        raise SystemExit("nothing was made")
    try:
        points = [_tried(proof, it) for it in POINTS]
    except BaseException:
        say("Interrupted: what was made is destroyed first")
        _tried(proof, left)
        raise
    points.append(_tried(proof, left))
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "region": proof.region,
        "against": "the double" if proof.double else "AWS",
        "worst_case_usd": round(most, 2),
        "points": points,
        "passed": all(it["ok"] for it in points),
    }


def _tried(proof: Proof, point: Callable[[Proof], Tree]) -> Tree:
    proof.requests.clear()
    began = time.monotonic()
    said: Tree = {"point": point.__name__, "what": (point.__doc__ or "").splitlines()[0]}
    try:
        said |= {"ok": True, "found": point(proof)}
    except (Failed, ClientError, OSError, LookupError, ValueError) as why:
        said |= {"ok": False, "why": str(why)}
    said |= {"seconds": round(time.monotonic() - began, 1), "request_ids": [*proof.requests]}
    say(f"{'ok    ' if said['ok'] else 'FAILED'}  {said['what']}  {said.get('why', '')}")
    return said


def _interrupted(number: int, _: object) -> NoReturn:
    """Once: whoever does it again ends the cleaning up, too."""
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


def main() -> int:
    """Only tests give the last three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default=None)
    parser.add_argument("--region", default="us-west-2")
    parser.add_argument("--budget", type=float, default=5.0)
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--patience", type=float, default=1200.0)
    parser.add_argument("--pause", type=float, default=5.0)
    asked = parser.parse_args()
    proof = Proof(asked.region, asked.profile or None, asked.patience, asked.pause)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        with proof.daemon():
            said = run(proof, asked.budget, asked.yes)
    except Failed as why:
        raise SystemExit(f"error: {why}") from None
    asked.out.write_text(json.dumps(said, indent=2) + "\n")
    if said["passed"]:
        shutil.rmtree(proof.home)
        return 0
    say(f"Its home, with the key of its machines, is kept: {proof.home}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
