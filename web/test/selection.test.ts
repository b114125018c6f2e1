import { describe, expect, it } from 'vitest';

import {
  choosePage,
  isSelected,
  readSelection,
  without,
  writeSelection,
} from '../src/features/workspaces/table/selection';

describe('a selection', () => {
  it('is a list of names in the address', () => {
    const some = readSelection('a,b');
    expect(['a', 'b', 'c'].map((name) => isSelected(some, name))).toEqual([true, true, false]);
    expect(writeSelection(some)).toBe('a,b');
    expect(writeSelection(readSelection(''))).toBeNull();
    expect(writeSelection(without(some, ['a']))).toBe('b');
  });
  it('is a short address for all that match but some', () => {
    const all = readSelection('*,b');
    expect(['a', 'b', 'later'].map((name) => isSelected(all, name))).toEqual([true, false, true]);
    expect(writeSelection(without(all, ['a']))).toBe('*,b,a');
  });
  it('changes with the boxes of one page; other pages stay', () => {
    const page = ['a', 'b'];
    expect(writeSelection(choosePage(readSelection('z'), page, new Set(['a'])))).toBe('z,a');
    expect(writeSelection(choosePage(readSelection('*,b'), page, new Set(['b'])))).toBe('*,a');
    expect(writeSelection(choosePage(readSelection('*'), page, new Set(page)))).toBe('*');
  });
});
