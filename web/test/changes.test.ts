import { describe, expect, it } from 'vitest';

import type { Instance } from '../src/api/client';
import { changeOf, merged, patched, unambiguous, unique } from '../src/live/changes';
import { type LiveEvent, parseEvent } from '../src/live/events';

const event = (name: string, data: Record<string, unknown> = {}): LiveEvent => ({
  id: 'evt_0000000000000007',
  event: name,
  at: '2026-01-01T00:00:00Z',
  actor: 'ada',
  subject: 'mine',
  data: { workspace: 'ws_1', ...data },
});
const workspace = (name: string, state: Instance['state'] = 'running') =>
  ({ name, workspace: `ws_${name}`, state, stage: null, progress: 0 }) as Instance;

describe('changes by an event', () => {
  it('a state change patches the workspace and marks its connection as stale', () => {
    const change = changeOf(
      event('instance_state_changed', { state: 'hibernated', failure: null }),
    );
    expect(change.patch).toEqual({
      id: 'ws_1',
      fields: { state: 'hibernated', failure: null },
    });
    expect(change.instance).toBe('ws_1');
    expect(change.stale).toContainEqual(['connection', 'ws_1']);
  });

  it('a progress event sets stage and progress, also a stage of null', () => {
    const { patch } = changeOf(
      event('instance_progress', { state: 'launching', stage: null, progress: 40 }),
    );
    expect(patch?.fields).toEqual({ state: 'launching', stage: null, progress: 40 });
  });

  it('an event that changes what a workspace costs marks costs and its project as stale', () => {
    const costly = [
      'instance_state_changed',
      'instance_repriced',
      'instance_resized',
      'instance_extended',
      'volume_state_changed',
      'snapshot_state_changed',
    ];
    for (const name of costly) {
      const { stale } = changeOf(event(name, { project: 'reef' }));
      expect(stale, name).toEqual(expect.arrayContaining([['costs'], ['projects'], ['budgets']]));
      expect(changeOf(event(name, { project: null })).stale).not.toContainEqual(['projects']);
    }
    // The project that does not pay any more is not in the event.
    expect(changeOf(event('instance_moved', { project: null })).stale).toContainEqual(['projects']);
    expect(changeOf(event('instance_progress', { project: 'reef' })).stale).not.toContainEqual([
      'costs',
    ]);
  });

  it('a workspace that sleeps or runs again has other files, and another address', () => {
    const { stale } = changeOf(event('instance_state_changed', { state: 'running' }));
    expect(stale).toContainEqual(['files', 'ws_1']);
    expect(changeOf(event('instance_progress', { stage: null })).stale).toContainEqual([
      'connection',
      'ws_1',
    ]);
  });

  it('a created or revoked token marks the list of tokens as stale', () => {
    for (const name of ['token_created', 'token_revoked']) {
      expect(changeOf(event(name)).stale).toContainEqual(['tokens']);
    }
  });

  it('a copy elsewhere marks the copies as stale, and no costs', () => {
    const { stale } = changeOf(event('snapshot_copy_state_changed', { project: 'reef' }));
    expect(stale).toContainEqual(['copies']);
    expect(stale).not.toContainEqual(['costs']);
    const ran = changeOf(event('copy_schedule_ran')).stale;
    expect(ran).toEqual(expect.arrayContaining([['copy-schedules'], ['copies'], ['status']]));
  });

  it('an attached or detached volume marks files as stale', () => {
    for (const name of ['volume_attached', 'volume_detached']) {
      const change = changeOf(event(name, { instance: 'theirs' }));
      expect(change.stale).toContainEqual(['files']);
      expect(change.stale).toContainEqual(['volumes']);
    }
  });

  it('a resync event makes everything stale', () => {
    expect(changeOf(event('resync')).everything).toBe(true);
  });

  it('a budget event changes no workspace', () => {
    const change = changeOf(event('budget_changed'));
    expect(change.patch).toBeUndefined();
    expect(change.instance).toBeUndefined();
    expect(change.stale).toEqual([['audit'], ['budgets'], ['projects']]);
  });
});

describe('the list of workspaces', () => {
  it('is the same object if nothing in it changed', () => {
    const list = [workspace('other')];
    expect(patched(list, 'ws_mine', { state: 'stopped' })).toBe(list);
    expect(merged(list, 'ws_mine', null)).toBe(list);
  });

  it('is patched at the workspace of that id, also of two with the same name', () => {
    const list = [{ ...workspace('mine', 'terminated'), workspace: 'ws_0' }, workspace('mine')];
    const states = patched(list, 'ws_mine', { state: 'stopped' }).map((it) => it.state);
    expect(states).toEqual(['terminated', 'stopped']);
  });

  it('has one workspace of each name, the living one if there is one', () => {
    const gone = workspace('mine', 'terminated');
    const list = [gone, { ...gone, id: 'newer' }, workspace('other')];
    expect(unique(list).map((it) => it.id)).toEqual(['newer', undefined]);
    expect(unique([gone, workspace('mine'), gone])).toEqual([workspace('mine')]);
  });

  it('have full names where several people have the same one', () => {
    const own = { ...workspace('mine'), full_name: 'mine--ada' };
    const foreign = { ...workspace('mine'), full_name: 'mine--bob' };
    const other = { ...workspace('other'), full_name: 'other--bob' };
    const names = unique([own, foreign, other]).map((it) => it.name);
    expect(names).toEqual(['mine--ada', 'mine--bob', 'other']);
    expect(unique([own, { ...own, state: 'terminated' }])).toEqual([own]);
    const volumes = [{ name: 'data' }, { name: 'data', full_name: 'data--bob' }];
    expect(unambiguous(volumes).map((it) => it.name)).toEqual(['data', 'data--bob']);
  });

  it('appends a new workspace, replaces a known one in place, and drops a deleted one', () => {
    const list = [workspace('a'), workspace('mine', 'terminated'), workspace('z')];
    const names = (all: readonly Instance[]) => all.map((it) => `${it.name} ${it.state}`);
    expect(names(merged(list, 'ws_new', workspace('new')))).toEqual([
      'a running',
      'mine terminated',
      'z running',
      'new running',
    ]);
    expect(names(merged(list, 'ws_mine', workspace('mine')))[1]).toBe('mine running');
    expect(names(merged(list, 'ws_mine', null))).toEqual(['a running', 'z running']);
  });
});

describe('a WebSocket frame', () => {
  it('is parsed as an event, or as null if it is not one', () => {
    expect(parseEvent(JSON.stringify(event('x')))?.event).toBe('x');
    for (const text of ['', '{', '[]', 'null', '{"id":"1"}', '{"data":{}}']) {
      expect(parseEvent(text)).toBeNull();
    }
  });
});
