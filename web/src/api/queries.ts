import { queryOptions } from '@tanstack/react-query';

import { unambiguous, unique } from '../live/changes';
import { actions, type MembershipEnds } from './actions';
import { api, data, type Schemas } from './client';
import { errorOf, Unreachable } from './errors';
import type { GroupBy } from '../lib/costs';
import { contentAt, IMAGE_SHOWN, TEXT_SHOWN } from '../lib/files';
import type { operations } from './schema';

type AuditQuery = NonNullable<operations['ApiV1AuditAudit']['parameters']['query']>;

/** The journal, newest first; only `format=csv` would be answered with text. */
async function audit(query: AuditQuery): Promise<readonly Schemas['AuditEntry'][]> {
  return (await data(api.GET('/api/v1/audit', { params: { query } }))) as Schemas['AuditEntry'][];
}

const of = (project: string) => ({ params: { path: { project_id: project } } });

/** At most so many bytes of a file, and whether that is all of it. */
async function beginning(workspace: string, path: string, most: number, signal: AbortSignal) {
  const headers = { Range: `bytes=0-${most - 1}` };
  const answer = await fetch(contentAt(workspace, path), { headers, signal }).catch(() => null);
  if (answer === null) throw new Unreachable();
  if (answer.status === 416) return { content: new Uint8Array(), whole: true };
  if (!answer.ok) throw errorOf(answer.status, await answer.json().catch(() => null));
  const content = new Uint8Array(await answer.arrayBuffer());
  const size = Number(answer.headers.get('Content-Range')?.split('/')[1] ?? content.length);
  return { content, whole: content.length >= size };
}

/**
 * Everything that pages read. Nothing is asked for twice: events say what is out of date.
 * What belongs to one workspace is read by its id: several people may have one of that name.
 */
