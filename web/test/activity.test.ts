import { describe, expect, it } from 'vitest';

import { hours, measured, type Point, periods, steps, type Verdict } from '../src/lib/activity';

const SINCE = '2026-01-01T00:00:00Z';
const UNTIL = '2026-01-02T00:00:00Z';

function point(minute: number, verdict: Verdict, because: string[], cpu: number | null): Point {
  const seconds = (of: Verdict) => (of === verdict ? 600 : 0);
  return {
    at: new Date(Date.parse(SINCE) + minute * 60_000).toISOString(),
    verdict,
    because,
    active_seconds: seconds('active'),
    idle_seconds: seconds('idle'),
    unknown_seconds: seconds('unknown'),
    figures: { cpu, memory: null, network: null, disk: null, gpu: null },
  };
}

const POINTS = [
  point(0, 'idle', ['quiet'], 1),
  point(10, 'idle', ['quiet'], 2),
  point(20, 'active', ['a kernel is busy'], 90),
  point(120, 'active', ['a kernel is busy'], null),
];

describe('activity of the last 24 hours', () => {
  it('periods join points of the same verdict, newest first, and end at a gap', () => {
    const found = periods(POINTS, 600);
    expect(found.map((it) => [it.verdict, it.seconds])).toEqual([
      ['active', 600],
      ['active', 600],
      ['idle', 1200],
    ]);
    expect(found[2]?.from).toBe(POINTS[0]?.at);
  });
  it('hours include those without points', () => {
    const found = hours(POINTS, SINCE, UNTIL);
    expect(found).toHaveLength(25);
    expect(found[0]).toMatchObject({
      minutes: { active: 10, idle: 20, unknown: 0 },
      because: ['quiet', 'a kernel is busy'],
    });
    expect(found[1]?.minutes).toEqual({ active: 0, idle: 0, unknown: 0 });
    expect(found[2]?.minutes.active).toBe(10);
  });
  it('steps without a measurement have the value null, not 0', () => {
    const activity = {
      instance_name: 'mine',
      state: 'running',
      profile: null,
      since: SINCE,
      until: UNTIL,
      step_seconds: 600,
      figures: [],
      points: POINTS,
      acted: [],
    } as const;
    const found = steps({ ...activity, figures: [], points: [...POINTS], acted: [] }, 'cpu');
    expect(found).toHaveLength(145);
    expect(found.filter((it) => it.y !== null).map((it) => it.y)).toEqual([1, 2, 90]);
    expect(measured(POINTS)).toEqual(['cpu']);
    const coarse = steps({ ...activity, figures: [], points: [...POINTS], acted: [] }, 'cpu', 6);
    expect(coarse).toHaveLength(25);
    expect(Math.max(...coarse.map((it) => it.y ?? 0))).toBe(90);
  });
});
