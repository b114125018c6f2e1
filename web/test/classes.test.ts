import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import type { Instance, Schemas } from '../src/api/client';
import { ofClass, runsLonger, seatsOf, shown, workspaceName } from '../src/features/classes/board';

interface Case {
  readonly case: string;
  readonly members: readonly Schemas['Member'][];
  readonly invitations: readonly Schemas['InvitationShown'][];
  readonly workspaces: readonly Instance[];
  readonly rows: readonly { person: string; condition: string; why: string | null }[];
}

// The cases of `prism class status`, which `tests/cli/people/test_classes.py` reads too.
const FILE = new URL('../../tests/cli/people/class_cases.json', import.meta.url);
const CASES = JSON.parse(readFileSync(FILE, 'utf-8')) as readonly Case[];

test.each(CASES)('$case', ({ members, invitations, workspaces, rows }) => {
  const seats = seatsOf(members, invitations, workspaces);
  const told = seats.map(({ person, condition, why }) => ({ person, condition, why }));
  expect(told).toEqual(rows);
});

const instance = (more: object) => ({ name: 'work', template: 'lab', ...more }) as Instance;

test('a class has the workspaces of its project that are not being destroyed', () => {
  const of = (project: string, state: string) => instance({ tags: { Project: project }, state });
  const list = [of('stat', 'running'), of('reef', 'running'), of('stat', 'terminating')];
  expect(ofClass(list, 'stat')).toEqual([list[0]]);
});

test('a workspace has its own name without that of its owner', () => {
  expect(workspaceName(instance({ full_name: 'my--work--ann' }))).toBe('my--work');
  expect(workspaceName(instance({}))).toBe('work');
  expect(workspaceName(instance({ full_name: 'work' }))).toBe('work');
});

test('seats are found by condition, text and the name of the workspace', () => {
  const members = ['ann@x.org', 'ben@x.org'].map((email) => ({ email, role: 'member' as const }));
  const of = (owner: string, name: string, state: string) =>
    instance({
      owner,
      state,
      name,
      full_name: `${name}--x`,
      workspace: owner + name,
      failure: null,
      idle: {},
    });
  const seats = seatsOf(
    members,
    [],
    [of('ann@x.org', 'work', 'stopped'), of('ann@x.org', 'exam', 'running')],
  );
  const people = (...wanted: [string | null, string, string | null]) =>
    shown(seats, ...wanted).map(({ person, instance: it }) => `${person} ${it?.name ?? ''}`);
  expect(people(null, '', null)).toEqual(['ann@x.org exam', 'ann@x.org work', 'ben@x.org ']);
  expect(people('asleep', '', null)).toEqual(['ann@x.org work']);
  expect(people(null, 'BEN', null)).toEqual(['ben@x.org ']);
  expect(people(null, 'no workspace', null)).toEqual(['ben@x.org ']);
  expect(people(null, '', 'exam')).toEqual(['ann@x.org exam', 'ben@x.org ']);
  expect(people('failed', '', null)).toEqual([]);
});

test('only those that would run longer get an expiry', () => {
  const at = new Date('2026-12-01T17:00:00Z');
  const expiring = (expires_at: string | null) => instance({ expires_at });
  const list = [
    expiring(null),
    expiring('2026-12-01T16:59:00Z'),
    expiring('2026-12-01T17:00:00Z'),
    expiring('2026-12-02T09:00:00Z'),
  ];
  expect(runsLonger(list, at)).toEqual([list[0], list[3]]);
});
