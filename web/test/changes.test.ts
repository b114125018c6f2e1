import { describe, expect, it } from 'vitest';

import type { Instance } from '../src/api/client';
import { changeOf, merged, patched, unique } from '../src/live/changes';
import { type LiveEvent, parseEvent } from '../src/live/events';

const event = (name: string, data: Record<string, unknown> = {}): LiveEvent => ({
  id: 'evt_0000000000000007',
  event: name,
  at: '2026-01-01T00:00:00Z',
  actor: 'ada',
  subject: 'mine',
  data,
});
const workspace = (name: string, state: Instance['state'] = 'running') =>
  ({ name, state, stage: null, progress: 0 }) as Instance;

describe('what an event changes', () => {
  it('shows a new state before anybody asks for it', () => {
    const change = changeOf(
      event('instance_state_changed', { state: 'hibernated', failure: null, workspace: 'x' }),
    );
    expect(change.patch).toEqual({
      name: 'mine',
      fields: { state: 'hibernated', failure: null },
    });
    expect(change.instance).toBe('mine');
    expect(change.stale).toContainEqual(['connection', 'mine']);
  });

  it('takes stage and progress from the event, also where the stage is over', () => {
    const { patch } = changeOf(
      event('instance_progress', { state: 'launching', stage: null, progress: 40 }),
    );
    expect(patch?.fields).toEqual({ state: 'launching', stage: null, progress: 40 });
  });

  it('makes the list of tokens out of date when one is made or revoked', () => {
    for (const name of ['token_created', 'token_revoked']) {
      expect(changeOf(event(name)).stale).toContainEqual(['tokens']);
    }
  });

  it('reads everything anew after a resync', () => {
    expect(changeOf(event('resync')).everything).toBe(true);
  });

  it('leaves workspaces alone where something else changed', () => {
    const change = changeOf(event('budget_changed'));
    expect(change.patch).toBeUndefined();
    expect(change.instance).toBeUndefined();
    expect(change.stale).toEqual([['audit'], ['budgets'], ['projects']]);
  });
});

describe('the list', () => {
  it('keeps its identity where nothing in it changed', () => {
    const list = [workspace('other')];
    expect(patched(list, 'mine', { state: 'stopped' })).toBe(list);
    expect(merged(list, 'mine', null)).toBe(list);
  });

  it('patches the living one of two with the same name', () => {
    const list = [workspace('mine', 'terminated'), workspace('mine')];
    const states = patched(list, 'mine', { state: 'stopped' }).map((one) => one.state);
    expect(states).toEqual(['terminated', 'stopped']);
  });

  it('shows one of each name, the living one where there is one', () => {
    const gone = workspace('mine', 'terminated');
    const list = [gone, { ...gone, id: 'newer' }, workspace('other')];
    expect(unique(list).map((one) => one.id)).toEqual(['newer', undefined]);
    expect(unique([gone, workspace('mine'), gone])).toEqual([workspace('mine')]);
  });

  it('adds a new one, replaces a known one where it stood, and drops one that is gone', () => {
    const list = [workspace('a'), workspace('mine', 'terminated'), workspace('z')];
    const names = (all: readonly Instance[]) => all.map((one) => `${one.name} ${one.state}`);
    expect(names(merged(list, 'new', workspace('new')))).toEqual([
      'a running',
      'mine terminated',
      'z running',
      'new running',
    ]);
    expect(names(merged(list, 'mine', workspace('mine')))[1]).toBe('mine running');
    expect(names(merged(list, 'mine', null))).toEqual(['a running', 'z running']);
  });
});

describe('a frame', () => {
  it('is an event, or nothing', () => {
    expect(parseEvent(JSON.stringify(event('x')))?.event).toBe('x');
    for (const text of ['', '{', '[]', 'null', '{"id":"1"}', '{"data":{}}']) {
      expect(parseEvent(text)).toBeNull();
    }
  });
});
