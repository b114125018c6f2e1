"""Every command, as words only: `--help` imports no command, a command only its own module."""

NOUNS = {
    "workspace": "Machines you work on",
    "template": "Recipes for workspaces",
    "volume": "Data that outlives workspaces",
    "snapshot": "Copies of volumes and of workspaces' disks",
    "project": "Work that is paid for together",
    "budget": "Pools of money for several projects",
    "allocation": "What projects have of a budget",
    "cost": "What it costs, has cost and has saved",
    "profile": "Where workspaces run, and for whom",
    "aws": "Who you are to AWS, and what Prism needs there",
    "member": "Who belongs to a project, and as what",
    "invite": "Ask people to join a project, and answer when asked",
    "token": "Proofs of who you are, for a daemon that several people share",
    "files": "Files in workspaces, also in local ones that do not run",
    "idle": "When workspaces that nobody uses go to sleep",
    "daemon": "The process behind all of this",
}
COMMANDS = {
    ("workspace", "launch"): "Launch a workspace from a template",
    ("workspace", "list"): "Show every workspace",
    ("workspace", "show"): "Show one workspace",
    ("workspace", "open"): "Open a workspace in the browser",
    ("workspace", "connect"): "Show how to get into a workspace, secrets included",
    ("workspace", "tunnel"): "Bring a workspace's ports to this computer's own",
    ("workspace", "ssh"): "Open a shell in a workspace, or run a line in one",
    ("workspace", "exec"): "Run a program in a workspace; its exit code is yours",
    ("workspace", "cp"): "Copy files into a workspace or out of it",
    ("workspace", "stop"): "Stop a workspace, keeping its disk",
    ("workspace", "start"): "Start a workspace that is stopped, asleep or failed",
    ("workspace", "restart"): "Stop a workspace and start it again",
    (
        "workspace",
        "hibernate",
    ): "Put a workspace to sleep with its memory, which here stays in RAM",
    ("workspace", "resume"): "Wake a workspace up",
    ("workspace", "extend"): "Give a workspace more hours",
    ("workspace", "resize"): "Make a stopped workspace a bigger or smaller machine",
    ("workspace", "update"): "Say whether a workspace is started again after a reboot",
    ("workspace", "move"): "Have another project pay for a workspace from now on",
    ("workspace", "terminate"): "Destroy a workspace and its data",
    ("template", "list"): "Show every template",
    ("template", "info"): "Show what a template installs, and from whom it inherits",
    ("template", "new"): "Write a template of your own to begin with",
    ("template", "validate"): "Check every template",
    ("volume", "list"): "Show every volume",
    ("volume", "create"): "Make a volume",
    ("volume", "show"): "Show one volume",
    ("volume", "attach"): "Give a volume to a workspace",
    ("volume", "detach"): "Take a volume from a workspace; its data stays",
    ("volume", "delete"): "Destroy a volume and its data",
    ("snapshot", "list"): "Show every snapshot",
    ("snapshot", "show"): "Show one snapshot",
    ("snapshot", "create"): "Copy a volume or a workspace's disk",
    ("snapshot", "delete"): "Destroy a snapshot",
    ("snapshot", "restore"): "Make a volume from a snapshot",
    ("snapshot", "verify"): "Rehearse the restore of a snapshot",
    ("project", "list"): "Show every project and its money",
    ("project", "show"): "Show one project",
    ("project", "create"): "Make a project",
    ("project", "update"): "Change a project or its budget",
    ("project", "delete"): "Remove a project; what it spent stays in the ledger",
    ("project", "budget"): "Show what a project has spent, and on what",
    ("project", "analysis"): "Show where a project's money goes, and how less of it would",
    ("budget", "list"): "Show every budget",
    ("budget", "show"): "Show one budget and who has what of it",
    ("budget", "create"): "Make a budget",
    ("budget", "update"): "Change a budget",
    ("budget", "delete"): "Remove a budget of which nothing is allocated",
    ("budget", "forecast"): "Show when a project's money runs out",
    ("allocation", "list"): "Show what is allocated of a budget",
    ("allocation", "create"): "Give a project a part of a budget",
    ("allocation", "update"): "Give a project more or less of a budget",
    ("allocation", "delete"): "Take a project's part of a budget away",
    ("allocation", "move"): "Move money from one project to another",
    ("cost", "current"): "Show what is paid for at this moment",
    ("cost", "history"): "Show what each day, week or month cost",
    ("cost", "export"): "Write down every segment with its price and its source",
    ("profile", "list"): "Show every profile",
    ("profile", "current"): "Show the active profile",
    ("profile", "switch"): "Make another profile the active one",
    ("profile", "create"): "Add a profile",
    ("profile", "update"): "Change a profile",
    ("profile", "delete"): "Remove a profile",
    ("aws", "check"): "Show who you are to AWS, and which permissions are missing",
    ("aws", "policy"): "Print the least policy of IAM that Prism needs",
    ("aws", "setup"): "Make what an account needs once, as its administrator",
    ("member", "list"): "Show who belongs to a project",
    ("member", "add"): "Make somebody a member",
    ("member", "role"): "Give a member another role",
    ("member", "remove"): "Let a member go",
    ("invite", "send"): "Invite somebody by mail",
    ("invite", "bulk"): "Invite everybody in a CSV file",
    ("invite", "list"): "Show the invitations to a project",
    ("invite", "mine"): "Show the invitations to you",
    ("invite", "show"): "Show one invitation",
    ("invite", "accept"): "Join the project",
    ("invite", "decline"): "Do not join the project",
    ("invite", "resend"): "Send an invitation again; its old token ends",
    ("invite", "revoke"): "Take an invitation back",
    ("token", "create"): "Make a token; it is shown once",
    ("token", "list"): "Show tokens, but not what they are",
    ("token", "revoke"): "Make a token useless",
    ("files", "ls"): "Show what is in a folder of a workspace",
    ("files", "get"): "Copy a file out of a workspace",
    ("files", "put"): "Copy a file into a workspace",
    ("files", "rm"): "Remove a file or folder in a workspace",
    ("files", "mv"): "Rename or move a file or folder in a workspace",
    ("files", "mkdir"): "Make a folder in a workspace",
    ("idle", "profile"): "List, create or delete idle profiles",
    ("idle", "configure"): "Watch a workspace by an idle profile",
    ("idle", "history"): "Show what was put to sleep for being idle",
    ("idle", "activity"): "Show what a workspace did in the last 24 hours, and why it counted so",
    ("daemon", "start"): "Start the daemon, unless it runs",
    ("daemon", "stop"): "Stop the daemon; workspaces go on",
    ("daemon", "status"): "Show how the daemon is",
    ("daemon", "logs"): "Show what the daemon printed",
}
ALONE = {
    "quickstart": "From nothing to a running JupyterLab",
    "gui": "Open Prism in the browser, or as a window of its own",
    "logs": "Show what a workspace has said, and says",
    "why": "Say why a workspace is awake or asleep",
    "keep-awake": "Leave a workspace awake for some time, however idle",
    "ssh-config": "Teach ssh, rsync and editors the workspaces: `ssh NAME.prism`",
    "events": "Show what happens, as it happens",
    "audit": "Show who did what, and what it was before",
    "report": "Put a month of a project on one page",
    "init": "Say who you are and where workspaces run, in a few questions",
    "recover": "Make workspaces again of machines whose rows are lost",
    "backup": "Keep the state itself in a file",
    "restore": "Put a state back that was kept",
    "clean": "Free disk space: caches, old logs, what was left over",
    "orphans": "Show machines without a workspace; adopt or destroy one",
    "uninstall": "Take Prism off this computer; your data only if you say so",
    "doctor": "Find what is wrong here, and how to put it right",
    "completion": "Print the completion script of a shell",
    "version": "Print the version",
}
SHORTCUTS = tuple(verb for noun, verb in COMMANDS if noun == "workspace")  # `prism stop mine`