export const queries = {
  status: queryOptions({
    queryKey: ['status'],
    queryFn: () => data(api.GET('/api/v1/daemon/status')),
  }),
  /** The id of the newest event when the page was opened; later ones arrive by themselves. */
  newestEvent: queryOptions({
    queryKey: ['newest-event'],
    staleTime: 'static',
    queryFn: async () => {
      const [newest] = await audit({ limit: 1 });
      return newest?.id ?? 'evt_0';
    },
  }),
  instances: queryOptions({
    queryKey: ['instances'],
    queryFn: () => data(api.GET('/api/v1/instances')),
    select: unique,
  }),
  templates: queryOptions({
    queryKey: ['templates'],
    queryFn: () => data(api.GET('/api/v1/templates')),
  }),
  /** What the checks of every template say; with `packages` they ask the package index too. */
  templateChecks: (packages: boolean) =>
    queryOptions({
      queryKey: ['template-checks', packages], // not below `templates`: a check is an event of them
      staleTime: 0, // no event says that a file was changed
      queryFn: () =>
        data(api.GET('/api/v1/templates/validate', { params: { query: { packages } } })),
    }),
  /** The file as its author wrote it, also of a template that cannot be used. */
  templateYaml: (name: string) =>
    queryOptions({
      queryKey: ['templates', name, 'yaml'],
      queryFn: () => data(api.GET('/api/v1/templates/{name}/yaml', { params: { path: { name } } })),
    }),
  template: (name: string) =>
    queryOptions({
      queryKey: ['templates', name],
      queryFn: () => data(api.GET('/api/v1/templates/{name}/info', { params: { path: { name } } })),
    }),
  plan: (order: Schemas['LaunchRequest']) =>
    queryOptions({
      queryKey: ['plan', order],
      // The API answers 200 with a plan to a dry run, 201 to a launch.
      queryFn: async ({ signal }) => {
        const body = { ...order, dry_run: true };
        return (await data(
          api.POST('/api/v1/instances/launch', { body, signal }),
        )) as Schemas['LaunchEstimate'];
      },
    }),
  shares: queryOptions({
    queryKey: ['shares'],
    queryFn: () => data(api.GET('/api/v1/shares')),
  }),
  sharesOf: (workspace: string) =>
    queryOptions({
      queryKey: ['shares', workspace],
      queryFn: () =>
        data(api.GET('/api/v1/instances/{name}/shares', { params: { path: { name: workspace } } })),
    }),
  visits: (workspace: string) =>
    queryOptions({
      queryKey: ['visits', workspace],
      queryFn: () =>
        data(api.GET('/api/v1/instances/{name}/visits', { params: { path: { name: workspace } } })),
    }),
  connection: (workspace: string) =>
    queryOptions({
      queryKey: ['connection', workspace],
      queryFn: () =>
        data(
          api.GET('/api/v1/instances/{name}/connect', { params: { path: { name: workspace } } }),
        ),
    }),
  ports: (workspace: string) =>
    queryOptions({
      queryKey: ['ports', workspace],
      queryFn: () =>
        data(api.GET('/api/v1/instances/{name}/ports', { params: { path: { name: workspace } } })),
    }),
  /** Below the key of `idle`, so that the same events make it out of date. */
  hibernation: (workspace: string) =>
    queryOptions({
      queryKey: ['idle', workspace, 'hibernation'],
      queryFn: () =>
        data(
          api.GET('/api/v1/instances/{name}/hibernation-status', {
            params: { path: { name: workspace } },
          }),
        ),
    }),
  idle: (workspace: string) =>
    queryOptions({
      queryKey: ['idle', workspace],
      queryFn: () =>
        data(api.GET('/api/v1/idle/instances/{name}', { params: { path: { name: workspace } } })),
    }),
  /** The last 24 hours; below the key of `idle`, so that the same events make it out of date. */
  activity: (workspace: string) =>
    queryOptions({
      queryKey: ['idle', workspace, 'activity'],
      queryFn: () =>
        data(
          api.GET('/api/v1/idle/instances/{name}/activity', {
            params: { path: { name: workspace } },
          }),
        ),
    }),
  idleProfiles: queryOptions({
    queryKey: ['idle-profiles'],
    queryFn: () => data(api.GET('/api/v1/idle/profiles')),
  }),
  projects: queryOptions({
    queryKey: ['projects'],
    queryFn: () => data(api.GET('/api/v1/projects')),
  }),
  budgets: queryOptions({
    queryKey: ['budgets'],
    queryFn: () => data(api.GET('/api/v1/budgets')),
  }),
  allocations: (pool: string) =>
    queryOptions({
      queryKey: ['budgets', pool, 'allocations'],
      queryFn: () =>
        data(
          api.GET('/api/v1/budgets/{budget_id}/allocations', {
            params: { path: { budget_id: pool } },
          }),
        ),
    }),
  forecast: (project: string) =>
    queryOptions({
      queryKey: ['projects', project, 'forecast'],
      queryFn: () => data(api.GET('/api/v1/projects/{project_id}/forecast', of(project))),
    }),
  projectBudget: (project: string) =>
    queryOptions({
      queryKey: ['projects', project, 'budget'],
      queryFn: () => data(api.GET('/api/v1/projects/{project_id}/budget', of(project))),
    }),
  /** How a project can spend less. */
  analysis: (project: string) =>
    queryOptions({
      queryKey: ['costs', 'analysis', project],
      queryFn: () => data(api.GET('/api/v1/projects/{project_id}/cost-analysis', of(project))),
    }),
  /** A month as 2026-01; null is the present one. */
  projectReport: (project: string, month: string | null) =>
    queryOptions({
      queryKey: ['costs', 'report', project, month],
      queryFn: async () =>
        (await data(
          api.GET('/api/v1/projects/{project_id}/report', {
            params: { path: { project_id: project }, query: month === null ? {} : { month } },
          }),
        )) as Schemas['MonthlyReport'], // without a format
    }),
  projectHistory: (project: string) =>
    queryOptions({
      queryKey: ['costs', 'daily', project],
      queryFn: () =>
        data(
          api.GET('/api/v1/costs/history', {
            params: { query: { granularity: 'daily', project } },
          }),
        ),
    }),
  invitations: (project: string) =>
    queryOptions({
      queryKey: ['invitations', project],
      queryFn: () => data(api.GET('/api/v1/invitations/project/{project_id}', of(project))),
    }),
  myInvitations: queryOptions({
    queryKey: ['invitations', 'me'],
    queryFn: () =>
      data(api.GET('/api/v1/invitations/me', { params: { query: { status: 'pending' } } })),
  }),
  /** What inviting these people would do. */
  rehearsal: (project: string, guests: readonly Schemas['BulkInvitee'][], ends: MembershipEnds) =>
    queryOptions({
      queryKey: ['rehearsal', project, guests, ends],
      staleTime: 0, // no event says that it is out of date
      gcTime: 0,
      queryFn: () => actions.inviteAll(project, guests, ends, true),
    }),
  costs: queryOptions({
    queryKey: ['costs'],
    queryFn: () => data(api.GET('/api/v1/costs/current')),
  }),
  /** When a launch should be ready, as it was answered; null where this page did not launch it. */
  readyAt: (workspace: string) =>
    queryOptions({
      queryKey: ['ready-at', workspace],
      staleTime: 'static',
      queryFn: () => Promise.resolve<string | null>(null),
    }),
  profiles: queryOptions({
    queryKey: ['profiles'],
    queryFn: () => data(api.GET('/api/v1/profiles')),
  }),
  invitation: (id: string) =>
    queryOptions({
      queryKey: ['invitations', 'one', id],
      queryFn: () =>
        data(
          api.GET('/api/v1/invitations/{invitation_id}', {
            params: { path: { invitation_id: id } },
          }),
        ),
    }),
  /** Who uses this page, and what they may do. */
  me: queryOptions({
    queryKey: ['me'],
    queryFn: () => data(api.GET('/api/v1/me')),
  }),
  loginWays: queryOptions({
    queryKey: ['login-ways'],
    staleTime: 0, // no event says that it is out of date
    queryFn: () => data(api.GET('/api/v1/login')),
  }),
  notices: queryOptions({
    queryKey: ['notices'],
    queryFn: () => data(api.GET('/api/v1/notices')),
  }),
  noticeSettings: queryOptions({
    queryKey: ['notices', 'settings'],
    queryFn: () => data(api.GET('/api/v1/notices/settings')),
  }),
  webhooks: queryOptions({
    queryKey: ['webhooks'],
    queryFn: () => data(api.GET('/api/v1/webhooks')),
  }),
  requests: queryOptions({
    queryKey: ['requests'],
    queryFn: () => data(api.GET('/api/v1/requests')),
  }),
  sessions: queryOptions({
    queryKey: ['sessions'],
    queryFn: () => data(api.GET('/api/v1/sessions')),
  }),
  tokens: queryOptions({
    queryKey: ['tokens'],
    queryFn: () => data(api.GET('/api/v1/tokens')),
  }),
  doctor: queryOptions({
    queryKey: ['doctor'],
    queryFn: () => data(api.GET('/api/v1/daemon/doctor')),
  }),
  profile: queryOptions({
    queryKey: ['profiles', 'current'],
    queryFn: () => data(api.GET('/api/v1/profiles/current')),
  }),
  logTypes: (workspace: string) =>
    queryOptions({
      queryKey: ['log-types', workspace],
      queryFn: () =>
        data(
          api.GET('/api/v1/logs/{instance}/types', { params: { path: { instance: workspace } } }),
        ),
    }),
  /** Of one project, or of everything; divided into groups, or not. */
  history: (
    granularity: 'daily' | 'weekly' | 'monthly',
    project: string | null,
    group: GroupBy | null,
  ) =>
    queryOptions({
      queryKey: ['costs', granularity, project, group],
      queryFn: () =>
        data(
          api.GET('/api/v1/costs/history', {
            params: {
              query: {
                granularity,
                ...(project === null ? {} : { project }),
                ...(group === null ? {} : { group_by: group }),
              },
            },
          }),
        ),
    }),
  volumes: queryOptions({
    queryKey: ['volumes'],
    queryFn: () => data(api.GET('/api/v1/storage/volumes')),
    select: ({ ebs_volumes: ebs, efs_volumes: efs }) => {
      const all = [...ebs, ...efs];
      return { ebs_volumes: unambiguous(ebs, all), efs_volumes: unambiguous(efs, all) };
    },
  }),
  snapshots: queryOptions({
    queryKey: ['snapshots'],
    queryFn: () => data(api.GET('/api/v1/snapshots')),
    select: (snapshots) => unambiguous(snapshots),
  }),
  copies: queryOptions({
    queryKey: ['copies'],
    queryFn: () => data(api.GET('/api/v1/copies')),
  }),
  copySchedules: queryOptions({
    queryKey: ['copy-schedules'],
    queryFn: () => data(api.GET('/api/v1/copy-schedules')),
  }),
  idleHistory: queryOptions({
    queryKey: ['idle-history'],
    queryFn: () => data(api.GET('/api/v1/idle/history')),
  }),
  files: (workspace: string, path: string) =>
    queryOptions({
      queryKey: ['files', workspace, path],
      queryFn: () =>
        data(
          api.GET('/api/v1/instances/{name}/files', {
            params: { path: { name: workspace }, query: { path, limit: 2000 } },
          }),
        ),
    }),
  /** The first bytes of a file, as many as a preview shows. */
  fileStart: (workspace: string, path: string, large: boolean) =>
    queryOptions({
      queryKey: ['files', workspace, path, 'start'],
      gcTime: 0,
      queryFn: ({ signal }) => beginning(workspace, path, large ? IMAGE_SHOWN : TEXT_SHOWN, signal),
    }),
  /** What happened lately: to everything, or to one workspace. */
  events: (workspace?: string) =>
    queryOptions({
      queryKey: ['audit', workspace ?? null],
      queryFn: () =>
        workspace === undefined
          ? audit({ limit: 100 })
          : data(
              api.GET('/api/v1/instances/{name}/events', {
                params: { path: { name: workspace }, query: { limit: 100 } },
              }),
            ),
    }),
} as const;
