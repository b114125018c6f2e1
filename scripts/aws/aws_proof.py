"""Checks on a real AWS account what the documents of AWS leave open, and cleans up.

    make aws-proof PROFILE=lab [REGION=us-west-2] [BUDGET=5]

PROFILE is a section of AWS's own files. The script runs a daemon in its own home. It prints what
it will create and the maximum cost, and asks; then it launches the smallest machines and checks
each point in turn. In every case it destroys what it has created. It writes the outcome to
`docs/aws-proof.json`, signed and with the request ids of AWS's answers. After a `kill -9`,
`make aws-proof-clean` destroys what is left.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import boto3
from aws_proof_clean import PARTS, Run, Sweeper
from aws_proof_report import PROVES, sign
from botocore.exceptions import BotoCoreError, ClientError

from prism.cli.installation.daemon_start import is_listening
from prism.client.transport.address import DaemonAddress

BIN = Path(sys.executable).parent
OUT = Path(__file__).parents[2] / "docs" / "aws-proof.json"
RUN = secrets.token_hex(3)
MAIN, SPOT, DATA, SHARED, COPY, AGAIN = (f"proof-{RUN}-{part}" for part in PARTS)
PROFILE = f"proof-{RUN}"
SMALL = ("t3.small", "t4g.small")  # the first that the region offers
PRICE_TIMEOUT = 60.0  # seconds: Prism reads AWS's price list in the background
DEAREST = 2.5  # no region costs more, compared with us-east-1; used if a price is unknown
SMALL_PRICE = 0.0208  # USD an hour, of t3.small in us-east-1
DAEMON_ENDS = 60.0  # seconds: it lets requests end for 30
HOURS = 2  # that everything may exist, at most
Tree = dict[str, Any]


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Failed(Exception):
    """A check failed."""


class Proof:
    """An account and region, our daemon, and the request ids of the current point."""

    def __init__(
        self, region: str, aws_profile: str | None, patience: float, quiet: float
    ) -> None:
        self.region, self.patience, self.quiet = region, patience, quiet
        try:
            self.session = boto3.Session(profile_name=aws_profile, region_name=region)
        except BotoCoreError as error:
            raise Failed(str(error)) from error
        self.home = Path(tempfile.mkdtemp(prefix="prism-proof-"))
        self.run = Run(RUN, region, aws_profile, self.home)
        self.run.note()
        ours = {"PRISM_HOME": str(self.home), "PRISM_PORT": "0"}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PRISM_")}
        self.environ = inherited | ours
        self.aws_profile, self.requests = aws_profile, list[str]()
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        self.double = endpoint if "127.0.0.1" in endpoint else ""

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """Run the daemon as a child, so that it ends with this script in every case."""
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
        return is_listening(DaemonAddress(str(self.home)))

    def prism(self, *words: str) -> Any:
        """Run a command; its answer."""
        command = [str(BIN / "prism"), *words, "--json"]
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Failed(f"prism {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def ask(self, service: str, action: str, **arguments: Any) -> Tree:
        """Ask AWS itself; keeps the request id."""
        try:
            answer: Tree = getattr(self.session.client(service), action)(**arguments)
        except BotoCoreError as error:
            raise Failed(f"{service} {action}: {error}") from error
        self.requests.append(answer["ResponseMetadata"]["RequestId"])
        return answer

    def finish(self, passed: bool) -> None:
        """Forget the run if nothing is left of it; else name the command that cleans up."""
        try:
            remaining = Sweeper(self.session, self.run).once()
        except (BotoCoreError, ClientError) as error:
            remaining = [f"not known: {error}"]
        if remaining:
            say(f"Left in the account: {', '.join(remaining)}. Run: make aws-proof-clean")
        else:
            self.run.forget(keep_home=not passed)
            say("" if passed else f"The log of its daemon is in {self.home}")

    def living(self) -> list[str]:
        """What exists of this run beside groups and keys, which are deleted last."""
        names = [{"Name": "tag:prism:name", "Values": [self.run.name(part) for part in PARTS]}]
        reservations = self.ask("ec2", "describe_instances", Filters=names)["Reservations"]
        machines = [machine for group in reservations for machine in group["Instances"]]
        ids = [
            machine["InstanceId"]
            for machine in machines
            if machine["State"]["Name"] != "terminated"
        ]
        volumes = self.ask("ec2", "describe_volumes", Filters=names)["Volumes"]
        copies = self.ask("ec2", "describe_snapshots", OwnerIds=["self"], Filters=names)
        systems = self.ask("efs", "describe_file_systems")["FileSystems"]
        ids += [disk["VolumeId"] for disk in volumes]
        ids += [snapshot["SnapshotId"] for snapshot in copies["Snapshots"]]
        return ids + [system["FileSystemId"] for system in systems if system.get("Name") == SHARED]

    @cached_property
    def small(self) -> str:
        """The smallest type with enough memory that the region offers."""
        filters = [{"Name": "instance-type", "Values": [*SMALL]}]
        answer = self.ask("ec2", "describe_instance_type_offerings", Filters=filters)
        offered = {offering["InstanceType"] for offering in answer["InstanceTypeOfferings"]}
        if not offered:
            raise Failed(f"{self.region} offers neither {' nor '.join(SMALL)}")
        return next(name for name in SMALL if name in offered)

    def machine(self, name: str) -> Tree:
        """A workspace's machine, as EC2 describes it."""
        id = self.prism("show", name)["id"]
        answer = self.ask("ec2", "describe_instances", InstanceIds=[id])
        return dict(answer["Reservations"][0]["Instances"][0])

    def until(self, goal: str, condition: Callable[[], Any]) -> Any:
        """Wait until the condition is true; its value."""
        ends = time.monotonic() + self.patience
        while not (value := condition()):
            if time.monotonic() > ends:
                raise Failed(f"{goal}: not within {self.patience:.0f} s")
            time.sleep(self.quiet)
        return value

    def wait_for_state(self, name: str, state: str) -> Tree:
        """Wait until a workspace is in a state; the workspace."""

        def in_state() -> Tree | None:
            workspace: Tree = self.prism("show", name)
            if workspace["state"] == "failed" and state != "failed":
                raise Failed(f"{name} failed: {workspace['failure']}")
            return workspace if workspace["state"] == state else None

        return dict(self.until(f"{name} {state}", in_state))

    def power_off(self, name: str) -> None:
        """Power off from inside the machine; the double is told to do it."""
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
            answer = proof.ask("iam", "simulate_principal_policy", ActionNames=[action],
                               PolicySourceArn=access["identity"])  # fmt: skip
            may[action] = answer["EvaluationResults"][0]["EvalDecision"]
        except ClientError as error:
            may[action] = error.response["Error"]["Code"]
        except Failed as error:
            may[action] = str(error)
    return {"identity": access["identity"], "note": access["note"], "more_than_daily": may}


