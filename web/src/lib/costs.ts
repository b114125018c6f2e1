import type { Schemas } from '../api/client';

export type CostGroup = Schemas['CostGroup'];
export const GROUPS = ['project', 'user', 'template', 'budget', 'type'] as const;
export type GroupBy = (typeof GROUPS)[number];

export interface Series {
  readonly title: string;
  readonly costs: readonly number[];
}

/** The most expensive groups by name, and all others together, so that a chart stays readable. */
export function series(
  groups: readonly CostGroup[],
  most: number,
  titleOf: (name: string | null) => string,
  others: (count: number) => string,
): Series[] {
  const shown = groups.length > most ? most - 1 : most;
  const rest = groups.slice(shown);
  const named = groups.slice(0, shown).map((it) => ({ title: titleOf(it.name), costs: it.costs }));
  if (rest.length === 0) return named;
  const sums = (rest[0]?.costs ?? []).map((_, bar) =>
    rest.reduce((sum, it) => sum + (it.costs[bar] ?? 0), 0),
  );
  return [...named, { title: others(rest.length), costs: sums }];
}
