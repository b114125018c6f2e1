"""All commands as text: `--help` imports no command, and a command only its own module."""

from prism.lifecycle import VERBS

NOUNS = {
    "workspace": "What you launch and work in",
    "template": "Descriptions of workspaces: packages, services, size",
    "volume": "Data that outlives workspaces",
    "snapshot": "Copies of volumes and of workspaces' disks",
    "project": "People, workspaces and money that belong together",
    "budget": "Pools of money for several projects",
    "allocation": "The parts of a budget that projects have",
    "cost": "What workspaces cost, have cost and have saved",
    "profile": "Where new workspaces run, and which project pays",
    "aws": "Your AWS account, and the permissions that Prism needs",
    "member": "The members of a project and their roles",
    "invite": "Invitations to projects: send, accept, decline",
    "token": "Tokens for a daemon that several people share",
    "team": "A daemon for several people, with TLS and apps in the browser",
    "session": "Logins of browsers and command lines to a daemon that several people share",
    "files": "Files in workspaces, also in local ones that do not run",
    "idle": "When unused workspaces go to sleep",
    "daemon": "The background process that does the work",
}
COMMANDS = {
    ("workspace", "launch"): "Launch a workspace from a template",
    ("workspace", "list"): "Show every workspace",
    ("workspace", "show"): "Show one workspace",
    ("workspace", "open"): "Open a workspace in the browser",
    ("workspace", "connect"): "Show how to connect to a workspace, with its secrets",
    ("workspace", "tunnel"): "Forward a workspace's ports to this computer",
    ("workspace", "ssh"): "Open a shell in a workspace, or run a command line there",
    ("workspace", "exec"): "Run a program in a workspace, and end with its exit code",
    ("workspace", "cp"): "Copy files into a workspace or out of it",
    **{("workspace", name): verb.summary for name, verb in VERBS.items()},
    ("workspace", "extend"): "Let a workspace expire later",
    ("workspace", "resize"): "Change the machine type of a stopped workspace",
    ("workspace", "rollback"): "Replace the files of a workspace by those of a snapshot",
    ("workspace", "update"): "Set whether a workspace starts again after a reboot",
    ("workspace", "move"): "Let another project pay for a workspace from now on",
    ("template", "list"): "Show every template",
    ("template", "info"): "Show what a template installs, and from which it inherits",
    ("template", "new"): "Write a new template file",
    ("template", "validate"): "Check every template",
    ("volume", "list"): "Show every volume",
    ("volume", "create"): "Make a volume",
    ("volume", "show"): "Show one volume",
    ("volume", "attach"): "Attach a volume to a workspace",
    ("volume", "detach"): "Detach a volume from a workspace; its data is kept",
    ("volume", "delete"): "Destroy a volume and its data",
    ("snapshot", "list"): "Show every snapshot",
    ("snapshot", "show"): "Show one snapshot",
    ("snapshot", "create"): "Copy a volume or a workspace's disk",
    ("snapshot", "delete"): "Destroy a snapshot",
    ("snapshot", "restore"): "Make a volume from a snapshot",
    ("snapshot", "verify"): "Test the restore of a snapshot",
    ("snapshot", "copy"): "Copy a snapshot to another disk or computer, or to S3",
    ("snapshot", "copies"): "Show the copies of snapshots, or what is at a destination",
    ("snapshot", "fetch"): "Make a snapshot from a copy, also of another computer",
    ("snapshot", "forget"): "Cancel a copy, or remove it from the list",
    ("snapshot", "delete-copy"): "Destroy one copy at a destination",
    ("snapshot", "schedule"): "Copy a volume or workspace regularly",
    ("snapshot", "schedules"): "Show what is copied regularly",
    ("snapshot", "unschedule"): "Copy a volume or workspace no more",
    ("project", "list"): "Show every project and its money",
    ("project", "show"): "Show one project",
    ("project", "create"): "Make a project",
    ("project", "update"): "Change a project or its budget",
    ("project", "delete"): "Remove a project; what it spent stays in the ledger",
    ("project", "budget"): "Show what a project has spent, and on what",
    ("project", "analysis"): "Show how a project can spend less",
    ("budget", "list"): "Show every budget",
    ("budget", "show"): "Show one budget and its allocations",
    ("budget", "create"): "Make a budget",
    ("budget", "update"): "Change a budget",
    ("budget", "delete"): "Remove a budget without allocations",
    ("budget", "forecast"): "Show when a project's money runs out",
    ("allocation", "list"): "Show the allocations of a budget",
    ("allocation", "create"): "Give a project a part of a budget",
    ("allocation", "update"): "Give a project more or less of a budget",
    ("allocation", "delete"): "Remove a project's part of a budget",
    ("allocation", "move"): "Move money from one project to another",
    ("cost", "current"): "Show what costs money right now",
    ("cost", "history"): "Show what each day, week or month cost",
    ("cost", "export"): "Export every cost with its price and its source",
    ("profile", "list"): "Show every profile",
    ("profile", "current"): "Show the active profile",
    ("profile", "switch"): "Make another profile the active one",
    ("profile", "create"): "Add a profile",
    ("profile", "update"): "Change a profile",
    ("profile", "delete"): "Remove a profile",
    ("aws", "check"): "Show who you are to AWS, and which permissions are missing",
    ("aws", "clean"): "Delete the security groups and key pairs that Prism has made",
    ("aws", "login"): "Log in to AWS again, with a code of your MFA device if it needs one",
    ("aws", "policy"): "Print the smallest IAM policy that Prism needs",
    ("aws", "setup"): "Make the role of machines in an account, as its administrator",
    ("member", "list"): "Show who belongs to a project",
    ("member", "add"): "Add a member to a project",
    ("member", "role"): "Give a member another role",
    ("member", "remove"): "Remove a member from a project",
    ("invite", "send"): "Invite somebody by mail",
    ("invite", "bulk"): "Invite everybody in a CSV file",
    ("invite", "list"): "Show the invitations to a project",
    ("invite", "mine"): "Show the invitations to you",
    ("invite", "show"): "Show one invitation",
    ("invite", "accept"): "Join the project",
    ("invite", "decline"): "Do not join the project",
    ("invite", "resend"): "Send an invitation again, with a new token",
    ("invite", "revoke"): "Revoke an invitation",
    ("token", "create"): "Make a token; it is shown once",
    ("token", "list"): "Show tokens, without their secrets",
    ("token", "revoke"): "Revoke a token",
    ("team", "setup"): "Write the settings of a shared daemon, and a proxy's configuration",
    ("team", "check"): "Check from outside that people reach the daemon and its apps",
    ("session", "list"): "Show who is logged in, since when and where",
    ("session", "revoke"): "End a login, and what was made in it",
    ("files", "ls"): "Show what is in a folder of a workspace",
    ("files", "get"): "Copy a file out of a workspace",
    ("files", "put"): "Copy a file into a workspace",
    ("files", "rm"): "Remove a file or folder in a workspace",
    ("files", "mv"): "Rename or move a file or folder in a workspace",
    ("files", "mkdir"): "Make a folder in a workspace",
    ("idle", "profile"): "List, create or delete idle profiles",
    ("idle", "configure"): "Choose the idle profile of a workspace",
    ("idle", "history"): "Show which workspaces were put to sleep because they were idle",
    ("idle", "activity"): "Show whether a workspace was idle in the last 24 hours, and why",
    ("daemon", "start"): "Start the daemon, unless it runs",
    ("daemon", "stop"): "Stop the daemon; workspaces keep running",
    ("daemon", "status"): "Show the status of the daemon",
    ("daemon", "install"): "Start the daemon whenever this computer starts",
    ("daemon", "uninstall"): "Do not start the daemon when this computer starts",
    ("daemon", "logs"): "Show what the daemon printed",
}
ALONE = {
    "quickstart": "Start a JupyterLab",
    "gui": "Open Prism in the browser, or as a window of its own",
    "logs": "Show the logs of a workspace",
    "why": "Explain why a workspace is awake or asleep",
    "keep-awake": "Keep a workspace awake for some time, even if it is idle",
    "ssh-config": "Write an ssh configuration, so that `ssh NAME.prism` works",
    "events": "Show events as they happen",
    "audit": "Show who changed what, and the values before",
    "report": "Show a month of a project on one page",
    "login-link": "Make a link with which a person can log in once, with a browser",
    "login": "Log in to a daemon that several people share, or show where you are logged in",
    "logout": "End the login of this computer",
    "whoami": "Show who you are, and for which daemon",
    "init": "Set up Prism with a few questions",
    "recover": "Restore workspaces of machines that the database does not know",
    "backup": "Back up the database to a file",
    "restore": "Restore the database from a backup",
    "move-home": "Move the home to another folder or disk",
    "new-identity": "Give a copied home an identity of its own",
    "clean": "Free disk space: caches, old logs, leftover files",
    "orphans": "Show machines without a workspace; adopt or destroy one",
    "uninstall": "Remove Prism from this computer; your data only if you choose that",
    "doctor": "Find problems of this installation, and how to fix them",
    "completion": "Print the completion script of a shell",
    "version": "Print the version",
}
SHORTCUTS = tuple(verb for noun, verb in COMMANDS if noun == "workspace")  # `prism stop mine`

