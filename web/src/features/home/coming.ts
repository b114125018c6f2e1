import type { Instance, Schemas } from '../../api/client';
import { hourOf } from '../../lib/format';

const HOUR = 3_600_000; // milliseconds
const DAY = 24 * HOUR;
const MARKS = 4; // times of the day that the lane names
const MOST_PROJECTS = 8; // whose forecasts are read

/** One thing that stops, sleeps, expires or runs out by itself. */
export interface Coming {
  readonly kind: 'expires' | 'sleeps' | 'runsOut';
  readonly at: string;
  readonly id: string;
  readonly name: string;
  readonly href: string;
  readonly because: string | null;
  /** The workspace that it happens to, if it is one. */
  readonly instance: Instance | null;
}

/** A project whose money ends, with the reason. */
export interface RunOut {
  readonly name: string;
  readonly at: string;
  readonly because: string | null;
}

const AWAKE: ReadonlySet<Instance['state']> = new Set([
  'running',
  'launching',
  'starting',
  'resuming',
]);

/** What happens by itself within 24 hours, in order of time; what is overdue happens now. */
export function nextDay(
  list: readonly Instance[],
  sleeps: ReadonlyMap<string, string | null>,
  runOuts: readonly RunOut[],
  now: number,
): readonly Coming[] {
  const ofWorkspaces = list.flatMap((instance): Coming[] => {
    const { workspace: id, name, state, expires_at: expires } = instance;
    if (!AWAKE.has(state)) return [];
    const href = `/workspaces/${name}`;
    const common = { id, name, href, because: null, instance };
    const acts = state === 'running' ? (sleeps.get(id) ?? null) : null;
    return [
      ...(expires === null ? [] : [{ ...common, kind: 'expires' as const, at: expires }]),
      ...(acts === null ? [] : [{ ...common, kind: 'sleeps' as const, at: acts }]),
    ];
  });
  const ofProjects = runOuts.map(({ name, at, because }): Coming => {
    const href = `/projects/${encodeURIComponent(name)}`;
    return { kind: 'runsOut', at, id: name, name, href, because, instance: null };
  });
  return [...ofWorkspaces, ...ofProjects]
    .filter((it) => time(it.at) < now + DAY)
    .map((it) => (time(it.at) < now ? { ...it, at: new Date(now).toISOString() } : it))
    .toSorted((a, b) => time(a.at) - time(b.at));
}

/** The projects with a limit in which something runs, those with the least money left first. */
export function watchedProjects(
  projects: readonly Schemas['ProjectShown'][],
): readonly Schemas['ProjectShown'][] {
  return projects
    .filter((it) => it.active_instances > 0 && it.budget.left !== null)
    .toSorted((a, b) => (a.budget.left ?? 0) - (b.budget.left ?? 0))
    .slice(0, MOST_PROJECTS);
}

/** Where a moment is in the next 24 hours, in percent. */
export function placeOf(at: string, now: number): number {
  return Math.round(Math.min(1, Math.max(0, (time(at) - now) / DAY)) * 1000) / 10;
}

/** The full hours that the lane names, with their places in percent. */
export function hourMarks(now: number): readonly { place: number; text: string }[] {
  const step = DAY / MARKS;
  const first = Math.ceil(now / HOUR) * HOUR + step / 2;
  return Array.from({ length: MARKS }, (_, index) => new Date(first + index * step))
    .map((at) => ({ place: placeOf(at.toISOString(), now), text: hourOf(at) }))
    .filter(({ place }) => place < 95);
}

const time = (at: string): number => new Date(at).getTime();
