/** The hours until the month ends, in UTC, as bills count. */
export function restOfMonth(now: number): number {
  const today = new Date(now);
  const end = Date.UTC(today.getUTCFullYear(), today.getUTCMonth() + 1, 1);
  return (end - now) / 3_600_000;
}