MODULES: dict[tuple[str, ...], str] = {
    ("workspace",): "workspace.workspaces",
    ("template",): "workspace.templates",
    ("volume",): "storage.volumes",
    ("snapshot",): "storage.snapshots",
    **dict.fromkeys(
        (
            *(("snapshot", "copy"), ("snapshot", "copies"), ("snapshot", "forget")),
            *(("snapshot", "fetch"), ("snapshot", "schedule"), ("snapshot", "schedules")),
            *(("snapshot", "unschedule"), ("snapshot", "delete-copy")),
        ),
        "storage.copies",
    ),
    ("project",): "people.projects",
    ("budget",): "budget.budgets",
    ("allocation",): "budget.allocations",
    ("cost",): "budget.costs",
    ("report",): "budget.costs",
    ("profile",): "profiles",
    ("recover",): "installation.recovery",
    ("orphans",): "installation.recovery",
    ("restore",): "installation.backup",
    ("new-identity",): "installation.home",
    ("move-home",): "installation.home",
    ("why",): "workspace.idle",
    ("keep-awake",): "workspace.idle",
    ("member",): "people.members",
    ("invite",): "people.invitations",
    ("token",): "people.tokens",
    ("session",): "people.sessions",
    ("login-link",): "people.sessions",
    ("whoami",): "people.sessions",
    ("logout",): "people.login",
    ("template", "new"): "workspace.new_template",
    ("workspace", "list"): "workspace.listing",
    ("workspace", "launch"): "workspace.launch",
    ("workspace", "connect"): "workspace.connect",
    ("workspace", "open"): "workspace.connect",
    ("workspace", "tunnel"): "workspace.tunnel",
    ("workspace", "ssh"): "workspace.ssh",
    ("workspace", "exec"): "workspace.ssh",
    ("workspace", "cp"): "workspace.cp",
    ("ssh-config",): "workspace.ssh_config",
    ("quickstart",): "workspace.quickstart",
    ("gui",): "installation.gui",
    ("logs",): "workspace.logs",
    ("audit",): "people.audit",
    ("login",): "people.login",
    ("backup",): "installation.backup",
    ("clean",): "installation.clean",
    ("uninstall",): "installation.uninstall",
    ("init",): "installation.init",
    ("doctor",): "installation.doctor",
    ("team",): "installation.team",
    ("files",): "workspace.files",
    ("idle",): "workspace.idle",
    ("daemon",): "installation.daemon",
}  # the module of a command or a noun, unless it is `cli/<noun>.py`

