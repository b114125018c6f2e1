"""Destroys what `make aws-proof` has left in an account, for example after a `kill -9`.

    make aws-proof-clean

A proof notes its run in `~/.local/state/prism-proof` before it makes anything. The names of
everything that it makes contain the run, so this script needs neither the proof's daemon nor its
home, and touches nothing else. It works under the daily policy.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

BIN = Path(sys.executable).parent
PARTS = ("main", "spot", "data", "shared", "copy", "again")
MANAGED = {"Name": "tag:prism:managed", "Values": ["true"]}
LIVING = ["pending", "running", "stopping", "stopped", "shutting-down"]
ENDING = "shutting-down"
Tree = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run of the proof, as it is noted on this computer."""

    id: str
    region: str
    aws_profile: str | None
    home: Path

    def name(self, part: str) -> str:
        """The name of a workspace, volume or snapshot of this run."""
        return f"proof-{self.id}-{part}"

    def note(self) -> None:
        """Write the run down, before it makes anything."""
        text = {"region": self.region, "aws_profile": self.aws_profile, "home": str(self.home)}
        folder().mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(text))
        draft.replace(self._file)

    def forget(self, *, keep_home: bool = False) -> None:
        """Remove the note and the home, once nothing is left in the account."""
        if not keep_home:
            shutil.rmtree(self.home, ignore_errors=True)
        self._file.unlink(missing_ok=True)

    @property
    def _file(self) -> Path:
        return folder() / f"{self.id}.json"


