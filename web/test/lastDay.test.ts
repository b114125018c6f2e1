import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { endOfDay, lastDay } from '../src/features/people/lastDay';
import { guestsOf } from '../src/features/people/people';

describe('the last day of a membership', () => {
  const zone = process.env.TZ;
  beforeEach(() => {
    process.env.TZ = 'Europe/Berlin';
  });
  afterEach(() => {
    if (zone === undefined) delete process.env.TZ;
    else process.env.TZ = zone;
  });

  it.each([
    ['2027-03-27', '2027-03-27T23:00:00.000Z'],
    ['2027-03-28', '2027-03-28T22:00:00.000Z'], // a day of 23 hours
    ['2027-10-31', '2027-10-31T23:00:00.000Z'], // a day of 25 hours
    ['2027-12-31', '2027-12-31T23:00:00.000Z'],
  ])('%s ends at %s', (day, at) => {
    expect(endOfDay(day)).toBe(at);
    expect(lastDay(at)).toBe(day);
  });

  it('may be in a CSV file, for each person', () => {
    const csv = 'email;until\na@x.org;2027-03-28\nb@x.org;Never\nc@x.org;\nd@x.org;soon\n';
    expect(guestsOf(`${csv}e@x.org;2027-03-31T18:00Z\n`)).toEqual([
      { email: 'a@x.org', until: '2027-03-28T22:00:00.000Z' },
      { email: 'b@x.org', until: null },
      { email: 'c@x.org' },
      { email: 'd@x.org', until: 'soon' },
      { email: 'e@x.org', until: '2027-03-31T18:00:00.000Z' },
    ]);
    expect(guestsOf('a@x.org,,a, b, c')).toEqual([{ email: 'a@x.org', message: 'a' }]);
  });

  it.each(['', '2027-02-30', '2027-3-1', 'soon', '2027-13-01'])('%s is no day', (day) => {
    expect(endOfDay(day)).toBeNull();
  });
});
