/** Every text of the GUI, in one place. */

const names = (list: readonly string[]) =>
  list.length <= 3 ? list.join(', ') : `${list.length} workspaces`;

const expire = (list: readonly string[]) => (list.length === 1 ? 'expires' : 'expire');

const VERBS = {
  stop: 'Stop',
  start: 'Start',
  restart: 'Restart',
  hibernate: 'Hibernate',
  resume: 'Resume',
  terminate: 'Terminate',
} as const;
type VerbName = keyof typeof VERBS;

const IN_PROGRESS: Record<VerbName, string> = {
  stop: 'Stopping',
  start: 'Starting',
  restart: 'Restarting',
  hibernate: 'Hibernating',
  resume: 'Resuming',
  terminate: 'Terminating',
};

const LEFTOVER_DONE = { keep: 'kept', stop: 'stopping', hand_over: 'handed over' } as const;

const STATES = {
  launching: 'Launching',
  running: 'Running',
  stopping: 'Stopping',
  stopped: 'Stopped',
  starting: 'Starting',
  hibernating: 'Hibernating',
  hibernated: 'Hibernated',
  resuming: 'Resuming',
  terminating: 'Terminating',
  terminated: 'Terminated',
  failed: 'Failed',
} as const;

const LOGS = {
  console: 'Console',
  'cloud-init': 'Setup',
  system: 'System',
  application: 'Services',
} as const;

const EVENTS: Readonly<Record<string, string>> = {
  instance_asked: 'Asked to',
  instance_state_changed: 'State changed',
  instance_progress: 'Progress',
  instance_failure: 'Problem',
  instance_note: 'Note about its machine',
  instance_extended: 'Expiry changed',
  instance_updated: 'Start after a reboot changed',
  instance_repriced: 'Price changed',
  instance_resized: 'Resized',
  instance_moved: 'Moved to another project',
  instance_rollback_asked: 'Asked for the files of a snapshot',
  instance_rolled_back: 'Has the files of the snapshot',
  instance_handed_over: 'Handed over to another person',
  instance_files_changed: 'Files changed',
  instance_forgotten: 'Removed from the list',
  instance_recovered: 'Recovered',
  snapshot_copy_asked: 'Asked for a copy elsewhere',
  snapshot_copy_state_changed: 'Copy elsewhere',
  snapshot_copy_deleted: 'Copy elsewhere destroyed',
  snapshot_copy_forgotten: 'Copy cancelled, or removed from the list',
  copy_schedule_changed: 'Regular copies changed',
  copy_schedule_ran: 'Regular copy ended',
  hibernation_triggered: 'Put to sleep because it was idle',
  idle_configured: 'Idle profile set',
  idle_kept_awake: 'Kept awake',
  idle_unknown: 'It is unknown whether it is idle',
  idle_sleeps_soon: 'Idle, goes to sleep soon',
  allocation_changed: 'Share of a budget changed',
  budget_changed: 'Budget changed',
  instance_entered: 'Somebody entered a workspace of another person',
  instance_left: 'Somebody left a workspace of another person',
  share_created: 'An app or a terminal was shared',
  share_ended: 'A share has ended',
  share_opened: 'A guest has opened what is shared',
  limit_changed: 'A limit of a person, a role or a token was changed',
  notices_changed: 'A person has new notices, or has read some',
  more_requested: 'A person requested more',
  more_granted: 'A request for more was granted',
  more_refused: 'A request for more was refused',
  more_withdrawn: 'A request for more was withdrawn',
  webhook_added: 'A webhook was added',
  webhook_removed: 'A webhook was removed',
  webhook_paused: 'A webhook failed for days and was paused',
  budget_overcommitted: 'A disk has grown beyond what its limit can pay for',
  budget_threshold_exceeded: 'Spending reached a limit',
  database_accepted: 'Continued with a database that is older than the machines',
  database_found_behind: 'The database is older than the machines',
  home_adopted: 'Took over what belonged to another home',
  idle_profile_created: 'Idle profile created',
  idle_profile_deleted: 'Idle profile deleted',
  invitation_accepted: 'Invitation accepted',
  invitation_declined: 'Invitation declined',
  invitation_delayed: 'Invitation not sent yet; it is tried again',
  invitation_mailed: 'Invitation sent by mail',
  invitation_resent: 'Invited again; the earlier mail is no longer valid',
  invitation_revoked: 'Invitation revoked',
  invitation_sent: 'Invited',
  invitation_undeliverable: 'Mail of the invitation refused',
  invitation_written: 'Invitation written to a file, since there is no mail server',
  member_changed: 'Role in the project changed',
  member_joined: 'Joined the project',
  member_left: 'Left the project',
  profile_changed: 'Profile changed',
  profile_created: 'Profile created',
  profile_deleted: 'Profile deleted',
  profile_switched: 'Switched to another profile',
  project_changed: 'Project changed',
  project_created: 'Project created',
  project_deleted: 'Project deleted',
  snapshot_asked: 'Asked for a snapshot, or its deletion',
  snapshot_state_changed: 'State of the snapshot changed',
  template_validation_completed: 'All templates were checked',
  token_created: 'Token created',
  token_revoked: 'Token revoked',
  session_started: 'Logged in with a browser',
  session_ended: 'Session of a browser ended',
  login_failed: 'Wrong password at a login',
  login_link_created: 'Login link created',
  login_link_withheld: 'Login link not mailed: too many in a day',
  volume_asked: 'Asked for a volume, or its deletion',
  volume_attached: 'Volume attached to a workspace',
  volume_detached: 'Volume detached from a workspace',
  volume_measured: 'Used space of the volume changed',
  volume_state_changed: 'State of the volume changed',
};

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;

function bytesText(count: number): string {
  const power = count < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(count) / 3));
  return `${(count / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${UNITS[power] ?? 'TB'}`;
}

const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

