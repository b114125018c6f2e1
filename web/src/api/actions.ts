import { api, data, type Schemas } from './client';

const LONGEST = 120; // seconds to wait for what is under way

const at = (name: string) => ({ params: { path: { name } } });
const of = (project: string) => ({ params: { path: { project_id: project } } });
const invited = (id: string) => ({ params: { path: { invitation_id: id } } });
const till = (name: string) => ({ params: { path: { name }, query: { wait: LONGEST } } });

/** Hours are added to the present expiry; null hours mean never. */
export type Expiry = { readonly hours: number | null } | { readonly expires_at: string };

/** The verbs of a workspace that need nothing but its name. */
export const LIFECYCLE = ['stop', 'start', 'restart', 'hibernate', 'resume'] as const;
export type Lifecycle = (typeof LIFECYCLE)[number];

/** The end of memberships in a request, and what happens to the workspaces then. */
export type MembershipEnds = Pick<Schemas['BulkInvitationRequest'], 'until' | 'at_end' | 'to'>;

/** The same verb again changes nothing, and is answered once it is done. */
export const finished = {
  stop: (name: string) => data(api.POST('/api/v1/instances/{name}/stop', till(name))),
  start: (name: string) => data(api.POST('/api/v1/instances/{name}/start', till(name))),
  hibernate: (name: string) => data(api.POST('/api/v1/instances/{name}/hibernate', till(name))),
  resume: (name: string) => data(api.POST('/api/v1/instances/{name}/resume', till(name))),
} as const;

/** The token of an invitation: the daemon of one person shows it; who has logged in needs none. */
async function tokenOf(id: string): Promise<string | null> {
  return (await data(api.GET('/api/v1/invitations/{invitation_id}', invited(id)))).token;
}

