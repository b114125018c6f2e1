import type { Instance, State } from '../api/client';
import type { LiveEvent } from './events';

/** What an event changes at once, and what it makes out of date. */
export interface Change {
  /** Fields of the workspace with that id, known from the event itself. */
  readonly patch?: { readonly id: string; readonly fields: Partial<Instance> };
  /** The id of a workspace to ask for again. */
  readonly instance?: string;
  /** Keys of queries to ask for again, where somebody looks at them. */
  readonly stale: readonly (readonly string[])[];
  /** Everything is out of date. */
  readonly everything?: boolean;
}

const OF_STATES: ReadonlySet<string> = new Set(['instance_state_changed', 'instance_asked']);
const OF_VISITS: ReadonlySet<string> = new Set(['instance_entered', 'instance_left']);
const WITHOUT_COST: ReadonlySet<string> = new Set([
  'instance_failure',
  'instance_files_changed',
  'instance_note',
  'instance_progress',
  'instance_updated',
  'instance_entered',
  'instance_left',
]);
const OF_WORKSPACES = /^(instance_|idle_(?!profile_)|hibernation_triggered$)/;
const PAID = /^(instance|volume|snapshot(?!_copy))_/;
const IN_A_HOME: ReadonlySet<string> = new Set(['volume_attached', 'volume_detached']);
const PREFIXES: readonly (readonly [string, readonly (readonly string[])[]])[] = [
  ['project_', [['projects']]],
  ['member_', [['projects'], ['me']]],
  ['budget_', [['budgets'], ['projects']]],
  ['allocation_', [['budgets'], ['projects']]],
  ['invitation_', [['invitations']]],
  ['volume_', [['volumes'], ['instances']]],
  ['snapshot_copy_', [['copies']]],
  ['snapshot_', [['snapshots']]],
  ['copy_schedule_', [['copy-schedules'], ['copies'], ['status']]],
  ['profile_', [['profiles'], ['status'], ['plan']]],
  ['template_', [['templates']]],
  ['token_', [['tokens']]],
  ['notices_', [['notices'], ['webhooks']]],
  ['webhook_', [['webhooks']]],
  ['more_', [['requests']]],
  ['session_', [['sessions']]],
  ['share_', [['shares']]],
  ['idle_profile_', [['idle-profiles']]],
  ['limit_', [['limits']]],
];

/** What an event means for what is on the screen. */
export function changeOf(event: LiveEvent): Change {
  if (event.event === 'resync') return { stale: [], everything: true };
  const { workspace } = event.data;
  const id = typeof workspace === 'string' ? workspace : undefined;
  const stale: (readonly string[])[] = [['audit'], ...pricedBy(event)];
  if (event.event === 'hibernation_triggered') stale.push(['idle-history']);
  if (id !== undefined && OF_WORKSPACES.test(event.event)) {
    if (event.event === 'instance_files_changed') return { stale: [...stale, ['files', id]] };
    if (OF_VISITS.has(event.event)) return { stale: [...stale, ['visits', id]] };
    if (OF_STATES.has(event.event)) stale.push(['status'], ['log-types', id], ['files', id]);
    if (event.event.startsWith('instance_')) stale.push(['connection', id], ['ports', id]);
    stale.push(['idle', id]);
    const fields = fieldsOf(event);
    return fields === null
      ? { instance: id, stale }
      : { patch: { id, fields }, instance: id, stale };
  }
  if (IN_A_HOME.has(event.event)) stale.push(['files']); // it has the name of the workspace only
  for (const [prefix, keys] of PREFIXES) {
    if (event.event.startsWith(prefix)) stale.push(...keys);
  }
  return { stale };
}

/** The sums of money that an event about a workspace, a volume or a snapshot changes. */
function pricedBy({ event, data }: LiveEvent): readonly (readonly string[])[] {
  if (!PAID.test(event) || WITHOUT_COST.has(event)) return [];
  const paid = typeof data['project'] === 'string' || event === 'instance_moved';
  return paid ? [['costs'], ['projects'], ['budgets']] : [['costs']];
}

function fieldsOf({ event, data }: LiveEvent): Partial<Instance> | null {
  const state = data['state'] as State | undefined;
  if (event === 'instance_extended' && typeof data['expires_at'] === 'string') {
    return { expires_at: data['expires_at'] };
  }
  if (state === undefined) return null;
  const fields: Partial<Instance> = { state };
  if (event === 'instance_state_changed') {
    fields.failure = (data['failure'] ?? null) as Instance['failure'];
  }
  if (typeof data['progress'] === 'number') fields.progress = data['progress'];
  if (typeof data['stage'] === 'string' || data['stage'] === null) {
    fields.stage = data['stage'];
  }
  return fields;
}

/** The list with some fields of one workspace changed; the same list where it is not in it. */
export function patched(
  list: readonly Instance[],
  id: string,
  fields: Partial<Instance>,
): readonly Instance[] {
  if (!list.some((it) => it.workspace === id)) return list;
  return list.map((it) => (it.workspace === id ? { ...it, ...fields } : it));
}

/** The list with the newest look at one workspace; a new one is put at the end, as the API does. */
export function merged(
  list: readonly Instance[],
  id: string,
  newest: Instance | null,
): readonly Instance[] {
  const isKnown = list.some((it) => it.workspace === id);
  if (newest === null) return isKnown ? list.filter((it) => it.workspace !== id) : list;
  return isKnown ? list.map((it) => (it.workspace === id ? newest : it)) : [...list, newest];
}

/** One workspace of each name: the living one, else the one that was terminated last. */
export function unique(list: readonly Instance[]): Instance[] {
  const byName = new Map<string, Instance>();
  for (const it of list) {
    const name = fullName(it);
    const known = byName.get(name);
    if (known === undefined || known.state === 'terminated') byName.set(name, it);
  }
  return unambiguous(byName.size === list.length ? list : [...byName.values()]);
}

/** The rows, with full names where `all` has the same name several times: each means one of them. */
export function unambiguous<T extends Named>(
  rows: readonly T[],
  all: readonly Named[] = rows,
): T[] {
  const names = new Set<string>();
  const shared = new Set<string>();
  for (const { name } of all) (names.has(name) ? shared : names).add(name);
  if (shared.size === 0) return [...rows];
  return rows.map((it) => (shared.has(it.name) ? { ...it, name: fullName(it) } : it));
}

interface Named {
  readonly name: string;
  readonly full_name?: string;
}

function fullName({ name, full_name }: Named): string {
  return full_name ?? name;
}
