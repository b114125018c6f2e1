import { describe, expect, it } from 'vitest';

import {
  burnDown,
  daysBetween,
  endOfDay,
  isNearCap,
  monthsUntil,
  outlook,
  paceOf,
  partsOf,
} from '../src/features/money/money';
import { cellsOf, guestsOf } from '../src/features/people/people';

describe('people in a CSV file', () => {
  it('are read with a heading and any separator', () => {
    const expected = [
      { email: 'a@x.org', role: 'viewer' },
      { email: 'b@x.org', message: 'Hi, "B"' },
    ];
    expect(guestsOf('Email,Role,Note\na@x.org,Viewer,\nb@x.org,,"Hi, ""B"""\n')).toEqual(expected);
    expect(guestsOf('\uFEFFE-mail;role\r\na@x.org;viewer\r\n')).toEqual([expected[0]]);
  });
  it('are read from a list of addresses', () => {
    expect(guestsOf('a@x.org\n\nb@x.org\n')).toEqual([{ email: 'a@x.org' }, { email: 'b@x.org' }]);
    expect(guestsOf('')).toEqual([]);
  });
  it('may have line breaks in quoted cells', () => {
    expect(cellsOf('a,"b\nc"\nd', ',')).toEqual([['a', 'b\nc'], ['d']]);
  });
});

describe('money', () => {
  it('counts whole days until the end of a period', () => {
    expect(daysBetween('2026-03-19T00:00:00Z', '2026-03-31T12:00:00Z')).toBe(12);
    expect(daysBetween('2026-03-31T12:00:00Z', '2026-03-31T00:00:00Z')).toBe(-1);
  });
  it('lists the complete months of a project', () => {
    const now = new Date('2026-02-28T23:00:00Z');
    expect(monthsUntil(now, new Date('2025-12-31T10:00:00Z'))).toEqual(['2026-01', '2025-12']);
    expect(monthsUntil(now, new Date('2026-02-01T00:00:00Z'))).toEqual([]);
    expect(monthsUntil(now, new Date('2000-01-01T00:00:00Z'))).toHaveLength(24);
  });
  it('fills a bar at most completely', () => {
    expect(partsOf(100, 25, 50)).toEqual({ settled: 0.25, reserved: 0.5 });
    expect(partsOf(100, 90, 50).reserved).toBeCloseTo(0.1);
    expect(partsOf(100, 120, 5)).toEqual({ settled: 1, reserved: 0 });
    expect(partsOf(0, 0, 0)).toEqual({ settled: 0, reserved: 0 });
  });
  it('burns down to the current rest, with an unknown cost as 0', () => {
    const days = [
      { date: '2026-11-01', cost: 10 },
      { date: '2026-11-02', cost: null },
      { date: '2026-11-03', cost: 5 },
    ];
    expect(burnDown(100, 55, days).map((it) => it.y)).toEqual([50, 50, 45]);
  });
  it('burns down only over the days of the spending', () => {
    const days = ['01', '02', '03'].map((it) => ({ date: `2026-11-${it}`, cost: 7 }));
    expect(burnDown(20, 8, days).map((it) => it.y)).toEqual([19, 12]);
  });
  it('has a pace from the cheapest to the dearest of the last complete days', () => {
    const now = new Date('2026-11-20T09:00:00Z');
    const day = (number: number, cost: number | null) => ({
      date: `2026-11-${String(number).padStart(2, '0')}`,
      cost,
    });
    const days = [day(1, 0), day(2, 90), ...[6, 7, 8].map((it) => day(it, it)), day(20, 99)];
    expect(paceOf(days, now, 7)).toEqual({ slow: 6, fast: 90, days: 4 });
    const long = [day(1, 90), ...Array.from({ length: 14 }, (_, it) => day(it + 2, 5))];
    expect(paceOf(long, now, 7)).toEqual({ slow: 5, fast: 7, days: 14 });
    expect(paceOf(long, now, null)).toEqual({ slow: 5, fast: 5, days: 14 });
    expect(paceOf([day(1, 0), day(2, 0)], now, 7)).toBeNull();
    expect(paceOf([day(17, 4), day(18, null), day(19, 4), day(20, 4)], now, 7)).toBeNull();
  });
  it('lasts until it is spent, at most the requested days', () => {
    const now = new Date('2026-11-01T00:00:00Z');
    expect(outlook(now, 20, 10, 30)[1]).toEqual({ x: new Date('2026-11-03T00:00:00Z'), y: 0 });
    expect(outlook(now, 20, 0, 1)[1]).toEqual({ x: new Date('2026-11-02T00:00:00Z'), y: 20 });
    expect(outlook(now, 20, null, 1)).toEqual([]);
  });
});

describe('a limit', () => {
  const budget = { alert_threshold: 80, total_allocated: 100, left: 20 };
  it('is near from the alert threshold of the project on', () => {
    expect(isNearCap(budget)).toBe(true);
    expect(isNearCap({ ...budget, left: 20.01 })).toBe(false);
  });
  it('is not near if it is unknown or absent', () => {
    expect(isNearCap({ ...budget, left: null })).toBe(false);
    expect(isNearCap({ ...budget, total_allocated: null })).toBe(false);
  });
});

it('the last day of a grant ends with the day, and no day is left to be refused', () => {
  const end = new Date(endOfDay(' 2030-09-30 '));
  expect(end).toEqual(new Date(2030, 9, 1));
  expect(endOfDay('soon')).toBe('soon');
});