/** Everything that is done. A workspace is meant by its id, a volume or a snapshot by its name. */
export const actions = {
  launch: async (order: Schemas['LaunchRequest']) =>
    // A launch that is not a dry run is answered 201.
    (await data(api.POST('/api/v1/instances/launch', { body: order }))) as Schemas['LaunchAnswer'],
  stop: (name: string) => data(api.POST('/api/v1/instances/{name}/stop', at(name))),
  start: (name: string) => data(api.POST('/api/v1/instances/{name}/start', at(name))),
  restart: (name: string) => data(api.POST('/api/v1/instances/{name}/restart', at(name))),
  hibernate: (name: string) => data(api.POST('/api/v1/instances/{name}/hibernate', at(name))),
  resume: (name: string) => data(api.POST('/api/v1/instances/{name}/resume', at(name))),
  terminate: (name: string, backup: boolean) =>
    data(
      api.POST('/api/v1/instances/{name}/terminate', {
        ...at(name),
        body: { confirm: 'DELETE', backup_ebs: backup },
      }),
    ),
  startByTemplate: (name: string) =>
    data(
      api.POST('/api/v1/instances/{name}/start', { ...at(name), body: { template_again: true } }),
    ),
  show: (name: string) => data(api.GET('/api/v1/instances/{name}', at(name))),
  setExpiry: (name: string, expiry: Expiry) =>
    data(api.POST('/api/v1/instances/{name}/extend', { ...at(name), body: expiry })),
  keepAwake: (name: string, minutes: number) =>
    data(api.POST('/api/v1/idle/instances/{name}/keep-awake', { ...at(name), body: { minutes } })),
  configureIdle: (name: string, profile: string, enabled: boolean) =>
    data(
      api.POST('/api/v1/idle/instances/{name}/configure', {
        ...at(name),
        body: { profile, enabled },
      }),
    ),
  resize: (name: string, size: NonNullable<Schemas['ResizeRequest']['size']>) =>
    data(api.POST('/api/v1/instances/{name}/resize', { ...at(name), body: { size } })),
  /** Whether it is started again after its computer was restarted. */
  setRestart: (name: string, restart: boolean) =>
    data(api.PUT('/api/v1/instances/{name}', { ...at(name), body: { restart } })),
  attach: (name: string, instance: string) =>
    data(api.POST('/api/v1/storage/volumes/{name}/attach', { ...at(name), body: { instance } })),
  detach: (name: string, instance: string) =>
    data(api.POST('/api/v1/storage/volumes/{name}/detach', { ...at(name), body: { instance } })),
  move: (name: string, project: string) =>
    data(api.POST('/api/v1/instances/{name}/move', { ...at(name), body: { project } })),
  makeFolder: (name: string, path: string) =>
    data(api.POST('/api/v1/instances/{name}/files/folder', { ...at(name), body: { path } })),
  renameFile: (name: string, path: string, to: string) =>
    data(api.POST('/api/v1/instances/{name}/files/rename', { ...at(name), body: { path, to } })),
  removeFile: (name: string, path: string, recursive: boolean) =>
    data(
      api.DELETE('/api/v1/instances/{name}/files', {
        params: { path: { name }, query: { path, recursive } },
      }),
    ),
  createVolume: (body: Schemas['NewVolume']) =>
    data(api.POST('/api/v1/storage/volumes/create', { body })),
  removeVolume: (name: string) => data(api.DELETE('/api/v1/storage/volumes/{name}', at(name))),
  createSnapshot: (body: Schemas['NewSnapshot']) => data(api.POST('/api/v1/snapshots', { body })),
  restoreSnapshot: (name: string, volume: string) =>
    data(api.POST('/api/v1/snapshots/{name}/restore', { ...at(name), body: { name: volume } })),
  rollBack: (name: string, snapshot: string) =>
    data(api.POST('/api/v1/instances/{name}/rollback', { ...at(name), body: { snapshot } })),
  /** Gives a workspace the files of a snapshot, also of another one. */
  resetTo: (name: string, snapshot: string) =>
    data(
      api.POST('/api/v1/instances/{name}/rollback', {
        ...at(name),
        body: { snapshot, of_another: true },
      }),
    ),
  verifySnapshot: (name: string) =>
    data(api.POST('/api/v1/snapshots/{name}/verify', { ...at(name), body: {} })),
  removeSnapshot: (name: string) => data(api.DELETE('/api/v1/snapshots/{name}', at(name))),
  copySnapshot: (name: string, body: Schemas['NewCopy']) =>
    data(api.POST('/api/v1/snapshots/{name}/copy', { ...at(name), body })),
  forgetCopy: (id: string) => data(api.DELETE('/api/v1/copies/{id}', { params: { path: { id } } })),
  fetchSnapshot: (body: Schemas['FetchRequest']) =>
    data(api.POST('/api/v1/remote-copies/fetch', { body })),
  scheduleCopies: (body: Schemas['NewCopySchedule']) =>
    data(api.POST('/api/v1/copy-schedules', { body })),
  endSchedule: (id: string) =>
    data(api.DELETE('/api/v1/copy-schedules/{id}', { params: { path: { id } } })),
  createProject: (body: Schemas['NewProject']) => data(api.POST('/api/v1/projects', { body })),
  changeProject: (id: string, body: Schemas['ProjectChange']) =>
    data(api.PUT('/api/v1/projects/{project_id}', { ...of(id), body })),
  removeProject: (id: string) => data(api.DELETE('/api/v1/projects/{project_id}', of(id))),
  createPool: (body: Schemas['NewPool']) => data(api.POST('/api/v1/budgets', { body })),
  changePool: (id: string, body: Schemas['PoolChange']) =>
    data(api.PUT('/api/v1/budgets/{budget_id}', { params: { path: { budget_id: id } }, body })),
  removePool: (id: string) =>
    data(api.DELETE('/api/v1/budgets/{budget_id}', { params: { path: { budget_id: id } } })),
  allocate: (body: Schemas['NewAllocation']) => data(api.POST('/api/v1/allocations', { body })),
  changeAllocation: (id: string, amount: number) =>
    data(
      api.PUT('/api/v1/allocations/{allocation_id}', {
        params: { path: { allocation_id: id } },
        body: { allocated_amount: amount },
      }),
    ),
  removeAllocation: (id: string) =>
    data(
      api.DELETE('/api/v1/allocations/{allocation_id}', {
        params: { path: { allocation_id: id } },
      }),
    ),
  reallocate: (body: Schemas['NewReallocation']) =>
    data(api.POST('/api/v1/reallocations', { body })),
  addMember: (project: string, body: Schemas['NewMembership']) =>
    data(api.POST('/api/v1/projects/{project_id}/members', { ...of(project), body })),
  changeEnd: (project: string, email: string, body: Schemas['MemberChange']) =>
    data(
      api.PUT('/api/v1/projects/{project_id}/members/{email}', {
        params: { path: { project_id: project, email } },
        body,
      }),
    ),
  changeRole: (project: string, email: string, role: Schemas['Role']) =>
    data(
      api.PUT('/api/v1/projects/{project_id}/members/{email}', {
        params: { path: { project_id: project, email } },
        body: { role },
      }),
    ),
  removeMember: (
    project: string,
    email: string,
    query: { readonly workspaces: Schemas['Leftover']; readonly to?: string },
  ) =>
    data(
      api.DELETE('/api/v1/projects/{project_id}/members/{email}', {
        params: { path: { project_id: project, email }, query },
      }),
    ),
  invite: (body: Schemas['NewInvitation']) => data(api.POST('/api/v1/invitations/send', { body })),
  inviteAll: (
    project: string,
    guests: readonly Schemas['BulkInvitee'][],
    ends: MembershipEnds,
    rehearsal: boolean,
  ) =>
    data(
      api.POST('/api/v1/invitations/bulk', {
        body: { project_id: project, invitations: [...guests], ...ends, dry_run: rehearsal },
      }),
    ),
  resend: (id: string) => data(api.POST('/api/v1/invitations/{invitation_id}/resend', invited(id))),
  revoke: (id: string) => data(api.DELETE('/api/v1/invitations/{invitation_id}', invited(id))),
  acceptInvitation: async (id: string) => {
    const body = { token: await tokenOf(id) };
    return data(api.POST('/api/v1/invitations/{invitation_id}/accept', { ...invited(id), body }));
  },
  declineInvitation: async (id: string, reason: string) => {
    const body = { token: await tokenOf(id), reason };
    return data(api.POST('/api/v1/invitations/{invitation_id}/decline', { ...invited(id), body }));
  },
  useProfile: (name: string) =>
    data(api.POST('/api/v1/profiles/switch', { body: { profile_name: name } })),
  createProfile: async (body: Schemas['NewProfile']) => {
    const { host } = body;
    if (host) await data(api.POST('/api/v1/daemon/servers/try', { body: { host } }));
    return data(api.POST('/api/v1/profiles', { body }));
  },
  logIn: (body: Schemas['LoginRequest']) => data(api.POST('/api/v1/login', { body })),
  mailLoginLink: (email: string) => data(api.POST('/api/v1/login/mail', { body: { email } })),
  logInWithAccount: (body: Schemas['AccountRequest']) =>
    data(api.POST('/api/v1/login/account', { body })),
  beginProviderLogin: (to: string, provider: string) =>
    data(api.POST('/api/v1/login/provider', { body: { to, provider } })),
  approveTerminal: (body: Schemas['TerminalApproval']) =>
    data(api.POST('/api/v1/login/terminal', { body })),
  findDeviceLogin: (user_code: string) =>
    data(api.POST('/api/v1/login/device/find', { body: { user_code } })),
  answerDeviceLogin: (body: Schemas['UserCodeAnswer']) =>
    data(api.POST('/api/v1/login/device/answer', { body })),
  logOut: () => data(api.POST('/api/v1/logout')),
  createLoginLink: (body: Schemas['NewLoginLink']) =>
    data(api.POST('/api/v1/login-links', { body })),
  endSession: (id: string) =>
    data(api.DELETE('/api/v1/sessions/{id}', { params: { path: { id } } })),
  endSessions: () => data(api.DELETE('/api/v1/sessions')),
  createToken: (body: Schemas['NewToken']) => data(api.POST('/api/v1/tokens', { body })),
  revokeToken: (id: string) =>
    data(api.DELETE('/api/v1/tokens/{id}', { params: { path: { id } } })),
  share: (name: string, body: Schemas['NewShare']) =>
    data(api.POST('/api/v1/instances/{name}/shares', { ...at(name), body })),
  endShare: (id: string) => data(api.DELETE('/api/v1/shares/{id}', { params: { path: { id } } })),
  openShare: (id: string) =>
    data(api.GET('/api/v1/shares/{id}/open', { params: { path: { id } } })),
  wakeShare: (id: string) =>
    data(api.POST('/api/v1/shares/{id}/wake', { params: { path: { id } } })),
  removeProfile: (name: string) => data(api.DELETE('/api/v1/profiles/{name}', at(name))),
} as const;