MODULES: dict[tuple[str, ...], str] = {
    ("workspace",): "workspaces",
    ("template",): "templates",
    ("volume",): "volumes",
    ("snapshot",): "snapshots",
    ("project",): "projects",
    ("budget",): "budgets",
    ("allocation",): "allocations",
    ("cost",): "costs",
    ("report",): "costs",
    ("profile",): "profiles",
    ("recover",): "recovery",
    ("orphans",): "recovery",
    ("restore",): "backup",
    ("why",): "idle",
    ("keep-awake",): "idle",
    ("member",): "members",
    ("invite",): "invitations",
    ("token",): "tokens",
    ("template", "new"): "new_template",
    ("workspace", "list"): "listing",
    ("workspace", "launch"): "launch",
    ("workspace", "connect"): "connect",
    ("workspace", "open"): "connect",
    ("workspace", "tunnel"): "tunnel",
    ("workspace", "ssh"): "ssh",
    ("workspace", "exec"): "ssh",
    ("workspace", "cp"): "cp",
    ("ssh-config",): "ssh_config",
}  # where a command, or all of a noun, is implemented; else in the module of its name

OPTIONS = {
    "--json": "print the answer as JSON",
    "--yes": "do not ask",
    "--no-wait": "do not wait until it is done",
    "--verbose": "print all that is known of a failure",
}  # of every command, before or after it


def module_of(command: tuple[str, ...]) -> str:
    """Where a command is implemented."""
    word = command[0]
    return f"prism.cli.{MODULES.get(command) or MODULES.get((word,), word)}"


def meaning(command: tuple[str, ...]) -> str:
    """What a command does, in a line."""
    return ALONE[command[0]] if len(command) == 1 else COMMANDS[command[0], command[1]]


def overview() -> str:
    """What `prism --help` says."""
    workspace = {verb: COMMANDS["workspace", verb] for verb in SHORTCUTS}
    start = {"quickstart": ALONE["quickstart"]}
    rest = {word: said for word, said in ALONE.items() if word not in start}
    options = OPTIONS | {"--help": "show what a command takes", "--version": "print the version"}
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
    """What `prism NOUN --help` says."""
    verbs = {verb: said for (of, verb), said in COMMANDS.items() if of == noun}
    title = f"{NOUNS[noun]}.\n\nUsage: prism {noun} VERB …\n\n"
    return title + _block("Verbs", verbs)


def _block(title: str, lines: dict[str, str]) -> str:
    return "\n".join((f"{title}:", *(f"  {word:<12}{said}" for word, said in lines.items())))
