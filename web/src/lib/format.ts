import { t } from '../strings';

const HOUR = 3600;
const DAY = 24 * HOUR;
const dollars = new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD' });
const rates = new Intl.NumberFormat('en-US', {
  style: 'currency',
  currency: 'USD',
  minimumFractionDigits: 2,
  maximumFractionDigits: 4,
});
const moments = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
const weekdayHours = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  hour: '2-digit',
  minute: '2-digit',
});
const days = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' });

/** An amount in USD; what nobody knows is said to be unknown, and is never 0. */
export function money(amount: number | null | undefined): string {
  return amount === null || amount === undefined ? t.unknown : dollars.format(amount);
}

/** A tick of an axis that ends at `most`: cents would all look the same where that is little. */
export function tick(amount: number, most: number): string {
  return most < 0.1 && amount > 0 ? rates.format(amount) : money(amount);
}

/** An hourly rate in USD. */
export function hourly(rate: number | null | undefined): string {
  return rate === null || rate === undefined ? t.unknown : t.perHour(rates.format(rate));
}

/** A moment, in the reader's time zone. */
export function moment(at: string | null | undefined): string {
  return at ? moments.format(new Date(at)) : t.none;
}

/** A day, in the reader's time zone. */
export function day(at: string | null | undefined): string {
  return at ? days.format(new Date(at)) : t.none;
}

/** A time of the last week, in the reader's time zone: `Fri 14:20`. */
export function hourOf(at: Date): string {
  return weekdayHours.format(at);
}

/** How long, in its two largest units: `2 h 5 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t.seconds(whole);
  if (whole < HOUR) return t.minutes(Math.floor(whole / 60));
  if (whole < DAY) return t.hoursMinutes(Math.floor(whole / HOUR), Math.floor((whole % HOUR) / 60));
  return t.daysHours(Math.floor(whole / DAY), Math.floor((whole % DAY) / HOUR));
}

/** A moment relative to another: `in 2 h 5 min`, `3 min ago`. */
export function relative(at: string, now: number): string {
  const seconds = (new Date(at).getTime() - now) / 1000;
  if (Math.abs(seconds) < 5) return t.justNow;
  return seconds > 0 ? t.inTime(duration(seconds)) : t.ago(duration(-seconds));
}

/** A name for a new workspace that is not taken: the template's, with a number where needed. */
export function freeName(base: string, taken: ReadonlySet<string>): string {
  const clean = base
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40)
    .replace(/-+$/, '');
  const start = clean || 'workspace';
  if (!taken.has(start)) return start;
  let number = 2;
  while (taken.has(`${start}-${number}`)) number += 1;
  return `${start}-${number}`;
}