export const t = {
  product: 'Prism',
  logo: 'A prism',
  unknown: 'unknown',
  none: '–',
  yes: 'Yes',
  no: 'No',
  page: 'page',
  tryAgain: 'Try again',
  templateAgain: 'Try again with the template as it is now',
  inMemory: 'Its memory stays in RAM; a restart of this computer loses it.',
  reload: 'Reload',
  cancel: 'Cancel',
  close: 'Close',
  dismiss: 'Dismiss',
  save: 'Save',
  undo: 'Undo',
  pending: 'Asked; waiting for the answer',
  copied: 'Copied',
  notCopied: 'Not copied',
  justNow: 'just now',
  copy: 'Copy',
  copyText: (what: string) => `Copy ${what}`,
  loading: (what: string) => `Loading ${what}`,
  matches: (count: number) => (count === 1 ? '1 match' : `${count} matches`),
  valuesOf: (field: string) => `${field} values`,
  andMore: (count: number) => `and ${count} more`,
  perHour: (amount: string) => `${amount}/h`,
  seconds: (count: number) => `${count} s`,
  minutes: (count: number) => `${count} min`,
  hoursMinutes: (hours: number, minutes: number) =>
    minutes === 0 ? `${hours} h` : `${hours} h ${minutes} min`,
  daysHours: (days: number, hours: number) => (hours === 0 ? `${days} d` : `${days} d ${hours} h`),
  inTime: (time: string) => `in ${time}`,
  ago: (time: string) => `${time} ago`,
  sourceOf: (label: string, value: string) => `${value}. Where ${label} comes from`,
  states: STATES,
  unreachable: 'Unreachable',
  verbs: VERBS,
  stage: (stage: string) => sentence(stage.replaceAll('_', ' ')),
  stageOf: (stage: string) => ` · ${stage.replaceAll('_', ' ')}`,
  cannot: (verb: VerbName, list: readonly string[]) => `Cannot ${verb} ${names(list)}`,
  refused: (cannot: string, reason: string, count: number) =>
    count === 1 ? `${cannot}: ${reason}` : `${cannot}:`,
  started: (verb: VerbName, list: readonly string[]) => `${IN_PROGRESS[verb]} ${names(list)}`,

  pages: {
    home: 'Home',
    workspaces: 'Workspaces',
    shared: 'Shared',
    templates: 'Templates',
    launch: 'Launch',
    projects: 'Projects and money',
    costs: 'Costs',
    storage: 'Storage',
    idle: 'Idle',
    events: 'Events',
    notices: 'Notices',
    settings: 'Settings',
  },

  fields: {
    name: 'Name',
    state: 'State',
    template: 'Template',
    type: 'Type',
    rate: 'Hourly rate',
    spent: 'Spent so far',
    expires: 'Expires',
    idle: 'Activity',
    project: 'Project',
    owner: 'Owner',
    launchedBy: 'Launched by',
    budget: 'Budget',
    profile: 'Profile',
    region: 'Region',
    id: 'Instance ID',
    launched: 'Launched',
    address: 'Address',
    volumes: 'Volumes',
    when: 'When',
    event: 'Event',
    subject: 'Subject',
    actor: 'By',
  },

  source: {
    rate: (source: string | null) =>
      source === null
        ? 'The price of this machine is not known.'
        : `Compute while it runs. Price source: ${source}.`,
    spent:
      'Compute, root disk and address since the launch, from the ledger; as of the last settlement, at most 60 seconds before this page read it.',
    now: (unknown: string) => `The sum of everything that costs money now.${unknown}`,
    rest: (unknown: string) =>
      `The current hourly total, times the hours until this month ends (UTC), if everything keeps running as it does now.${unknown}`,
    unknown: (list: readonly string[]) =>
      list.length === 0 ? '' : ` Without a known price, and not in the sum: ${list.join(', ')}.`,
    readyMeasured: 'The median of earlier launches of this template on this provider.',
    readyAssumed: 'An assumption: this template has not been launched here yet.',
    leaves: (reserved: string) =>
      `What is left to spend after this launch has reserved ${reserved}.`,
  },

  errors: {
    unreachable: 'The daemon does not answer',
    startDaemon:
      'It may have been stopped: start it again with `prism daemon start`. Then look here whether it was done.',
    bug: 'This is a bug in the GUI. Reload the page, or use the command line.',
    status: (status: number) => `The daemon answered ${status}`,
    broken: 'This page failed',
    notLoaded: 'This page could not be loaded',
    notLoadedWhy:
      'Prism was updated after this tab was opened, or the daemon does not answer. Reload the page.',
  },

  login: {
    title: 'Log in to Prism',
    out: 'Log out',
    outWhat: 'Ends your session in this browser. Your workspaces keep running.',
    isOut: 'You are logged out of Prism',
    providerKnows: (host: string) =>
      `${host} still knows you, and would let you in without a password. On a computer of others, log out there too.`,
    outThere: 'Log out there too',
    again: 'Log in again',
    link: 'Log in with this link',
    linkWhat: 'You have opened a link that logs you in once.',
    email: 'Mail address',
    mailWhat: 'You get a link that logs you in once.',
    mail: 'Mail me a link',
    account: 'Name',
    accountWhat: 'Your account on the computer that Prism runs on.',
    password: 'Password',
    withAccount: 'Log in',
    token: 'Token',
    tokenWhat: 'Your token of this daemon. What you may do is what the token allows.',
    withToken: 'Log in with the token',
    with: (host: string) => `Log in with ${host}`,
    ask: 'No link and no token? Ask the operator for a link: `prism login-link YOU@EXAMPLE.ORG`',
    already: (user: string) => `You are logged in as ${user}. Another login takes its place.`,
    alone: 'This daemon serves one person, who needs no login.',
    impossible: 'A browser cannot log in at this address',
  },

  commandLine: {
    title: 'Log in a command line',
    what: (computer: string, user: string) =>
      `The command line on this computer (${computer}) asks to log in. It then may do all that you may do as ${user}.`,
    deviceWhat: (computer: string, address: string, user: string) =>
      `A command line on ${computer}, at the address ${address}, asks to log in. It then may do all that you may do as ${user}.`,
    onlyYours:
      'Only go on if you have just started `prism login` yourself. If somebody sent you here or gave you a code, close this page: they would get your rights.',
    code: 'Code',
    codeWhat: 'As `prism login` shows it, such as BCDF-GHJK.',
    next: 'Continue',
    allow: 'Log it in',
    deny: 'Do not',
    notAllowed: 'The command line gets no access. You can close this page.',
  },

  sessions: {
    title: 'Sessions',
    what: 'Browsers and command lines that are logged in. A session that is ended stops working at once, and so does everything that was made in it: tokens, and the command lines that it logged in.',
    none: 'Nobody is logged in.',
    browser: 'Browser or computer',
    thisOne: (browser: string) => `${browser} (this one)`,
    address: 'Address',
    method: 'Logged in with',
    methods: {
      link: 'a link',
      token: 'a token',
      provider: 'single sign-on',
      terminal: '`prism login`',
      account: 'an account of the computer',
    },
    since: 'Since',
    end: 'End',
    endOf: (browser: string, user: string) => `End the session of ${user} with ${browser}`,
    endAll: 'End all of mine',
    newLink: 'New login link',
    minutes: 'Valid for (minutes)',
    linkFor: (user: string) => `Give ${user} this link. It logs in once and is not shown again.`,
  },

  connectionLost: {
    title: 'No connection to the daemon',
    what: 'The page shows old data. It continues by itself once the daemon answers; if it was stopped, start it with `prism daemon start`.',
  },

  palette: {
    title: 'Search pages and actions',
    button: 'Search (Ctrl+K)',
    placeholder: 'A page, a workspace, or what to do with it',
    nothing: 'No match',
    pages: 'Pages',
    workspaces: 'Workspaces',
    actions: 'Actions',
    launch: 'Launch',
    verb: (verb: VerbName, name: string) => `${VERBS[verb]} ${name}`,
    launchOf: (template: string) => `Launch ${template}`,
  },

  appearance: {
    title: 'Appearance',
    theme: 'Theme',
    density: 'Density',
    themes: { auto: 'System', light: 'Light', dark: 'Dark' },
    densities: { comfortable: 'Comfortable', compact: 'Compact' },
  },

  notices: {
    title: 'Notices',
    what: 'Every page warns you before a workspace is put to sleep. This browser can also do so while the page is in the background.',
    allow: 'Allow browser notices',
    permission: {
      default: 'This browser has not been asked yet.',
      granted: 'This browser shows them.',
      denied: 'This browser does not allow them. Its settings for this page can change that.',
    },
  },

  inbox: {
    title: 'What you should know',
    what: 'What happened to what is yours, and what will. Choose in the settings what you also get by mail and webhook.',
    notice: 'Notice',
    state: 'State',
    when: 'When',
    read: 'Read',
    unread: 'New',
    readAll: 'Mark all as read',
    none: 'Nothing yet.',
  },

  requests: {
    title: 'Requests for more',
    what: 'Yours, and those that you may answer. A grant is carried out at once, with your rights.',
    none: 'No requests yet.',
    more: 'Request more',
    send: 'Send the request',
    sent: (summary: string) => `You requested ${summary}`,
    requested: 'Requested',
    person: 'By',
    kind: 'More of what',
    kinds: {
      money: 'Money',
      time: 'Time until a workspace expires',
      size: 'Size of a workspace',
      workspaces: 'Workspaces at once',
      gpus: 'GPUs at once',
    },
    amount: 'How much',
    amountOf: 'Dollars, hours, a size such as XL, or how many more.',
    of: 'For which project or workspace',
    ofWhat: 'The name of a project or workspace. Leave it empty for a limit of your own.',
    waits: {
      managers: 'Waits for an admin or owner',
      owners: 'Waits for an owner',
      operator: 'Waits for the operator',
    },
    states: {
      granted: (by: string) => `Granted by ${by}`,
      refused: (by: string) => `Refused by ${by}`,
      withdrawn: (by: string) => `Withdrawn by ${by}`,
    },
    grant: 'Grant',
    grantOf: (summary: string, person: string) => `Grant ${person} ${summary}`,
    refuse: 'Refuse',
    refuseOf: (summary: string, person: string) => `Refuse ${person} ${summary}`,
    refuseMore: (summary: string, person: string) => `Other ways to refuse ${person} ${summary}`,
    explain: 'Refuse with a reason',
    withdraw: 'Withdraw',
    withdrawOf: (summary: string) => `Withdraw the request for ${summary}`,
  },

  noticeSettings: {
    title: 'Notices by mail and webhook',
    what: (mail: string) => `Mail: ${mail}. All notices are on the page Notices.`,
    noMail: (why: string) => `none, because ${why}`,
    about: 'About',
    mail: 'Mail',
    webhook: 'Webhook',
    toggle: (title: string, channel: string) => `${title}: ${channel}`,
    when: 'Thresholds',
    save: 'Save',
    thresholds: 'Thresholds of your own (percent)',
    usual: (all: string) => `You are told at ${all}.`,
    hours: 'Hours before a workspace expires',
    test: 'Test',
    tested: 'A test was sent',
  },

  webhooks: {
    title: 'Webhooks',
    what: 'Addresses that get each of your notices in a signed request.',
    none: 'No webhooks yet.',
    add: 'Add a webhook',
    url: 'Address',
    urlWhat: 'It begins with https://. Private addresses are refused.',
    secretOf: (host: string) => `The secret of the webhook at ${host}, shown only this once`,
    host: 'Host',
    state: (paused: boolean, problem: string | null, waiting: number) =>
      problem === null
        ? waiting === 0
          ? 'Works'
          : `${waiting} waiting`
        : `${paused ? 'Paused' : 'Fails'}: ${problem}`,
    testOf: (host: string) => `Test the webhook at ${host}`,
    tested: 'A test is being sent',
    remove: 'Remove',
    removeOf: (host: string) => `Remove the webhook at ${host}`,
    removed: 'The webhook was removed',
  },

  daemon: {
    menu: (user: string) => (user === '' ? 'The daemon' : `${user} and the daemon`),
    version: (version: string) => `Prism ${version}`,
    api: 'API documentation',
    liveness: {
      connecting: 'Connecting',
      live: 'Live: changes appear at once',
      cut: 'No connection to the daemon',
    },
  },

  asCommand: {
    button: 'As command',
    title: 'The same as a command or in Python',
    kinds: { cli: 'Command line', python: 'Python', curl: 'curl' },
  },

  notFound: {
    title: 'Not found',
    page: 'There is no such page.',
    workspace: (name: string) => `There is no workspace ${name}.`,
    workspaces: 'All workspaces',
    projects: 'All projects',
  },

  noProject: {
    title: 'You are in no project yet',
    what: (user: string) =>
      `What you launch here is paid by a project. Ask an owner of one to invite ${user}, or the operator of this daemon: \`prism member add PROJECT ${user}\``,
    viewer: 'You may look, and not launch',
    viewerWhat: (user: string) =>
      `You are a viewer of your projects. An owner of one can make you a member: \`prism member role PROJECT ${user} member\``,
  },

  home: {
    first: 'Launch your first workspace',
    firstWhat:
      'Choose what it is for. Everything else is filled in; the notebook opens in your browser.',
    now: 'Now',
    running: 'Running',
    asleep: 'Asleep or stopped',
    rate: 'Cost now',
    rest: 'Until the end of the month',
    all: 'All workspaces',
    runningFilter:
      'f=state%3Drunning&f=state%3Dlaunching&f=state%3Dstarting&f=state%3Dresuming&any',
    asleepFilter:
      'f=state%3Dhibernated&f=state%3Dhibernating&f=state%3Dstopped&f=state%3Dstopping&any',
  },

  nextDay: {
    title: 'In the next 24 hours',
    what: 'What stops, sleeps or runs out by itself.',
    lane: (count: number) =>
      `The next 24 hours, with ${count} ${count === 1 ? 'mark' : 'marks'}; the list says what they are`,
    kinds: {
      expires: 'expires and is then put to sleep',
      sleeps: 'is idle and is put to sleep',
      runsOut: 'has no money left',
    },
    limits: 'Change the limit',
    buttonOf: (text: string, name: string) => `${text}: ${name}`,
  },

  concerns: {
    expires: (when: string) => `expires ${when} and is then put to sleep.`,
    idle: 'is idle and may be put to sleep.',
    cap: (left: string, amount: string) => `has only ${left} of ${amount} left.`,
    many: (count: number) => `${count} workspaces are about to be put to sleep.`,
  },

  workspaces: {
    filter: 'Filter by name, state, template …',
    none: 'No workspaces yet.',
    selection: 'Select workspaces',
    selectAll: 'Select all on this page',
    selectMatching: (count: number) => `Select all ${count} that match, on every page`,
    selectNone: (count: number) => `All ${count} that match are selected. Select none`,
    whose: 'Whose workspaces',
    scopes: { mine: 'Mine', projects: "My projects'", all: 'All' },
    columns: 'Columns',
    apply: 'Apply',
    select: (name: string) => `Select ${name}`,
    noMatch: 'No workspace matches this filter.',
    clearFilter: 'Clear the filter',
    actions: 'Actions',
    verbOf: (verb: string, count: number) => (count > 1 ? `${verb} (${count})` : verb),
  },

  views: {
    title: 'View',
    none: 'Your own filter',
    all: 'All',
    running: 'Running',
    asleep: 'Asleep',
    failed: 'Failed',
    saved: 'Saved',
    actions: 'Save or delete a view',
    save: 'Save this view',
    what: 'Filter and order are saved. A view of the same name is replaced.',
    remove: 'Delete a saved view',
    removeOf: (name: string) => `Delete the view ${name}`,
  },

  machine: {
    local: 'local',
  },
  workspace: {
    tunnel: (name: string) =>
      `This daemon has no domain for apps, so a browser does not reach the services of a workspace. The terminal and the files are on this page; \`prism tunnel ${name}\` on your computer opens the services there.`,
    sshFrom: (name: string) => `A shell from your computer: \`prism ssh ${name}\``,
    managedBy: (owner: string) => `Managed by ${owner} and the admins of its project`,
    tabs: 'Parts of this workspace',
    tab: {
      overview: 'Overview',
      terminal: 'Terminal',
      files: 'Files',
      logs: 'Logs',
      activity: 'Activity',
      events: 'Events',
      sharing: 'Sharing',
      settings: 'Settings',
    },
    open: 'Open',
    openShort: (service: string) => (service === '' ? 'Open' : `Open ${service}`),
    openNamed: (name: string) => `Open ${name}`,
    openService: (service: string, name: string) => `Open ${service} of ${name}`,
    openFailed: (name: string) => `Cannot open ${name}`,
    popupBlocked: (name: string) =>
      `The browser did not open a tab for ${name}. Allow this page to open tabs, and try again.`,
    nothingToOpen: (name: string) => `${name} has no service that a browser can open`,
    more: (name: string) => `Actions for ${name}`,
    gone: 'This workspace was terminated, and its files with it.',
    another: (template: string) => `Launch another ${template}`,
    connect: 'Connect',
    money: 'Money and time',
    machine: 'Machine',
    notRunning: (state: string) => `This needs a running workspace; it is ${state.toLowerCase()}.`,
    vscode: 'Open in VS Code',
    login: (service: string) => `Login for ${service}`,
    password: 'Copy the password',
    ssh: 'SSH',
    sshConfig:
      'VS Code, rsync and "ssh NAME.prism" need one command first: prism ssh-config --write',
    noWayIn: 'This workspace has neither a service nor SSH.',
    failed: (code: string) => `It did not reach the requested state (${code})`,
    unreachable: 'No daemon serves it: what you see is the last known state',
    notes: 'What this workspace lacks',
  },

  launchProgress: {
    title: (name: string) => `${name} is not ready yet`,
    expected: (when: string) => `expected to be ready ${when}`,
    unknown: 'how long it takes is unknown',
    since: (time: string, expected: string) => `${time} so far; ${expected}`,
  },

  terminate: {
    title: (list: readonly string[]) => `Terminate ${names(list)}?`,
    warning: 'Its disk and everything on it is destroyed. Volumes stay.',
    backup: 'Take a snapshot of the disk first',
    count: (count: number) => `terminate ${count}`,
    type: (word: string) => `To confirm, type: ${word}`,
  },

  sleep: {
    title: (state: string, since: string, why: string) =>
      `${state === 'hibernated' ? 'Asleep' : 'Stopped'} since ${since}${why === '' ? '' : `: ${why}`}`,
    idle: (duration: string, profile: string) => `idle for ${duration} (profile ${profile})`,
    expired: 'it expired',
    by: (who: string) => `${who} asked for it`,
    kept: (state: string, local: boolean, paid: boolean) => {
      const memory = `Its programs go on where they were${local ? ', unless this computer restarts' : ''}.`;
      const cost = 'Only its disk costs money now.';
      return ['Its files are safe.', state === 'hibernated' && memory, paid && cost]
        .filter(Boolean)
        .join(' ');
    },
    open: { resume: 'Resume and open', start: 'Start and open' },
    rule: 'Change its rule for idleness',
  },

  expiry: {
    button: 'Expiry',
    none: 'Never',
    title: (list: readonly string[]) => `When ${names(list)} ${expire(list)}`,
    set: 'Set',
    now: (at: string) => (at === '–' ? 'It never expires now.' : `It expires ${at} now.`),
    kinds: {
      hours: {
        label: 'Later',
        description: 'So many hours after the present expiry, or after now',
      },
      time: { label: 'At a time', description: 'Also earlier than the present expiry' },
      never: { label: 'Never', description: 'It runs, and costs money, until you stop it' },
    },
    hours: 'Hours',
    day: 'Day',
    clock: 'Time',
    zone: (zone: string) => `In the time zone of this computer, ${zone}`,
    past: 'This time has passed',
    wrong: (most: number) => `A whole number from 1 to ${most}`,
    begins: (list: readonly string[]) =>
      `${names(list)} never ${expire(list)} now. With this, ${list.length === 1 ? 'it is' : 'they are'} put to sleep then.`,
    at: (list: readonly string[], at: string) => `${names(list)} ${expire(list)} ${at}`,
    never: (list: readonly string[]) => `${names(list)} never ${expire(list)}`,
    changed: (list: readonly string[]) => `The expiry of ${names(list)} was changed`,
    cannot: (list: readonly string[]) => `Cannot change the expiry of ${names(list)}`,
    later: (hours: number) => `Extend by ${hours} h`,
  },

  settings: {
    idle: 'Idle profile',
    idleWhat: 'What happens when nobody uses it.',
    project: 'Project',
    projectWhat: 'The project that pays from now on. Past costs stay with the old project.',
    size: 'Size',
    sizeWhat: 'Another machine type; the disk stays.',
    sizeStopped: 'Stop the workspace to change its size.',
    choose: 'Choose',
    restart: 'Start again',
    restartWhat: 'Whether it is started again after its computer was restarted.',
    nothing: 'None yet',
    apply: (label: string) => `Save ${label}`,
    saved: (label: string, value: string) => `${label} is now ${value}`,
  },

  logs: {
    type: 'Kind of log',
    types: LOGS,
    search: 'Find in the log',
    none: 'This workspace has no logs yet.',
    of: (name: string, type: string) => `Log of ${name}: ${type}`,
    state: (shown: number, all: number, ended: boolean) =>
      `${shown === all ? all : `${shown} of ${all}`} lines${ended ? ', ended' : ', following'}`,
  },

  files: {
    what: 'Below the home of the workspace. Drop files here to upload them.',
    home: 'Home',
    breadcrumbs: 'Folders',
    gone: 'A terminated workspace has no files.',
    empty: 'This folder is empty.',
    count: (count: number, more: boolean) => `(${count}${more ? '+' : ''})`,
    truncated: (count: number) =>
      `Only ${count} names of this folder are shown. Use the terminal for the others.`,
    selection: 'Select files',
    selectAll: 'Select all files',
    reload: 'Read the folder again',
    size: 'Size',
    modified: 'Modified',
    kinds: { file: 'File', folder: 'Folder', link: 'Symbolic link', other: 'Special file' },
    upload: 'Upload',
    drop: (folder: string) => `Drop to upload to ${folder === '' ? 'the home' : folder}`,
    sent: (sent: string, size: string) => `${sent} of ${size}`,
    notUploaded: 'Not uploaded',
    uploadFolder: 'Upload a folder',
    uploads: 'Uploads',
    uploading: (count: number, sent: string, size: string) =>
      `${count === 1 ? '1 upload' : `${count} uploads`}: ${sent} of ${size}`,
    uploaded: (count: number) =>
      count === 1 ? '1 file is uploaded' : `${count} files are uploaded`,
    to: (workspace: string) => `To ${workspace}`,
    interrupted: (sent: string, size: string) =>
      `The page was loaded again at ${sent} of ${size}. Choose the file again to continue.`,
    chooseAgain: 'Choose the file again',
    chooseOf: (path: string) => `Choose ${path} again`,
    another: (path: string) => `This is another file than ${path}, or it has changed since`,
    replace: 'Replace it',
    download: 'Download',
    rename: 'Rename',
    renameOf: (name: string) => `Rename ${name}`,
    newPath: 'New path below the home',
    newFolder: 'New folder',
    make: 'Create',
    remove: 'Delete',
    removeTitle: (count: number) => (count === 1 ? 'Delete this?' : `Delete these ${count}?`),
    removeWarning: (deep: boolean) =>
      deep
        ? 'Folders are deleted with everything in them. This cannot be undone.'
        : 'This cannot be undone.',
    actionsOf: (name: string) => `Actions for ${name}`,
    noPreview: 'There is no preview of this file. Download it to see it.',
    beginning: 'Only the beginning is shown.',
    cells: { markdown: 'Text', code: 'Code', raw: 'Raw' },
    output: 'Output',
  },

  sharing: {
    title: 'Shares',
    what: 'Others use one app, or watch your terminal, until a time. The end closes their connections.',
    none: 'Nothing is shared.',
    share: 'Share',
    shareOf: (name: string) => `Share ${name}`,
    thing: 'What',
    terminal: 'Terminal, read-only',
    appWarning:
      'Whoever uses an app that runs code, such as JupyterLab, can do there what you can.',
    noApps: 'Apps cannot be shared: this daemon has no domain for them (PRISM_APPS_DOMAIN).',
    guest: 'With',
    guestWhat: 'A mail address, project:NAME, or everybody.',
    everybody: 'Everybody',
    ofProject: (name: string) => `Project ${name}`,
    days: 'For how many days',
    until: 'Until',
    wake: 'Guests may start it',
    wakeWhat: 'Its project pays while it runs.',
    mayWake: 'Yes',
    mayNotWake: 'No',
    end: 'End',
    endOf: (thing: string, guest: string) => `End the share of ${thing} with ${guest}`,
    visits: 'Visits of other people',
    visitsWhat:
      'Admins of the project and the operator who were here in the last 90 days, and guests.',
    noVisits: 'Nobody else was here.',
    who: 'Who',
    way: 'How',
    from: 'From',
    to: 'To',
    lasts: 'is here now',
    ways: {
      terminal: 'terminal',
      ssh: 'SSH, exec or cp',
      port: 'a port',
      app: 'an app',
      files: 'files',
      logs: 'logs',
      secrets: 'how to connect',
    },
    isHere: (person: string, since: string, way: string) =>
      `${person} is in this workspace since ${since} (${way}).`,
    received: 'Shared with you',
    nothingReceived: 'Nothing is shared with you.',
    given: 'Shared by you',
    nothingGiven: 'You share nothing. The page of a workspace has a tab for it.',
    watch: 'Watch',
    wakeNow: 'Start',
    openOf: (thing: string, name: string) => `Open ${thing} of ${name}`,
    phases: {
      waiting: 'The owner has no terminal open. It appears here once there is one.',
      watching: 'You watch the terminal of its owner. What you type goes nowhere.',
      ended: 'This share has ended, or the connection was lost.',
    },
  },

  terminal: {
    of: (name: string) => `Terminal of ${name}`,
    again: 'New shell',
    leave: 'Shift+F6 leaves the terminal.',
    lost: 'The connection to the shell was lost.',
    reconnecting: 'The connection to the shell was lost. Trying to find the shell again.',
    replaced: 'This shell is open in another tab now.',
    fresh: 'The previous shell has ended. This is a new one.',
    exited: (status: number) => `The shell has ended (status ${status}).`,
  },

  costs: {
    csv: 'Every segment as CSV',
    by: 'Sum by',
    project: 'Project',
    noProjects: 'You see what a project costs as soon as you belong to one.',
    allProjects: 'All projects',
    grains: { daily: 'Day', weekly: 'Week', monthly: 'Month' },
    history: 'History',
    day: 'Per day',
    month: 'Per month',
    daySource: 'The current hourly total × 24, if everything keeps running as it does now.',
    monthSource: 'The current hourly total × 720, if everything keeps running as it does now.',
    saved: 'Saved by sleep',
    savedSource: 'What compute would have cost in the hours of this month in which it slept.',
    drivers: 'What costs most',
    nothing: 'Nothing costs money now.',
    nothingYet: 'Nothing has cost anything in this period.',
    divide: 'Group by',
    noGroups: 'Not grouped',
    each: {
      project: 'By project',
      user: 'By user',
      template: 'By template',
      budget: 'By budget',
      type: 'By machine type',
    },
    groups: {
      project: 'Project',
      user: 'User',
      template: 'Template',
      budget: 'Budget',
      type: 'Machine type',
    },
    groupName: (by: 'project' | 'user' | 'template' | 'budget' | 'type') => (name: string | null) =>
      name ?? `No ${by}`,
    others: (count: number) => `${count} others`,
    share: 'Share',
    period: 'Period (UTC)',
    usd: 'USD',
    cost: 'Cost',
    total: (total: string, trend: string) => `${total} in total; ${trend}`,
  },

  memberEnd: {
    button: 'Set end',
    of: (email: string) => `End of the membership of ${email}`,
    setOf: (email: string) => `Set end of the membership of ${email}`,
    column: 'Until',
    invitation: 'Member until',
    lastDay: 'Last day',
    optional: 'As 2027-03-31; empty: no end. After it, workspaces stop.',
    noDay: (day: string) => `${day} is no day, as 2027-03-31 is`,
    noEnd: 'Without a day, the membership has no end.',
    then: 'What happens then to the workspaces of this person in the project',
    thenOfAll: 'What happens then to the workspaces of each person in the project',
    own: (role: string, day: string) => `Your role here is ${role}, until ${day}`,
    thenWhat:
      'Nothing is deleted. This person and the owners get notices 14 and 3 days before, and at the end.',
    removed: (email: string) => `The membership of ${email} has no end`,
    set: (email: string, day: string) => `${email} is a member until ${day}`,
    cell: (day: string, atEnd: string | null | undefined, to: string | null | undefined) =>
      `${day}, then ${
        atEnd === 'hand_over'
          ? `${to ?? ''} gets the workspaces`
          : atEnd === 'keep'
            ? 'workspaces stay as they are'
            : 'workspaces stop'
      }`,
  },
  roles: { viewer: 'Viewer', member: 'Member', admin: 'Admin', owner: 'Owner' },

  money: {
    what: 'Pools hold money; allocations give projects a part of it; projects pay for workspaces.',
    flows: 'Which pool pays for which project',
    flow: (pool: string, amount: string, project: string) => `${pool} gives ${project} ${amount}`,
    bar: (settled: string, reserved: string, left: string, amount: string) =>
      `${settled} spent, ${reserved} reserved, ${left} left of ${amount}`,
    uncapped: (spent: string) => `${spent} spent, no limit`,
    money: 'Money',
    burn: 'Per month, as lately',
    active: (active: number, all: number) => `${active} running, ${all} in total`,
    members: 'Members',
    projects: 'Projects',
    noProjects: 'No projects yet.',
    noProject: (name: string) => `There is no project ${name}.`,
    newProject: 'New project',
    create: 'Create',
    description: 'Description',
    cap: 'Limit in USD',
    capWhat: 'Nothing is launched that would cost more. Empty: no limit of its own.',
    pools: 'Pools',
    pool: 'Pool',
    poolsWhat: 'A grant, or a budget of a department, that several projects share.',
    noPools: 'No pools yet.',
    lastDay: 'Last day',
    lastDayWhat: 'As 2027-12-31; without one it does not end',
    newPool: 'New pool',
    total: 'Total in USD',
    period: 'Period',
    periods: {
      project: 'Once',
      monthly: 'Each month',
      yearly: 'Each year',
      weekly: 'Each week',
      daily: 'Each day',
    },
    allocated: 'Allocated',
    allocations: 'Allocations',
    allocate: 'Allocate',
    allocateOf: (name: string) => `Allocate from ${name}`,
    amount: 'Amount in USD',
    reallocate: 'Move money',
    reallocateOf: (name: string) => `Move money from ${name}`,
    reason: 'Reason',
    change: 'Change',
    changeOf: (name: string) => `Change ${name}`,
    alertAt: 'Warn at (percent)',
    removeOf: (name: string) => `Delete ${name}`,
    statement: 'Statement',
    statementOf: (name: string) => `Print: statement of ${name}`,
    statementTableOf: (name: string) => `CSV: statement of ${name}`,
    removePool: 'The pool is deleted. What was spent stays in the ledger.',
    removeAllocation: 'The project gets nothing more from this pool.',
    removeProject: 'The project is deleted. What it spent stays in the ledger.',
    parts: 'Parts of this project',
    tab: {
      money: 'Money',
      members: 'Members',
      invitations: 'Invitations',
      settings: 'Limits',
    },
    report: 'Print',
    reportTable: 'CSV',
    month: 'Month',
    thisMonth: 'This month',
    whoSpent: 'Who spent what in a month',
    perPerson: 'Person',
    perWorkspace: 'Workspace',
    spentBetween: (spent: string, start: string, end: string, saved: string) =>
      `${spent} from ${start} until ${end}; sleeping workspaces saved ${saved}.`,
    where: 'What it was spent on',
    nothingSpent: 'Nothing was spent yet.',
    asOf: (when: string) => `As of ${when}.`,
    unpriced: (list: readonly string[]) =>
      `Without a known price, and in none of these sums: ${list.join(', ')}.`,
    spent: 'Spent',
    spentSource: 'All segments in the ledger that this project pays.',
    reserved: 'Reserved',
    reservedSource: 'Set aside for what runs now, until it ends or is settled.',
    left: 'Left',
    leftSource: 'Limits minus what is spent and reserved; the smallest of those that apply.',
    rateSource: 'The sum of what this project pays for now.',
    unlimited: 'no limit',
    runsOut: 'Runs out',
    never: 'not at the current rate',
    runsOutSource: (because: string | null) =>
      `If everything keeps running as it does now.${because === null ? '' : ` ${because}.`}`,
    noCap: 'Nothing limits what this project spends.',
    capOf: (name: string) => sentence(name),
    lasts: (projected: string) => `It lasts. Spent by its end, if nothing changes: ${projected}.`,
    stops: (when: string, because: string | null) =>
      `Runs out on ${when}${because === null ? '' : `: ${because}`}.`,
    otherEndsFirst: 'Another limit stops the workspaces before this one is spent.',
    early: (days: number, end: string) =>
      `That is ${days} ${days === 1 ? 'day' : 'days'} before its end on ${end}.`,
    burnDown: 'What is not spent yet',
    leftThen: 'Not spent',
    leftComing: 'If nothing is launched; workspaces expire as they do now',
    quiet: 'If each day is like the quietest',
    busy: 'If each day is like the busiest',
    range: (days: number, slow: string, fast: string, gone: string | null) =>
      `The range of the last ${days} days: ${slow} to ${fast} a day.` +
      (gone === null ? '' : ` If each day is like the busiest, nothing is left on ${gone}.`),
    noRange: 'There is no range yet: it needs three complete days with known costs.',
    empty: 'Nothing left',
    hibernatesAt: (percent: number) =>
      `At ${percent} % of a limit, the workspaces of this project are put to sleep.`,
    preventsAt: (percent: number) => `At ${percent} % of a limit, nothing more is launched.`,
    inviteMembers:
      'Invite people in the tab Invitations. They belong to the project when they accept.',
    ownersDecide: 'Its owners decide who belongs to the project.',
    addMember: 'Add a member',
    add: 'Add',
    role: 'Role',
    since: 'Since',
    removeMember: 'Remove',
    removeMemberOf: (email: string) => `Remove ${email}`,
    belongings: (count: number) =>
      count === 0
        ? 'This person has no workspaces in the project.'
        : `What happens to the ${count === 1 ? 'workspace' : `${count} workspaces`} of this person`,
    leftover: {
      keep: {
        label: 'Keep them as they are',
        description: 'This person remains their owner; the project keeps paying.',
      },
      stop: { label: 'Stop them', description: 'Their disks are kept, and the owner too.' },
      hand_over: { label: 'Hand them over', description: 'Another member becomes the owner.' },
    },
    heir: 'New owner',
    removed: (email: string, names: readonly string[], leftover: keyof typeof LEFTOVER_DONE) =>
      names.length === 0
        ? `${email} was removed`
        : `${email} was removed; ${LEFTOVER_DONE[leftover]}: ${names.join(', ')}`,
    limits: {
      cap: { label: 'Limit in USD', what: 'Empty: no limit of its own.' },
      alert: { label: 'Warn at (percent)', what: 'An event is recorded.' },
      hibernate: {
        label: 'Put workspaces to sleep at (percent)',
        what: 'Empty: never.',
      },
      prevent: { label: 'Launch nothing more at (percent)', what: '100: only at the limit.' },
    },
    saved: (name: string) => `The limits of ${name} are saved`,
  },

  classes: {
    title: 'Class',
    board: (project: string) => `Class ${project}`,
    open: 'Class board',
    noAccess: 'Only the admins and owners of a project see it as a class.',
    visible: 'Opening the workspace or the log of another person is shown to that person.',
    nobody: 'Nobody is in this class. Invite people on the page of the project, or by command.',
    noMatch: 'Nobody matches.',
    find: 'Find people, workspaces and templates',
    state: 'State',
    everything: (count: number) => `All (${count})`,
    counted: (label: string, count: number) => `${label} (${count})`,
    name: 'Workspace',
    anyName: 'Every workspace',
    conditions: {
      failed: 'Failed',
      stuck: 'Stuck',
      absent: 'Not come in',
      unopened: 'Never opened',
      idle: 'Idle',
      asleep: 'Asleep',
      starting: 'Starting',
      working: 'Working',
    },
    sentence: (working: number, help: number, absent: number) =>
      `${working} work, ${help} may need help, ${absent} ${absent === 1 ? 'has' : 'have'} not come in.`,
    // The words of `prism class status`; a test compares them.
    unanswered: {
      pending: 'has not answered the invitation',
      declined: 'has declined the invitation',
      expired: 'has let the invitation expire',
    },
    noMember: 'is no member',
    noWorkspace: 'has no workspace',
    undelivered: (problem: string) => `the mail was not delivered: ${problem}`,
    failed: (why: string) => `failed: ${why}`,
    unreachable: (why: string) => `is out of reach: ${why}`,
    waits: (why: string) => `waits: ${why}`,
    neverOpened: 'was never opened: nothing was done in it since it was ready',
    idleFor: (minutes: number) => `idle for ${minutes} minutes`,
    why: (text: string) => sentence(text),
    resetting: 'Its files are being replaced',
    stops: (when: string) => `Goes to sleep ${when}`,
    log: 'Log',
    logOf: (name: string) => `Log of ${name}`,
    startAll: (count: number, isFree: boolean) => `Start all (${count})${isFree ? '' : '…'}`,
    startTitle: (count: number) =>
      count === 1 ? 'Start 1 workspace' : `Start ${count} workspaces`,
    startCost: (rate: string | null) =>
      rate === null
        ? 'What they cost together is unknown.'
        : `While they run, they cost ${rate} together.`,
    stopAll: (count: number) => `Stop all (${count})…`,
    resetAll: (count: number) => `Reset all (${count})…`,
    stopTitle: (count: number) => (count === 1 ? 'Stop 1 workspace' : `Stop ${count} workspaces`),
    when: 'When',
    now: {
      label: 'Now',
      description: 'Their programs end. All files stay.',
    },
    at: {
      label: 'At a time',
      description:
        'They go to sleep then, as they do when they expire. Who expires earlier stays as it is.',
    },
    noneLater: 'All of them expire earlier.',
    resetOf: (name: string) => `Reset ${name}`,
    resetTitle: (list: readonly string[]) =>
      list.length === 1 ? `Reset ${names(list)}` : `Reset ${list.length} workspaces`,
    resetWord: (count: number) => `reset ${count}`,
    resetButton: 'Reset',
    resetWarning: (count: number) =>
      count === 1
        ? 'Its files are replaced by those of the snapshot. Its present files are first copied into a snapshot of their own, and what runs is stopped.'
        : 'The files of each are replaced by those of the snapshot. The present files of each are first copied into a snapshot of their own, and what runs is stopped.',
    snapshot: 'Snapshot',
    snapshotWhat: 'A copy of a workspace, such as the one in which you prepared the exercise',
    noSnapshots: 'There is no snapshot of a workspace',
    cannotReset: (list: readonly string[]) => `Cannot reset ${names(list)}`,
    isReset: (list: readonly string[], snapshots: readonly string[]) =>
      list.length === 1
        ? `Resetting ${names(list)}. The files of before are in the snapshot ${snapshots.join(', ')}.`
        : `Resetting ${names(list)}. The files of before of each are in a snapshot, from ${snapshots[0] ?? ''} to ${snapshots.at(-1) ?? ''}.`,
    add: 'Add people and workspaces',
    status: 'Who is stuck',
    start: 'Start all',
    stop: 'Stop all',
    stopAt: 'Stop all at a time',
    collect: 'Collect a file of everybody',
    reset: 'Reset to a snapshot',
    end: 'End the class',
  },
  profile: {
    change: 'Change',
    changeOf: (name: string) => `Change the profile ${name}`,
    fields: {
      aws_profile: 'AWS profile',
      region: 'Region',
      default_project: 'Default project',
      host: 'Server (for SSH)',
      cpu_hour: 'A CPU costs (USD an hour)',
      gb_hour: 'A GB of memory costs (USD an hour)',
      gpu_hour: 'A GPU costs (USD an hour)',
    },
  },

  upkeep: {
    title: 'Upkeep',
    what: 'Free disk space where the daemon runs, and take back machines that its database does not know.',
    clean: 'Free disk space',
    free: 'Remove',
    wouldFree: (size: string, left: string) =>
      `This removes ${size} of caches, old logs and leftover files, nothing in use. ${left} are free now.`,
    kind: (kind: string, count: number, size: string) => `${kind}: ${count}, ${size}`,
    freed: (size: string, free: string) => `${size} were removed; ${free} are free now`,
    recover: 'Find lost workspaces',
    takeBack: 'Take back',
    everybody: 'Also machines that others launched in the same AWS account',
    accept: 'Continue with a database that is older than the machines',
    home: 'Take over a home that does not exist any more',
    homeWhat:
      'Its location, as the list below names it. Leave it empty for your own machines only.',
    nothingLost: (places: readonly string[]) =>
      `No machine without a workspace was found in: ${places.join(', ') || 'no location'}.`,
    lost: (name: string, owner: string, place: string) => `${name} of ${owner}, in ${place}`,
    left: (name: string, why: string) => `${name}: ${why}`,
    recovered: (names: readonly string[]) =>
      names.length === 0 ? 'No workspace was lost' : `Taken back: ${names.join(', ')}`,
  },

  limits: {
    title: 'Limits of people',
    what: 'How many dollars a month, workspaces and GPUs a person, a role or a token may use.',
    none: 'Nobody is limited.',
    mine: 'Your limits',
    set: 'Set a limit',
    scope: 'Whom it limits',
    scopes: { person: 'A person', role: 'A role', token: 'A token' },
    subject: 'Person, role or token',
    person: 'Person',
    personWhat: 'An address; * means everybody without an own limit.',
    role: 'Role',
    token: 'Token',
    tokenOf: (name: string, id: string) => `${name} (${id})`,
    everywhere: 'all',
    monthly: 'USD a month',
    workspaces: 'Workspaces at once',
    gpus: 'GPUs at once',
    setBy: 'Set by',
    of: (scope: 'person' | 'role' | 'token', subject: string) =>
      scope === 'person' ? (subject === '*' ? 'everybody' : subject) : `${scope} ${subject}`,
    remove: 'This limit does not apply any more.',
    used: (spent: string, left: string, amount: string) =>
      `${spent} spent, ${left} left of ${amount}`,
    running: (running: number, most: number | null) =>
      most === null ? `${running}, no limit` : `${running} of ${most}`,
  },

  analysis: {
    title: 'How to spend less',
    what: 'What the workspaces of this project cost and did lately, and what would be cheaper.',
    lately: 'A month, as lately',
    now: 'A month, as now',
    sleep: 'Sleep could save, a month',
    advice: 'Advice',
    saves: 'Saves, a month',
    none: 'Nothing was measured that would be cheaper otherwise.',
  },

  checks: {
    title: 'Check every template',
    button: 'Check all',
    packages: 'Also ask the package index whether the pip packages exist (takes longer)',
    result: (count: number, wrong: number) =>
      `${count} ${count === 1 ? 'template' : 'templates'} checked, ${wrong === 0 ? 'none' : wrong} with mistakes`,
    problem: (level: 'error' | 'warning', message: string, where: string) =>
      `${level === 'error' ? 'Mistake' : 'Warning'}: ${message}${where === '' ? '' : ` (${where})`}`,
    found: 'What the checks found',
    none: 'No mistakes and no warnings.',
  },

  system: {
    daemon: 'The daemon',
    health: { healthy: 'Healthy', degraded: 'Something does not answer' },
    version: 'Version',
    uptime: 'Running for',
    user: 'You are',
    database: 'Database',
    aws: 'AWS',
    connectivity: {
      connected: 'Connected',
      disconnected: 'Not reachable',
      not_configured: 'Not set up',
    },
    places: 'Locations',
    reached: 'Answers',
    isReached: (yes: boolean | null | undefined) =>
      yes === null || yes === undefined ? 'unknown' : yes ? 'Yes' : 'No',
    identity: 'Identity',
    findings: 'Doctor',
    count: (count: number) =>
      count === 0 ? '(nothing to do)' : count === 1 ? '(1 thing to do)' : `(${count} things to do)`,
    lookedAt: 'The checks of prism doctor, where the daemon runs. Last run',
    lookAgain: 'Check again',
    levels: { ok: 'OK', warning: 'Warning', broken: 'Broken', skipped: 'Not checked' },
    check: 'Check',
    found: 'Found',
    fix: 'How to fix it',
    profiles: 'Profiles',
    profilesWhat: 'Where workspaces are launched from now on.',
    newProfile: 'New profile',
    provider: 'Provider',
    providers: { local: 'This computer', aws: 'AWS', ssh: 'Lab server' },
    host: 'Server (for SSH)',
    awsProfile: 'AWS profile',
    active: 'In use',
    use: 'Use',
    useOf: (name: string) => `Use ${name}`,
    used: (name: string) => `${name} is in use`,
    removeProfile: 'Workspaces that were launched with it stay.',
  },

  tokens: {
    title: 'Tokens',
    what: 'They give people and programs access to a shared daemon (PRISM_AUTH=tokens). Only their names are shown here.',
    none: 'No tokens yet.',
    create: 'New token',
    nameWhat: 'What it is for, such as laptop.',
    user: 'User',
    userWhat: 'A mail address. Empty: your own.',
    scope: 'Scope',
    scopes: {
      metrics: 'Read the metrics only',
      read: 'Read',
      operate: 'Read and operate',
      admin: 'Everything its owner may',
    },
    project: 'Only in project',
    everyProject: 'All projects',
    days: 'Valid for (days)',
    used: 'Last used',
    never: 'never',
    revoke: 'Revoke',
    revokeOf: (name: string) => `Revoke the token ${name}`,
    revokeWhat: 'It stops working at once, and so does every token that was made with it.',
    made: (name: string) => `Token ${name} was made`,
    once: 'It is shown only this once. Copy it now and keep it like a password.',
    copy: 'Copy the token',
    copied: 'Copied',
    notCopied: 'The browser did not allow it. Select the token and copy it.',
    repeated: 'It was shown before and is not shown again. Revoke it and make another one.',
    stored: 'I have stored it',
    good: (user: string, until: string) => `It acts for ${user} until ${until}.`,
  },

  invitations: {
    what: 'Drop a CSV file here to invite everybody in it: email, role, message, until.',
    you: (by: string, project: string, role: string) =>
      `${by} invites you to ${project} as ${role}`,
    until: 'It expires',
    accept: 'Accept',
    decline: 'Decline',
    declineOf: (project: string) => `Decline the invitation to ${project}`,
    title: 'Invitation',
    notYours: (user: string) =>
      `You are logged in as ${user}. This invitation is for another address, or was taken back. Log out, and log in with the address to which it was sent.`,
    ended: (status: string) => `This invitation is not open any more: ${status}.`,
    joined: (project: string) => `You are in the project ${project}.`,
    launch: 'Launch a first workspace',
    toProject: 'See the project',
    email: 'Mail address',
    message: 'Message',
    invite: 'Invite',
    send: 'Send the invitation',
    none: 'No invitations yet.',
    csv: 'Invite from CSV',
    all: (count: number) => `Invite ${count === 1 ? 'one person' : `${count} people`}`,
    sendAll: (count: number) => `Send ${count === 1 ? '1 invitation' : `${count} invitations`}`,
    summary: (dry: boolean, sent: number, skipped: number, failed: number) =>
      `${sent} ${dry ? 'to be sent' : 'sent'}, ${skipped} skipped, ${failed} failed`,
    statuses: {
      pending: 'Pending',
      accepted: 'Accepted',
      declined: 'Declined',
      revoked: 'Revoked',
      expired: 'Expired',
    },
    resend: 'Send again',
    resendOf: (email: string) => `Send again: the invitation to ${email}`,
    resent: (email: string) => `The invitation to ${email} is sent again`,
    revoke: 'Revoke',
    revokeOf: (email: string) => `Revoke the invitation to ${email}`,
    revoked: (email: string) => `The invitation to ${email} is revoked`,
  },

  storage: {
    what: 'Volumes and snapshots outlive workspaces.',
    newVolume: 'New volume',
    nameWhat: '1 to 64 letters, digits, dots, hyphens or underscores.',
    kinds: { ebs: 'For one workspace at a time', efs: 'Shared, grows by itself' },
    sizeGb: 'Size in GB',
    sizeWhat: 'Of a volume for one workspace at a time; a shared one has none.',
    workspace: 'Workspace',
    stateOf: (state: string, problem: string | null) =>
      problem === null ? sentence(state) : `${sentence(state)}: ${problem}`,
    snapshot: 'Take a snapshot',
    snapshotOf: (name: string) => `Take a snapshot of ${name}`,
    snapshotting: (copy: string) => `being copied into the snapshot ${copy}`,
    ofWorkspace: 'Snapshot of a workspace',
    diskWhat: 'Its disk is copied as it is now.',
    restore: 'Restore',
    restoreOf: (name: string) => `Restore ${name} into a new volume`,
    newVolumeName: 'Name of the new volume',
    restoring: (volume: string) => `being restored into ${volume}`,
    rollBack: 'Roll back to this snapshot',
    rollBackTo: (workspace: string, copy: string) => `Roll back ${workspace} to ${copy}`,
    rollBackWarning: (workspace: string, copy: string) =>
      `The files of ${workspace} become those of ${copy}. Its present files are saved in a new snapshot first. If it runs, it is stopped for that and started again.`,
    rollingBack: (workspace: string) => `${workspace} is being rolled back to it`,
    verify: 'Verify',
    verifying: 'being verified',
    verified: 'Verified',
    verification: (result: 'failed' | 'passed' | 'pending' | null) =>
      result === null
        ? 'Not yet'
        : { failed: 'Failed', passed: 'Passed', pending: 'Running' }[result],
    copies: 'Copies elsewhere',
    copiesWhat: 'They outlive this computer: on another disk, on another computer or in S3.',
    noCopies: 'No copies yet. The menu of a snapshot makes one.',
    snapshotName: 'Snapshot',
    copyNamed: (name: string, destination: string) => `${name} at ${destination}`,
    copyElsewhere: 'Copy elsewhere',
    copyOf: (name: string) => `Copy ${name} elsewhere`,
    copyTo: (destination: string) => `being copied to ${destination}`,
    destination: 'Destination',
    destinationWhat: 'A folder on another disk, ssh://HOST/PATH, or s3://BUCKET/PATH.',
    check: 'Check afterwards',
    checks: {
      full: 'Read all of it there again',
      quick: 'Only that all parts are there',
    },
    readThere: 'Read there',
    notRead: 'Not read',
    sameDisk: 'The same disk as this home',
    copiedBytes: (total: number | null, added: number | null) =>
      total === null || added === null
        ? 'unknown'
        : `${bytesText(total)}, ${bytesText(added)} of it new there`,
    forget: 'Cancel or remove from the list',
    deleteThere: 'Delete the copy there',
    deleteThereOf: (snapshot: string, destination: string) =>
      `Delete the copy of ${snapshot} at ${destination}`,
    deleteThereWhat: 'The copy is destroyed at its destination. It cannot be brought back.',
    deletedThere: 'deleted there',
    forgotten: 'removed from the list',
    fetch: 'Fetch a copy',
    fetchName: 'Snapshot, or id of the copy',
    fetchAs: 'Name of the snapshot here',
    fetchAsWhat: 'Empty for the same name.',
    schedule: 'Copy regularly',
    schedules: 'Regular copies',
    noSchedules: 'Nothing is copied regularly.',
    volumeToCopy: 'Volume',
    every: 'How often',
    periods: { daily: 'Every day', weekly: 'Every week', monthly: 'Every month' },
    keep: 'Copies that stay there',
    lastCopy: 'Last copy',
    nextCopy: 'Next',
    never: 'Never',
    now: 'Now',
    unschedule: 'End',
    unscheduled: 'not copied any more; its copies stay',
    removing: 'being deleted',
    removeOf: (name: string) => `Delete ${name}`,
    removeVolume: 'Everything on it is destroyed. Its snapshots stay.',
    removeSnapshot: 'It is destroyed. Volumes that were restored from it stay.',
    volumes: 'Volumes',
    snapshots: 'Snapshots',
    noVolumes: 'No volumes yet.',
    noSnapshots: 'No snapshots yet.',
    size: 'Size',
    used: 'Used',
    gb: (size: number | null) => (size === null ? 'unknown' : `${size} GB`),
    attached: 'Attached to',
    monthly: 'Per month',
    source: 'Copy of',
    made: 'Made',
    attach: 'Attach',
    attachOf: (name: string) => `Attach ${name}`,
    attachTo: (name: string) => `being attached to ${name}`,
    attachWhat: (name: string) => `In the workspace it is ~/volumes/${name}.`,
    detach: (name: string) => `Detach from ${name}`,
    detachFrom: (name: string) => `being detached from ${name}`,
    actionsOf: (name: string) => `Actions for ${name}`,
  },

  events: {
    older: 'Show older',
    what: 'Everything that happened, the newest first; at most 200 at a time.',
    csv: 'As CSV',
    follow: 'As it happens',
    kind: 'Kind',
    filters: { actor: 'By whom', subject: 'To what', event: 'Which kind' },
    title: 'Events',
    none: 'Nothing has happened yet.',
    sentence: (event: string, data: Readonly<Record<string, unknown>>): string => {
      const known = EVENTS[event] ?? sentence(event.replaceAll('_', ' '));
      const { verb, previous_state: before, state, stage, failure } = data;
      const problem =
        typeof failure === 'object' && failure !== null && 'message' in failure
          ? String(failure.message)
          : '';
      if (event === 'instance_files_changed') {
        const { action, path } = data;
        return `${sentence(String(action).replaceAll('_', ' '))}: ${String(path)}`;
      }
      if (event === 'instance_asked' && typeof verb === 'string') return `Asked to ${verb}`;
      if (event === 'instance_state_changed') return `${String(before)} → ${String(state)}`;
      if (event === 'instance_failure' && problem !== '') return problem;
      if (event === 'instance_rollback_asked') {
        return `Asked for the files of ${String(data['snapshot'])}; the present ones are kept in ${String(data['backup'])}`;
      }
      if (event === 'instance_rolled_back' && problem !== '') return `Not rolled back: ${problem}`;
      if (event === 'instance_progress' && typeof stage === 'string') return sentence(stage);
      return known;
    },
  },

  idle: {
    title: 'Activity',
    about: 'Workspaces that nobody uses are put to sleep by these rules.',
    profiles: 'Idle profiles',
    history: 'What was put to sleep',
    noHistory: 'No workspace was put to sleep because it was idle.',
    done: 'Done',
    duration: 'Idle for',
    limits: (it: Readonly<Record<string, unknown>>) =>
      [
        ['CPU', it['cpu_threshold'], '%'],
        ['memory', it['memory_threshold'], '%'],
        ['GPU', it['gpu_threshold'], '%'],
        ['network', it['network_threshold'], ' KB/s'],
        ['disk', it['disk_threshold'], ' KB/s'],
      ]
        .filter(([, value]) => typeof value === 'number')
        .map(([name, value, unit]) => `${String(name)} ${String(value)}${String(unit)}`)
        .join(', ') || '–',
    verdictLabel: 'Now',
    verdict: (verdict: string | null | undefined, minutes: number | null | undefined) => {
      if (!verdict) return '–';
      return verdict === 'idle' && minutes ? `Idle for ${minutes} min` : sentence(verdict);
    },
    profile: 'Idle profile',
    rule: 'Rule',
    ruleOf: (enabled: boolean, action: string | null, minutes: number | null) =>
      enabled && action !== null && minutes !== null
        ? `${sentence(action)} after ${minutes} idle minutes`
        : 'Never put to sleep',
    actsAt: 'Goes to sleep',
    judgedAt: 'Last checked',
    awakeUntil: 'Kept awake until',
    because: 'Why',
    what: 'Measured',
    value: 'Value',
    limit: 'Counts as idle below',
    notKept: (name: string) => `Cannot keep ${name} awake`,
    keepAwakeFor: (minutes: number) => `Keep awake for ${minutes / 60} h`,
    kept: (name: string, minutes: number) => `${name} stays awake for ${minutes / 60} h`,
    day: 'The last 24 hours',
    dayAsOf: (at: string) => `As of ${at}. Where there is no bar, nothing was measured.`,
    dayEmpty: 'Nothing was measured in the last 24 hours.',
    readAgain: 'Read the last 24 hours again',
    hour: 'Hour',
    minutesWatched: 'Minutes',
    verdicts: { active: 'Active', idle: 'Idle', unknown: 'Unknown' },
    figure: 'Measured figure',
    figures: { cpu: 'CPU', memory: 'Memory', network: 'Network', disk: 'Disk', gpu: 'GPU' },
    figureTitle: (name: string, unit: string, minutes: number) =>
      `${name} (${unit}), the highest of ${minutes} minutes`,
    limitOf: 'Counts as idle up to',
    periods: 'Verdicts and reasons',
    from: 'From',
    lasted: 'For',
    was: 'Verdict',
    ruleDone: (action: string, idle: string) =>
      `${action === 'stop' ? 'stopped' : 'put to sleep'} after ${idle} idle`,
    acted: (at: string, action: string) => `${at}: ${action}`,
    time: 'Time',
  },

  launch: {
    title: 'Launch a workspace',
    button: 'Launch workspace',
    short: 'Launch',
    what: 'Choose a template. What it costs is shown before you launch.',
    details: 'Details',
    go: (name: string) => (name === '' ? 'Launch' : `Launch ${name}`),
    busy: 'Launching',
    nameWhat: 'Small letters, digits and single hyphens; it becomes a host name.',
    place: 'Where',
    placeWhat: 'Each place with the machine and the price of this size there.',
    defaultRegion: 'its default region',
    size: 'Size',
    sizeWhat: 'How much memory and how many processors it may use.',
    sizeDefault: 'Default',
    sizeDefaultWhat: 'The size that the template recommends; its price is in the plan.',
    pricing: 'Working out the price …',
    machine: (cores: number | null, memory: number | null, gpus: number | null) =>
      cores === null || memory === null
        ? 'unknown machine'
        : `${cores} ${cores === 1 ? 'core' : 'cores'}, ${memory} GB` +
          (gpus ? `, ${gpus} ${gpus === 1 ? 'GPU' : 'GPUs'}` : ''),
    lasts: (date: string) => ` · money lasts until ${date}`,
    ttl: 'Put to sleep after',
    ttlWhat:
      'It is hibernated then, or stopped; never destroyed. You can change the expiry later. On this computer ' +
      'the memory of a hibernated workspace stays in RAM, and a restart loses it.',
    hours: (hours: string) => {
      if (hours === 'never') return 'Never';
      const count = Number(hours);
      if (count < 24) return `${count} hours`;
      return count === 24 ? '1 day' : `${count / 24} days`;
    },
    more: 'More options',
    parameter: (type: string, choices: readonly (string | number)[]) =>
      choices.length > 0 ? `One of ${choices.join(', ')}` : `A ${type}`,
    texts: {
      type: { label: 'Machine type', what: 'In place of a size, such as t3.large.' },
      region: { label: 'Region', what: "Default: the profile's." },
      disk: { label: 'Disk in GB', what: "Default: the template's. Its price is in the plan." },
      budget: { label: 'Pool that pays', what: 'If the project has several.' },
      snapshot: {
        label: 'Begin with a snapshot',
        what: 'Name of a snapshot of a workspace, whose files it begins with.',
      },
    },
    volumesWhat: 'Attached before it starts.',
    noVolumes: 'No volumes',
    without: (name: string) => `Without ${name}`,
    flags: {
      spot: { label: 'Spot', what: 'Cheaper, but AWS may stop it.' },
      unlimited: {
        label: 'Unlimited CPU credits',
        what: 'A burstable machine may use more CPU than its price covers; costs more.',
      },
      ports: { label: 'Open its ports', what: 'On AWS: to your address.' },
      awake: { label: 'Never hibernate', what: 'It stops instead; its memory is lost then.' },
      restart: { label: 'Start it after a reboot', what: 'Of this computer.' },
    },
    idleWhat: 'What happens when nobody uses it.',
    idleDefault: "The template's",
    noProject: 'None',
    projectWhat: 'Who pays for it.',
  },

  plan: {
    title: 'Plan',
    wrong: 'Correct the fields first.',
    hour: 'Per hour',
    day: 'Per day',
    where: 'Where',
    place: (local: boolean, profile: string, region: string) =>
      local ? `This computer (profile ${profile})` : `AWS, ${region} (profile ${profile})`,
    month: 'Per month with disk and address, if it never sleeps',
    disk: 'Of that the disk, also while it sleeps',
    address: 'Of that its public address',
    until: (hours: number) => `Until it expires (${hours} h)`,
    ready: 'Ready in about',
    leaves: (budget: string | null) => (budget === null ? 'Leaves' : `Leaves in ${budget}`),
    lasts: 'Money lasts until',
    notes: 'Notes',
  },

  templates: {
    all: 'All templates',
    choose: 'Choose a template',
    chooseOne: (name: string) => `Choose ${name}`,
    filter: 'Find templates',
    noMatch: 'No template matches.',
    category: 'Category',
    everyCategory: 'Every category',
    launchOne: (name: string) => `Launch ${name}`,
    invalid: 'invalid',
    runsHere: 'runs on this computer',
    runsOnAws: 'runs on AWS',
    runsElsewhere: 'not on this computer',
    yours: 'yours',
    about: 'About',
    status: 'Checks',
    statuses: { validated: 'All passed', invalid: 'Failed' },
    here: 'Runs on this computer',
    base: 'Base system',
    manager: 'Package manager',
    ports: 'Ports',
    yaml: 'YAML',
    file: 'File',
    inheritance: 'Inherits from',
    services: 'Services',
    port: (port: number) => `port ${port}`,
    packages: 'Packages',
    parameters: 'Parameters',
    default: 'Default',
    meaning: 'Meaning',
    trouble: 'Troubleshooting',
  },
} as const;
