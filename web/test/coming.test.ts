import { describe, expect, it } from 'vitest';

import type { Instance, Schemas } from '../src/api/client';
import { hourMarks, nextDay, placeOf, watchedProjects } from '../src/features/home/coming';

const NOW = Date.UTC(2026, 0, 31, 12);
const at = (hours: number) => new Date(NOW + hours * 3_600_000).toISOString();
const workspace = (name: string, more: Partial<Instance> = {}) =>
  ({ workspace: `ws_${name}`, name, state: 'running', expires_at: null, ...more }) as Instance;

describe('the next 24 hours', () => {
  it('have what expires, sleeps and runs out, in order of time', () => {
    const list = [
      workspace('late', { expires_at: at(23) }),
      workspace('idle'),
      workspace('soon', { expires_at: at(1) }),
    ];
    const sleeps = new Map([['ws_idle', at(2)]]);
    const runOuts = [{ name: 'Reef', at: at(3), because: 'the $5.00 is used up' }];
    const coming = nextDay(list, sleeps, runOuts, NOW);
    expect(coming.map((it) => [it.kind, it.name])).toEqual([
      ['expires', 'soon'],
      ['sleeps', 'idle'],
      ['runsOut', 'Reef'],
      ['expires', 'late'],
    ]);
    expect(coming[2]).toMatchObject({ href: '/projects/Reef', because: 'the $5.00 is used up' });
  });
  it('have nothing that comes later, or that sleeps already', () => {
    const list = [
      workspace('later', { expires_at: at(25) }),
      workspace('asleep', { state: 'hibernated', expires_at: at(1) }),
    ];
    expect(nextDay(list, new Map([['ws_asleep', at(1)]]), [], NOW)).toEqual([]);
  });
  it('have now what is overdue', () => {
    const [overdue] = nextDay([workspace('due')], new Map([['ws_due', at(-0.5)]]), [], NOW);
    expect(overdue?.at).toBe(at(0));
  });
  it('are a lane from now to a day from now', () => {
    expect([placeOf(at(-1), NOW), placeOf(at(6), NOW), placeOf(at(30), NOW)]).toEqual([0, 25, 100]);
    expect(hourMarks(NOW).map((it) => it.place)).toEqual([12.5, 37.5, 62.5, 87.5]);
  });
});

describe('projects whose money is watched', () => {
  const project = (name: string, active: number, left: number | null) =>
    ({ name, active_instances: active, budget: { left } }) as Schemas['ProjectShown'];
  it('are those with a limit in which something runs, with the least left first', () => {
    const all = [project('a', 1, 9), project('b', 1, 2), project('c', 0, 1), project('d', 1, null)];
    expect(watchedProjects(all).map((it) => it.name)).toEqual(['b', 'a']);
  });
});