def launch(proof: Proof) -> Tree:
    """A launch becomes ready, with everything tagged and with known CPU credits."""
    order = ("JupyterLab", MAIN, "--instance-type", proof.small, "--ttl", str(HOURS))
    proof.prism("launch", *order, "--no-wait")
    workspace = proof.wait_for_state(MAIN, "running")
    machine = proof.machine(MAIN)
    outcome = {"id": machine["InstanceId"], "stage": workspace["stage"]}
    untagged = {"prism:managed", "prism:id", "prism:name"} - {
        tag["Key"] for tag in machine["Tags"]
    }
    if untagged:
        raise Failed(f"it lacks the tags {', '.join(sorted(untagged))}")
    return outcome | {"credits": _credits(proof, machine["InstanceId"])} | _identity(proof)


def _credits(proof: Proof, id: str) -> str:
    """The CPU credits, which the daily policy does not let its holder read."""
    try:
        answer = proof.ask("ec2", "describe_instance_credit_specifications", InstanceIds=[id])
    except ClientError as error:
        return f"not known: {error.response['Error']['Code']}"
    [specification] = answer["InstanceCreditSpecifications"]
    return str(specification["CpuCredits"])


def _identity(proof: Proof) -> Tree:
    """The identity document of the machine and AWS's signature of it."""
    if proof.double:
        return {"identity_document": "none: the double's machines run no programs"}
    url = "http://169.254.169.254/latest"
    script = (
        f"T=$(curl -sfX PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {url}/api/token) && "
        'for part in document rsa2048; do curl -sf -H "X-aws-ec2-metadata-token: $T" '
        f"{url}/dynamic/instance-identity/$part && echo && echo ---; done"
    )
    try:
        parts = _run_inside(proof, MAIN, "sudo", "sh", "-c", script).split("---")
    except Failed as error:
        return {"identity_document": f"none: {error}"}
    return {"identity_document": parts[0].strip(), "rsa2048": parts[1].strip()}


