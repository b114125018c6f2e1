import { describe, expect, it } from 'vitest';

import {
  apply,
  isShown,
  parseViews,
  queryOf,
  withView,
  without,
} from '../src/features/workspaces/table/views';

describe('saved views', () => {
  it('contain only filter and order of the address', () => {
    const search = new URLSearchParams('f=state%3Drunning&any=&sort=-rate&page=3&selected=a');
    expect(queryOf(search)).toBe('f=state%3Drunning&any=&sort=-rate');
    expect(queryOf(new URLSearchParams('page=2'))).toBe('');
  });
  it('are selected by an address with the same filter and order, in any sequence', () => {
    const view = { name: 'Mine', query: 'f=state%3Drunning&sort=-rate' };
    expect(isShown(view, new URLSearchParams('sort=-rate&f=state%3Drunning&page=2'))).toBe(true);
    expect(isShown(view, new URLSearchParams('f=state%3Drunning'))).toBe(false);
  });
  it('replace filter and order, and remove page and selection', () => {
    const before = new URLSearchParams('f=name:x&page=2&selected=a');
    expect(String(apply('f=state%3Dfailed', before))).toBe('f=state%3Dfailed');
  });
  it('are replaced by a view of the same name, and removed by their name', () => {
    const one = withView([], 'Mine', 'sort=-rate');
    const both = withView(one, ' Other ', '');
    expect(both.map((it) => it.name)).toEqual(['Mine', 'Other']);
    expect(withView(both, 'Mine', 'sort=name')).toEqual([
      { name: 'Mine', query: 'sort=name' },
      { name: 'Other', query: '' },
    ]);
    expect(without(both, 'Mine')).toEqual([{ name: 'Other', query: '' }]);
  });
  it('are empty if the stored text is invalid', () => {
    for (const text of [null, '', '{', '{}', '[1, null, {"name": 1, "query": ""}]']) {
      expect(parseViews(text)).toEqual([]);
    }
    const kept = [{ name: 'Mine', query: 'sort=-rate' }];
    expect(parseViews(JSON.stringify([...kept, { name: '' }]))).toEqual(kept);
  });
});
