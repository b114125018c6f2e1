/** The workspaces that are selected: by name, or all that match the filter but some. */
export interface Selection {
  readonly all: boolean;
  /** Those that are selected; with `all`, those that are not. */
  readonly names: ReadonlySet<string>;
}

const ALL = '*'; // no name of a workspace

/** A selection as the address has it: `a,b`, or `*,a,b` for all that match but a and b. */
export function readSelection(text: string): Selection {
  const [first, ...rest] = text.split(',').filter((name) => name !== '');
  if (first === ALL) return { all: true, names: new Set(rest) };
  return { all: false, names: new Set(first === undefined ? [] : [first, ...rest]) };
}

/** The address of a selection; null selects nothing. */
export function writeSelection({ all, names }: Selection): string | null {
  return [...(all ? [ALL] : []), ...names].join(',') || null;
}

export function isSelected({ all, names }: Selection, name: string): boolean {
  return names.has(name) !== all;
}

/** The selection after those of one page were chosen anew; other pages stay as they are. */
export function choosePage(
  { all, names }: Selection,
  page: readonly string[],
  chosen: ReadonlySet<string>,
): Selection {
  const next = new Set(names);
  for (const name of page) {
    if (chosen.has(name) === all) next.delete(name);
    else next.add(name);
  }
  return { all, names: next };
}

/** The selection without some, which were done or are gone. */
export function without({ all, names }: Selection, gone: readonly string[]): Selection {
  const next = new Set(names);
  for (const name of gone) {
    if (all) next.add(name);
    else next.delete(name);
  }
  return { all, names: next };
}