def sleep_and_wake(proof: Proof) -> Tree:
    """It hibernates, and wakes up with the same boot id and the same file in its memory."""
    if not proof.prism("show", MAIN)["hibernation_capable"]:
        return {"skipped": f"EC2 cannot hibernate {proof.small}"}
    before = _tag(proof.machine(MAIN), "prism:boot-id")
    value = uuid.uuid4().hex
    if not proof.double:  # its machines run no programs; the value in `before` is from /run there
        _run_inside(proof, MAIN, "sh", "-c", f"echo {value} >/dev/shm/proof")
    proof.until("old enough to hibernate", lambda: _hibernate(proof))
    proof.wait_for_state(MAIN, "hibernated")
    reason = proof.machine(MAIN)["StateReason"]["Code"]
    proof.prism("resume", MAIN, "--no-wait")
    workspace = proof.wait_for_state(MAIN, "running")
    if workspace["failure"]:
        raise Failed(f"{workspace['failure']['message']}")
    after = _tag(proof.machine(MAIN), "prism:boot-id")
    if before != after:
        raise Failed(f"the memory before was {before}, the one after is {after}")
    if not proof.double:
        _run_inside(proof, MAIN, "grep", "-qx", value, "/dev/shm/proof")
    return {"reason": reason, "boot_id": before, "file_in_memory": not proof.double}


def spot_powers_off(proof: Proof) -> Tree:
    """Powering off inside a spot machine stops it, and EC2 does not replace it."""
    order = ("Plain Shell", SPOT, "--instance-type", proof.small, "--spot", "--ttl", str(HOURS))
    proof.prism("launch", *order, "--no-hibernation", "--no-wait")
    proof.wait_for_state(SPOT, "running")
    request = proof.machine(SPOT)["SpotInstanceRequestId"]
    proof.power_off(SPOT)
    proof.wait_for_state(SPOT, "stopped")
    for _ in range(3):
        time.sleep(proof.quiet * 5)
        if (state := proof.machine(SPOT)["State"]["Name"]) != "stopped":
            raise Failed(f"it was stopped, and is {state}")
    answer = proof.ask("ec2", "describe_spot_instance_requests", SpotInstanceRequestIds=[request])
    return {"request": request, "request_state": answer["SpotInstanceRequests"][0]["State"]}


def volume(proof: Proof) -> Tree:
    """A volume is attached to JupyterLab, in the home of who works there."""
    proof.prism("volume", "create", DATA, "--size", "1", "--no-wait")
    _wait_for_volume(proof, DATA, "available")
    proof.prism("volume", "attach", DATA, MAIN, "--no-wait")
    volume_id = _wait_until_attached(proof, DATA)
    if not proof.double:
        _run_inside(proof, MAIN, "sh", "-c", f"echo precious > ~/volumes/{DATA}/thesis")
    return {"attached": volume_id}


def shared(proof: Proof) -> Tree:
    """An EFS file system is mounted through a target of its own."""
    proof.prism("volume", "create", SHARED, "--type", "efs", "--no-wait")
    id = _wait_for_volume(proof, SHARED, "available")["filesystem_id"]
    proof.prism("volume", "attach", SHARED, MAIN, "--no-wait")

    def mount_targets() -> list[str]:
        answer = proof.ask("efs", "describe_mount_targets", FileSystemId=id)
        return [target["MountTargetId"] for target in answer["MountTargets"]]

    return {"filesystem": id, "targets": proof.until("a mount target", mount_targets)}


