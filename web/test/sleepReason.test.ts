import { expect, test } from 'vitest';

import type { Instance, Schemas } from '../src/api/client';
import { sleepReason } from '../src/features/workspaces/sleepReason';

const AT = '2026-12-01T10:00:00Z';
const BEFORE = '2026-12-01T09:00:00Z';
const AFTER = '2026-12-01T11:00:00Z';

const asked = (verb: string, by: string, reason: string | null = null) =>
  ({ last_request: { verb, at: AT, by, reason }, expires_at: null }) as unknown as Instance;
const idleAt = (at: string) =>
  ({ trigger_time: at, idle_duration: '0h 30m', profile: 'standard' }) as Schemas['IdleAction'];

test('idleness after the last request is the reason', () => {
  const reason = sleepReason(asked('launch', 'ada'), idleAt(AFTER));
  expect(reason).toEqual({ kind: 'idle', at: AFTER, duration: '0h 30m', profile: 'standard' });
});

test('a request after an earlier idleness is the reason', () => {
  const reason = sleepReason(asked('hibernate', 'ada'), idleAt(BEFORE));
  expect(reason).toEqual({ kind: 'person', at: AT, by: 'ada' });
});

test('Prism says why it requested the sleep', () => {
  const reason = sleepReason(asked('hibernate', 'prism', 'its money ends'), null);
  expect(reason).toEqual({ kind: 'reason', at: AT, text: 'its money ends' });
});

test('a machine that went down at its expiry has expired', () => {
  const expired = { ...asked('launch', 'ada'), expires_at: AFTER };
  expect(sleepReason(expired, null, AFTER)).toEqual({ kind: 'expired', at: AFTER });
  expect(sleepReason(expired, null, AT).kind).toBe('unknown');
});

test('a request of an older version has no reason', () => {
  expect(sleepReason(asked('stop', ''), null).kind).toBe('unknown');
  const none = { last_request: null, expires_at: null } as Instance;
  expect(sleepReason(none, null)).toEqual({ kind: 'unknown', at: null });
});
