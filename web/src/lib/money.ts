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

export interface Point {
  readonly x: Date;
  readonly y: number;
}

/** What was left of an amount at the end of each day. */
export function burnDown(
  amount: number,
  days: readonly { readonly date: string; readonly cost: number | null }[],
): Point[] {
  let left = amount;
  return days.flatMap((it) => {
    const x = new Date(`${it.date}T00:00:00Z`);
    left -= it.cost ?? 0;
    return Number.isNaN(x.getTime()) ? [] : [{ x, y: left }];
  });
}

const DAY = 86_400_000;

/** What will be left if all goes on as it does now: until it is gone, or for so many days. */
export function outlook(now: Date, left: number, daily: number | null, days: number): Point[] {
  if (daily === null) return [];
  const lasts = daily > 0 ? Math.min(days, Math.max(0, left) / daily) : days;
  const end = new Date(now.getTime() + lasts * DAY);
  return [
    { x: now, y: left },
    { x: end, y: Math.max(0, left - daily * lasts) },
  ];
}