def copy(proof: Proof) -> Tree:
    """A snapshot is taken and restored."""
    # A volume is never completely attached to the double's machines, see `attached_id`.
    source = ("--workspace", SPOT) if proof.double else ("--volume", DATA)
    proof.prism("snapshot", "create", COPY, *source, "--no-wait")
    proof.until(
        "the snapshot", lambda: proof.prism("snapshot", "show", COPY)["state"] == "completed"
    )
    proof.prism("snapshot", "restore", COPY, AGAIN, "--no-wait")
    restored = _wait_for_volume(proof, AGAIN, "available")
    filters = [{"Name": "volume-id", "Values": [restored["volume_id"]]}]
    [described] = proof.until(  # EC2 may not list at once what it has made
        "the restored volume",
        lambda: proof.ask("ec2", "describe_volumes", Filters=filters)["Volumes"],
    )
    if not described.get("SnapshotId"):
        raise Failed("the restored volume comes of no snapshot")
    return {"restored": restored["volume_id"], "of": described["SnapshotId"]}


POINTS = (who, launch, sleep_and_wake, spot_powers_off, volume, shared, copy)


# ------------------------------------------------------------------ the end
def clean(proof: Proof) -> None:
    """Destroy everything, as far as possible."""
    for words in (
        ("terminate", MAIN, "--yes", "--no-wait"),
        ("terminate", SPOT, "--yes", "--no-wait"),
        *(("volume", "detach", name, MAIN, "--no-wait") for name in (DATA, SHARED)),
        ("snapshot", "delete", COPY, "--yes", "--no-wait"),
    ):
        try:
            proof.prism(*words)
        except (Failed, OSError):
            continue  # it was never made, or is gone


def left(proof: Proof) -> Tree:
    """Everything of it is destroyed: by Prism, and what Prism leaves by its ids."""

    def nothing() -> bool:
        for name in (DATA, SHARED, AGAIN):
            try:
                proof.prism("volume", "delete", name, "--yes", "--no-wait")
            except (Failed, OSError):
                continue
        return not proof.living()

    clean(proof)
    by_hand: list[str] = []
    try:
        proof.until("nothing left", nothing)
        proof.prism("aws", "clean", "--yes")
    except (Failed, OSError):
        by_hand = proof.living()
    sweeper = Sweeper(proof.session, proof.run)
    remaining = sweeper.until_nothing(proof.patience, proof.quiet)
    if remaining:
        raise Failed(f"left in the account: {', '.join(remaining)}: {sweeper.problems}")
    if by_hand:
        raise Failed(f"Prism left these, which the proof destroyed: {', '.join(by_hand)}")
    return {"left": []}


# ------------------------------------------------------------------ words
def _tag(machine: Tree, key: str) -> str | None:
    return next((tag["Value"] for tag in machine["Tags"] if tag["Key"] == key), None)


def _hibernate(proof: Proof) -> bool:
    """Ask for hibernation; EC2 refuses it in the first minutes of a machine."""
    proof.prism("hibernate", MAIN, "--no-wait")
    return True


def _wait_for_volume(proof: Proof, name: str, state: str) -> Tree:
    def in_state() -> Tree | None:
        answer: Tree = proof.prism("volume", "show", name)
        return answer if answer["state"] == state else None

    return dict(proof.until(f"volume {name} {state}", in_state))


def _wait_until_attached(proof: Proof, name: str) -> str:
    def attached_id() -> str | None:
        answer = proof.prism("volume", "show", name)
        filters = [{"Name": "volume-id", "Values": [answer["volume_id"]]}]
        described = proof.ask("ec2", "describe_volumes", Filters=filters)["Volumes"]
        if not described:  # it was made anew, in the zone of the workspace
            return None
        ec2_volume = described[0]
        # The double's machines run no agent, so there the volume stays in the state before.
        done = answer["state"] == "in-use" or proof.double
        states = [attachment["State"] for attachment in ec2_volume["Attachments"]]
        return str(answer["volume_id"]) if states == ["attached"] and done else None

    return str(proof.until(f"volume {name} attached", attached_id))


def _run_inside(proof: Proof, name: str, *words: str) -> str:
    command = [str(BIN / "prism"), "exec", name, "--", *words]
    done = subprocess.run(command, env=proof.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"inside of {name}: {done.stderr.strip()}")
    return done.stdout


