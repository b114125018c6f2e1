import { describe, expect, it, vi } from 'vitest';

import type { Instance } from '../src/api/client';
import { sorted } from '../src/features/workspaces/table/filters';
import { NO_ROWS, rowKeys } from '../src/features/workspaces/table/rowKeys';
import { LiveRows } from '../src/live/rows';

const row = (name: string, more: Partial<Instance> = {}) =>
  ({ name, workspace: name, ...more }) as Instance;

describe('the keys of rows', () => {
  const first = rowKeys(NO_ROWS, ['a', 'b', 'c'], false);

  it('stay the same while other rows are added and removed', () => {
    const then = rowKeys(first, ['new', 'a', 'c'], false);
    expect(then.keys.get('a')).toBe(first.keys.get('a'));
    expect(then.keys.get('c')).toBe(first.keys.get('c'));
    expect([...first.keys.values()]).not.toContain(then.keys.get('new'));
  });

  it('are not reused for another row, also after their row was removed', () => {
    const gone = rowKeys(first, ['a'], false);
    const then = rowKeys(gone, ['a', 'd', 'b'], false);
    expect(new Set(then.keys.values()).size).toBe(3);
    expect([...then.keys.values()]).not.toContain(first.keys.get('b'));
  });

  it('are reused from the top on another page', () => {
    const second = rowKeys(first, ['d', 'e', 'f', 'g'], true);
    expect([...second.keys.values()].slice(0, 3)).toEqual([...first.keys.values()]);
    expect(new Set(second.keys.values()).size).toBe(4);
    const back = rowKeys(second, ['a'], true);
    expect([...back.keys.values()]).toEqual([first.keys.get('a')]);
  });
});

describe('rows that follow their workspaces', () => {
  it('notify only the followers of the changed workspace', () => {
    const rows = new LiveRows();
    const [same, other] = [row('same'), row('other')];
    rows.show([same, other]);
    const [calm, changed] = [vi.fn(), vi.fn()];
    rows.follow('same', calm);
    rows.follow('other', changed);
    rows.show([same, row('other', { state: 'stopped' })]);
    expect(calm).not.toHaveBeenCalled();
    expect(changed).toHaveBeenCalledOnce();
    expect(rows.get('other')?.state).toBe('stopped');
  });

  it('notify followers of a removed workspace, except those that stopped following', () => {
    const rows = new LiveRows();
    rows.show([row('a')]);
    const [stays, leaves] = [vi.fn(), vi.fn()];
    rows.follow('a', stays);
    rows.follow('a', leaves)();
    rows.show([]);
    expect(stays).toHaveBeenCalledOnce();
    expect(leaves).not.toHaveBeenCalled();
    expect(rows.get('a')).toBeUndefined();
  });
});

describe('the order of workspaces', () => {
  it('by expiry has workspaces without expiry last', () => {
    const list = [row('never', { expires_at: null }), row('soon', { expires_at: '2026-01-02' })];
    const names = sorted(list, { by: 'expires', down: false }).map((it) => it.name);
    expect(names).toEqual(['soon', 'never']);
  });

  it('by name sorts numbers by value', () => {
    const names = sorted([row('w10'), row('w9'), row('W1')], { by: 'name', down: false });
    expect(names.map((it) => it.name)).toEqual(['W1', 'w9', 'w10']);
  });
});
