import { describe, expect, it } from 'vitest';

import { type CostGroup, series } from '../src/lib/costs';

const group = (name: string | null, ...costs: number[]): CostGroup => ({
  name,
  cost: 0,
  micros: 0,
  percentage: 0,
  hibernation_savings: 0,
  instances: 0,
  costs,
});
const titled = (name: string | null) => name ?? 'No user';
const others = (count: number) => `${count} others`;

describe('a chart of groups', () => {
  it('has a series for each group if there are few', () => {
    const groups = [group('ada', 1, 2), group(null, 3, 4)];
    expect(series(groups, 2, titled, others)).toEqual([
      { title: 'ada', costs: [1, 2] },
      { title: 'No user', costs: [3, 4] },
    ]);
    expect(series([], 2, titled, others)).toEqual([]);
  });

  it('sums up the cheapest groups if there are many', () => {
    const groups = [group('a', 4, 4), group('b', 3, 1), group('c', 2, 0)];
    expect(series(groups, 2, titled, others)).toEqual([
      { title: 'a', costs: [4, 4] },
      { title: '2 others', costs: [5, 1] },
    ]);
  });
});