def worst_case(proof: Proof) -> float:
    """The maximum cost in USD: everything, for the whole time."""
    total = 0.0
    for template, more in (("JupyterLab", ()), ("Plain Shell", ("--spot",))):
        order = ("launch", template, "proof-plan", "--instance-type", proof.small, *more)
        plan = _priced(proof, order)
        hourly, source = plan["hourly"], plan["price_source"]
        if hourly is None:
            hourly, source = SMALL_PRICE * DEAREST, "unknown: at most this"
        say(f"  {plan['instance_type']}: ${hourly} an hour ({source})")
        total += hourly * HOURS + (plan["disk_monthly"] or 0) / 720 * HOURS
    addresses = 2 * 0.005 * HOURS
    storage = 0.50  # two volumes, a snapshot, a file system: far less
    return float(total + addresses + storage)


def _priced(proof: Proof, order: tuple[str, ...]) -> Tree:
    """The plan of a launch, as soon as Prism has read the price of the region, or without it."""
    ends = time.monotonic() + min(PRICE_TIMEOUT, proof.patience)
    while True:
        plan: Tree = proof.prism(*order, "--dry-run")
        if plan["hourly"] is not None or time.monotonic() > ends:
            return plan
        time.sleep(proof.quiet)


def run(proof: Proof, budget: float, sure: bool) -> Tree:
    """Check every point in order; the report."""
    proof.prism("profile", "create", PROFILE, "--provider", "aws", "--region", proof.region,
                *(("--aws-profile", proof.aws_profile) if proof.aws_profile else ()))  # fmt: skip
    proof.prism("profile", "switch", PROFILE)
    say(
        f"In {proof.region}, for {HOURS} hours at most: two machines, two volumes, a snapshot, EFS"
    )
    most = worst_case(proof)
    say(f"  at most ${most:.2f}; the budget is ${budget:.2f}")
    if most > budget:
        raise SystemExit("error: that is more than the budget: make aws-proof BUDGET=…")
    if not sure and _answer("Go on? Type yes: ") != "yes":
        raise SystemExit("nothing was made")
    try:
        points = [_check(proof, point) for point in POINTS]
    except BaseException:
        say("Interrupted: what was made is destroyed first")
        _check(proof, left)
        raise
    points.append(_check(proof, left))
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "region": proof.region,
        "against": "the double" if proof.double else "AWS",
        "worst_case_usd": round(most, 2),
        "points": points,
        "passed": all(point["ok"] for point in points),
    }


def _answer(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""


def _check(proof: Proof, point: Callable[[Proof], Tree]) -> Tree:
    proof.requests.clear()
    began = time.monotonic()
    outcome: Tree = {"point": point.__name__, "what": (point.__doc__ or "").splitlines()[0]}
    try:
        outcome |= {"ok": True, "found": point(proof)}
    except (Failed, BotoCoreError, ClientError, OSError, LookupError, TypeError, ValueError,
            subprocess.SubprocessError) as error:  # fmt: skip
        outcome |= {"ok": False, "why": str(error)}
    outcome |= {"seconds": round(time.monotonic() - began, 1), "request_ids": [*proof.requests]}
    say(f"{'ok    ' if outcome['ok'] else 'FAILED'}  {outcome['what']}  {outcome.get('why', '')}")
    return outcome


def _interrupted(number: int, _: object) -> NoReturn:
    """Exit and clean up; a second signal ends the cleanup, too."""
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


def _options() -> argparse.Namespace:
    """The arguments; only tests use the last three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default=None)
    parser.add_argument("--region", default=None)
    parser.add_argument("--budget", type=float, default=5.0)
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--patience", type=float, default=1200.0)
    parser.add_argument("--pause", type=float, default=5.0)
    return parser.parse_args()


def _prove(options: argparse.Namespace) -> Tree:
    """Check everything; afterwards nothing is left, or the note of the run is."""
    region = options.region or boto3.Session(profile_name=options.profile or None).region_name
    if not region:
        raise Failed("no region is known: make aws-proof REGION=…")
    proof, passed = Proof(region, options.profile or None, options.patience, options.pause), False
    try:
        with proof.daemon():
            report = run(proof, options.budget, options.yes)
        passed = report["passed"]
        return sign(report)
    finally:
        proof.finish(passed)


def main() -> int:
    """Check everything and write the report."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        report = _prove(options)
    except (Failed, BotoCoreError, ClientError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    say(f"The signed report is {options.out}. Its signature proves that {PROVES}.")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
