import type { Schemas } from '../api/client';

export const VERDICTS = ['active', 'idle', 'unknown'] as const;
export type Verdict = (typeof VERDICTS)[number];
export type Point = Schemas['ActivityPoint'];

export const FIGURES = ['cpu', 'memory', 'network', 'disk', 'gpu'] as const;
export type FigureName = (typeof FIGURES)[number];

/** A time in which the verdict stayed the same. */
export interface Period {
  readonly from: string;
  readonly verdict: Verdict;
  readonly seconds: number;
  readonly because: readonly string[];
}

/** An hour: for how many minutes it was what, and what was said about it. */
export interface Hour {
  readonly at: Date;
  readonly minutes: Readonly<Record<Verdict, number>>;
  readonly because: readonly string[];
}

const watched = (it: Point) => it.active_seconds + it.idle_seconds + it.unknown_seconds;
const secondsOf = (it: Point): Readonly<Record<Verdict, number>> => ({
  active: it.active_seconds,
  idle: it.idle_seconds,
  unknown: it.unknown_seconds,
});

/** Points in a row with the same verdict as one period, the newest first; a gap ends a period. */
export function periods(points: readonly Point[], step: number): Period[] {
  const result: Period[] = [];
  let before: Point | undefined;
  for (const it of points) {
    const last = result[0];
    const follows =
      before !== undefined && Date.parse(it.at) - Date.parse(before.at) === step * 1000;
    if (last !== undefined && follows && last.verdict === it.verdict) {
      result[0] = { ...last, seconds: last.seconds + watched(it), because: it.because };
    } else {
      result.unshift({
        from: it.at,
        verdict: it.verdict,
        seconds: watched(it),
        because: it.because,
      });
    }
    before = it;
  }
  return result;
}

/** Every hour from one moment to another, also those in which nobody looked. */
export function hours(points: readonly Point[], since: string, until: string): Hour[] {
  const result: Hour[] = [];
  const at = new Date(since);
  at.setMinutes(0, 0, 0);
  for (; at.getTime() <= Date.parse(until); at.setTime(at.getTime() + 3_600_000)) {
    const begin = at.getTime();
    const inside = points.filter((it) => {
      const when = Date.parse(it.at);
      return when >= begin && when < begin + 3_600_000;
    });
    const sum = (verdict: Verdict) =>
      Math.round(inside.reduce((all, it) => all + secondsOf(it)[verdict], 0) / 6) / 10;
    result.push({
      at: new Date(begin),
      minutes: { active: sum('active'), idle: sum('idle'), unknown: sum('unknown') },
      because: [...new Set(inside.flatMap((it) => it.because))],
    });
  }
  return result;
}

/**
 * The highest value of a figure in every `count` steps from one moment to another; null where
 * there is none.
 */
export function steps(
  activity: Schemas['Activity'],
  figure: string,
  count = 1,
): { readonly x: Date; readonly y: number | null }[] {
  const step = activity.step_seconds * 1000 * count;
  const known = new Map<number, number>();
  for (const it of activity.points) {
    const value = it.figures[figure];
    if (typeof value !== 'number') continue;
    const at = Math.floor(Date.parse(it.at) / step) * step;
    known.set(at, Math.max(known.get(at) ?? value, value));
  }
  const result = [];
  const first = Math.floor(Date.parse(activity.since) / step) * step;
  for (let at = first; at <= Date.parse(activity.until); at += step) {
    result.push({ x: new Date(at), y: known.get(at) ?? null });
  }
  return result;
}

/** The figures that were measured at all, in their usual order. */
export function measured(points: readonly Point[]): FigureName[] {
  return FIGURES.filter((name) => points.some((it) => typeof it.figures[name] === 'number'));
}
