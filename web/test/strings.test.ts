import { describe, expect, it } from 'vitest';

import { t } from '../src/strings';

describe('sentences about events', () => {
  it('says which snapshot a rollback uses, and where the files before it are', () => {
    const data = { snapshot: 'monday', backup: 'mine-before-monday' };
    expect(t.events.sentence('instance_rollback_asked', data)).toBe(
      'Asked for the files of monday; the present ones are kept in mine-before-monday',
    );
  });

  it('says whether a rollback was done, or why not', () => {
    expect(t.events.sentence('instance_rolled_back', { failure: null })).toBe(
      'Has the files of the snapshot',
    );
    const failure = { code: 'SNAPSHOT_GONE', message: 'the snapshot is gone' };
    expect(t.events.sentence('instance_rolled_back', { failure })).toBe(
      'Not rolled back: the snapshot is gone',
    );
  });
});
