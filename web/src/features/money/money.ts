/** How an amount is divided, in parts of the whole; each part is 0 to 1. */
export interface Parts {
  readonly settled: number;
  readonly reserved: number;
}

/** The parts of a cap; what was spent beyond it fills the bar. */
export function partsOf(amount: number, settled: number, reserved: number): Parts {
  if (amount <= 0) return { settled: settled > 0 ? 1 : 0, reserved: 0 };
  const part = Math.min(1, Math.max(0, settled / amount));
  return { settled: part, reserved: Math.min(1 - part, Math.max(0, reserved / amount)) };
}

/** Whether so much of a project's limit is spent or reserved that the project warns of it. */
export function isNearCap(budget: {
  readonly alert_threshold: number;
  readonly left: number | null;
  readonly total_allocated: number | null;
}): boolean {
  const { alert_threshold: percent, left, total_allocated: amount } = budget;
  if (amount === null || left === null || amount <= 0) return false;
  return 100 * (amount - left) >= percent * amount;
}

export interface Point {
  readonly x: Date;
  readonly y: number;
}

const HALF_A_CENT = 0.005;

/**
 * What was not spent of a cap at the end of each day, up to what is not spent of it now: the days
 * whose costs are in what is spent, and no day of an earlier period.
 */
export function burnDown(
  amount: number,
  spent: number,
  days: readonly { readonly date: string; readonly cost: number | null }[],
): Point[] {
  let after = 0; // what the days after this one cost
  const points = days.toReversed().flatMap((it) => {
    const x = new Date(`${it.date}T00:00:00Z`);
    const point = { x, y: amount - spent + after };
    const within = after <= spent + HALF_A_CENT && !Number.isNaN(x.getTime());
    after += it.cost ?? 0;
    return within ? [point] : [];
  });
  return points.toReversed();
}

const DAY = 86_400_000;
const RECENT = 14; // complete days that the range of a forecast is taken from
const FEWEST = 3;

/** What the cheapest and the dearest of the last days cost. */
export interface Pace {
  readonly slow: number;
  readonly fast: number;
  readonly days: number;
}

/**
 * The range that the last 14 complete days suggest, widened to the present pace; null where fewer
 * than 3 of them have a known cost. Days before the first cost do not count.
 */
export function paceOf(
  days: readonly { readonly date: string; readonly cost: number | null }[],
  now: Date,
  daily: number | null,
): Pace | null {
  const today = now.toISOString().slice(0, 10);
  const begun = days.findIndex((it) => (it.cost ?? 0) > 0);
  if (begun < 0) return null;
  const complete = days.slice(begun).filter((it) => it.date < today);
  const costs = complete.slice(-RECENT).flatMap((it) => (it.cost === null ? [] : [it.cost]));
  if (costs.length < FEWEST) return null;
  const known = daily === null ? costs : [...costs, daily];
  return { slow: Math.min(...known), fast: Math.max(...known), days: costs.length };
}

/** What will not be spent at a cost a day: until all is spent, or for so many days. */
export function outlook(now: Date, unspent: number, daily: number | null, days: number): Point[] {
  if (daily === null) return [];
  const lasts = Math.min(days, daily > 0 ? Math.max(0, unspent) / daily : days);
  const end = new Date(now.getTime() + lasts * DAY);
  return [
    { x: now, y: unspent },
    { x: end, y: Math.max(0, unspent - daily * lasts) },
  ];
}

/** Whole days from one moment until a later one; negative if it is earlier. */
export function daysBetween(from: string, until: string): number {
  return Math.floor((Date.parse(until) - Date.parse(from)) / DAY);
}

const MOST_MONTHS = 24;

/** The complete months before now, as 2026-01 and the latest first, back to the first moment. */
export function monthsUntil(now: Date, first: Date): string[] {
  const start = first.toISOString().slice(0, 7);
  const months = Array.from({ length: MOST_MONTHS }, (_, back) =>
    new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1 - back, 1))
      .toISOString()
      .slice(0, 7),
  );
  return months.filter((it) => it >= start);
}

/** The end of a day, in the reader's time zone; what is no day stays as it is, to be refused. */
export function endOfDay(day: string): string {
  const at = new Date(`${day.trim()}T00:00`);
  if (Number.isNaN(at.getTime())) return day;
  at.setDate(at.getDate() + 1);
  return at.toISOString();
}