COMMON_OPTIONS = {
    "--json": "print the answer as JSON",
    "--yes": "do not ask",
    "--no-wait": "do not wait until it is done",
    "--verbose": "print every detail of a failure",
}  # of every command, before or after its name


def module_of(command: tuple[str, ...]) -> str:
    """The module that implements a command."""
    word = command[0]
    return f"prism.cli.{MODULES.get(command) or MODULES.get((word,), word)}"


def meaning(command: tuple[str, ...]) -> str:
    """The help of a command, in one line."""
    return ALONE[command[0]] if len(command) == 1 else COMMANDS[command[0], command[1]]


def overview() -> str:
    """The text of `prism --help`."""
    workspace = {verb: COMMANDS["workspace", verb] for verb in SHORTCUTS}
    start = {"quickstart": ALONE["quickstart"]}
    rest = {word: summary for word, summary in ALONE.items() if word not in start}
    options = COMMON_OPTIONS | {
        "--help": "show what a command takes",
        "--version": "print the version",
    }
    return "\n\n".join(
        (
            "Research workspaces on your own machine and in the cloud.",
            "Usage: prism COMMAND …",
            _block("Start here", start),
            _block("Workspaces (short for `prism workspace …`)", workspace),
            _block("Everything, by noun (`prism NOUN --help` lists its verbs)", NOUNS),
            _block("More", rest),
            _block("Options, before or after the command", options),
        )
    )


def verbs_of(noun: str) -> str:
    """The text of `prism NOUN --help`."""
    verbs = {verb: summary for (of, verb), summary in COMMANDS.items() if of == noun}
    title = f"{NOUNS[noun]}.\n\nUsage: prism {noun} VERB …\n\n"
    return title + _block("Verbs", verbs)


def _block(title: str, lines: dict[str, str]) -> str:
    return "\n".join((f"{title}:", *(f"  {word:<13}{summary}" for word, summary in lines.items())))
