/** The end of a day in the reader's time zone, as a time for the daemon; null if it is no day. */
export function endOfDay(day: string): string | null {
  const parts = /^(\d{4})[-/](\d{2})[-/](\d{2})$/.exec(day);
  if (parts === null) return null;
  const [year, month, date] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  const given = new Date(year, month - 1, date);
  if (given.getMonth() !== month - 1 || given.getDate() !== date) return null;
  return new Date(year, month - 1, date + 1).toISOString();
}

/** The last day before a time, in the reader's time zone: 2027-03-31. */
export function lastDay(at: string): string {
  const before = new Date(new Date(at).getTime() - 1000);
  const two = (number: number) => String(number).padStart(2, '0');
  return `${before.getFullYear()}-${two(before.getMonth() + 1)}-${two(before.getDate())}`;
}
