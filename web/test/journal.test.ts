import { describe, expect, it } from 'vitest';

import { cursorOf } from '../src/features/events/journal';

describe('cursorOf', () => {
  it('reads where the next page begins', () => {
    expect(cursorOf('</api/v1/audit?limit=200&cursor=evt_a%2Bb>; rel="next"')).toBe('evt_a+b');
  });

  it('is null on the last page', () => {
    expect(cursorOf(null)).toBeNull();
    expect(cursorOf('</api/v1/audit?cursor=evt_1>; rel="prev"')).toBeNull();
  });
});