def folder() -> Path:
    """Where the runs are noted."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "prism-proof"


def noted_runs() -> list[Run]:
    """The runs of which something may be left."""
    runs = []
    for file in sorted(folder().glob("*.json")):
        noted = json.loads(file.read_text())
        home = Path(noted["home"])
        runs.append(Run(file.stem, noted["region"], noted["aws_profile"], home))
    return runs


@dataclass
class Sweeper:
    """Asks AWS to destroy everything of a run; a pass lists what is still there."""

    session: Any
    run: Run
    problems: dict[str, str] = field(default_factory=dict)  # by id: why AWS refuses

    def until_nothing(self, patience: float, pause: float) -> list[str]:
        """Repeat passes until nothing is left; returns what is."""
        ends = time.monotonic() + patience
        while (remaining := self.once()) and time.monotonic() < ends:
            time.sleep(pause)
        return remaining

    def once(self) -> list[str]:
        """Ask for the destruction of all that there is; the ids of that."""
        self.problems.clear()
        steps = (
            self._spot_requests,
            self._instances,
            self._volumes,
            self._snapshots,
            self._file_systems,
            self._groups_and_keys,
        )
        return [id for step in steps for id in step()]

    def _spot_requests(self) -> Iterator[str]:
        states = {"Name": "state", "Values": ["open", "active", "disabled"]}
        answer = self._ec2.describe_spot_instance_requests(Filters=[*self._ours, states])
        for request in answer["SpotInstanceRequests"]:
            id = request["SpotInstanceRequestId"]
            self._try(id, self._ec2.cancel_spot_instance_requests, SpotInstanceRequestIds=[id])
            yield id

    def _instances(self) -> Iterator[str]:
        states = {"Name": "instance-state-name", "Values": LIVING}
        answer = self._ec2.describe_instances(Filters=[*self._ours, states])
        for reservation in answer["Reservations"]:
            for instance in reservation["Instances"]:
                id = instance["InstanceId"]
                if instance["State"]["Name"] != ENDING:
                    self._try(id, self._ec2.terminate_instances, InstanceIds=[id])
                yield id

    def _volumes(self) -> Iterator[str]:
        for volume in self._ec2.describe_volumes(Filters=self._ours)["Volumes"]:
            if volume["State"] == "available":  # else its machine, which is ending, has it
                id = volume["VolumeId"]
                self._try(id, self._ec2.delete_volume, VolumeId=id)
            yield volume["VolumeId"]

    def _snapshots(self) -> Iterator[str]:
        answer = self._ec2.describe_snapshots(OwnerIds=["self"], Filters=self._ours)
        for snapshot in answer["Snapshots"]:
            id = snapshot["SnapshotId"]
            self._try(id, self._ec2.delete_snapshot, SnapshotId=id)
            yield id

    def _file_systems(self) -> Iterator[str]:
        efs, name = self.session.client("efs"), self.run.name("shared")
        for system in efs.describe_file_systems()["FileSystems"]:
            if system.get("Name") != name:
                continue
            id = system["FileSystemId"]
            targets = efs.describe_mount_targets(FileSystemId=id)["MountTargets"]
            for target in targets:
                target_id = target["MountTargetId"]
                self._try(target_id, efs.delete_mount_target, MountTargetId=target_id)
            if not targets:
                self._try(id, efs.delete_file_system, FileSystemId=id)
            yield id

    def _groups_and_keys(self) -> Iterator[str]:
        """Groups first: the name of the key tells which they are."""
        prefix = f"prism-proof-{self.run.id}-"
        for pair in self._ec2.describe_key_pairs(Filters=[MANAGED])["KeyPairs"]:
            if not pair["KeyName"].startswith(prefix):
                continue
            own = f"prism-{pair['KeyName'].removeprefix(prefix)}"
            names = {"Name": "group-name", "Values": [own, f"{own}-*"]}
            groups = self._ec2.describe_security_groups(Filters=[MANAGED, names])["SecurityGroups"]
            for group in groups:
                id = group["GroupId"]
                self._forget_in_shared_group(id)
                self._try(id, self._ec2.delete_security_group, GroupId=id)
                yield id
            if not groups:
                id = pair["KeyPairId"]
                self._try(id, self._ec2.delete_key_pair, KeyPairId=id)
            yield pair["KeyPairId"]

    def _forget_in_shared_group(self, id: str) -> None:
        """Remove a group from the rules of the group for file systems, which all homes share."""
        named = [MANAGED, {"Name": "group-name", "Values": ["prism-efs"]}]
        for group in self._ec2.describe_security_groups(Filters=named)["SecurityGroups"]:
            for rule in group["IpPermissions"]:
                if any(pair.get("GroupId") == id for pair in rule.get("UserIdGroupPairs", ())):
                    same = {name: rule[name] for name in ("IpProtocol", "FromPort", "ToPort")}
                    peers = {"UserIdGroupPairs": [{"GroupId": id}]}
                    call = self._ec2.revoke_security_group_ingress
                    self._try(id, call, GroupId=group["GroupId"], IpPermissions=[same | peers])

    def _try(self, id: str, call: Callable[..., object], **arguments: Any) -> None:
        try:
            call(**arguments)
        except ClientError as error:  # it is still in use, or gone: the next pass shows that
            self.problems[id] = error.response["Error"]["Code"]

    @property
    def _ec2(self) -> Any:
        return self.session.client("ec2")

    @property
    def _ours(self) -> list[Tree]:
        names = [self.run.name(part) for part in PARTS]
        return [MANAGED, {"Name": "tag:prism:name", "Values": names}]


def stop_daemon(home: Path) -> None:
    """End the daemon of a proof that was killed, and its last command: they go on otherwise."""
    if home.is_dir():
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PRISM_")}
        command = [str(BIN / "prism"), "daemon", "stop"]
        environ |= {"PRISM_HOME": str(home), "PRISM_PORT": "0"}
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(command, env=environ, capture_output=True, check=False, timeout=180)
    for id in _processes_of(home):
        with contextlib.suppress(OSError):
            os.kill(id, signal.SIGKILL)


def _processes_of(home: Path) -> list[int]:
    """The processes whose home of Prism this is; the proof gives nobody else its home."""
    variable, ids = f"PRISM_HOME={home}\0".encode(), []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            ids += [int(file.parent.name)] if variable in file.read_bytes() else []
    return ids


def clean(run: Run, patience: float, pause: float) -> str:
    """Destroy what is left of a run; returns why that did not succeed, or nothing."""
    stop_daemon(run.home)
    try:
        session = boto3.Session(profile_name=run.aws_profile, region_name=run.region)
        sweeper = Sweeper(session, run)
        remaining = sweeper.until_nothing(patience, pause)
    except (BotoCoreError, ClientError) as error:
        return f"not known what is left: {error}"
    if remaining:
        reasons = [f"{id} ({sweeper.problems.get(id, 'still there')})" for id in remaining]
        return f"left in the account: {', '.join(reasons)}"
    run.forget()
    return ""


def main() -> int:
    """Clean up after each noted run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patience", type=float, default=900.0)
    parser.add_argument("--pause", type=float, default=5.0)
    options = parser.parse_args()
    failed = False
    for run in noted_runs():
        why = clean(run, options.patience, options.pause)
        failed = failed or bool(why)
        sys.stdout.write(f"{run.id} in {run.region}: {why or 'nothing is left'}\n")
    if not noted_runs() and not failed:
        sys.stdout.write("No proof has left anything\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
