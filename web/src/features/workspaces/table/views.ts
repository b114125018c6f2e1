import { isRecord } from '../../../api/errors';

/** A filter and an order of the list of workspaces, under a name. */
export interface View {
  readonly name: string;
  /** The part of the address that it stands for: `f=state%3Drunning&sort=-rate`. */
  readonly query: string;
}

const KEPT = ['f', 'any', 'sort'] as const;

/** The filter and the order of an address; not its page, and not what is selected. */
export function queryOf(search: URLSearchParams): string {
  const kept = new URLSearchParams();
  for (const name of KEPT) for (const value of search.getAll(name)) kept.append(name, value);
  return String(kept);
}

/** Whether an address shows just this view. */
export function isShown(view: View, search: URLSearchParams): boolean {
  return queryOf(new URLSearchParams(view.query)) === queryOf(search);
}

/** The address with this view in place of its filter and order, from the first page on. */
export function apply(query: string, search: URLSearchParams): URLSearchParams {
  const next = new URLSearchParams(search);
  for (const name of [...KEPT, 'page', 'selected']) next.delete(name);
  for (const [name, value] of new URLSearchParams(query)) next.append(name, value);
  return next;
}

/** The views with one more; it takes the place of one that has the same name. */
export function withView(views: readonly View[], name: string, query: string): readonly View[] {
  const view = { name: name.trim(), query };
  return views.some((it) => it.name === view.name)
    ? views.map((it) => (it.name === view.name ? view : it))
    : [...views, view];
}

/** The views without one of them. */
export function without(views: readonly View[], name: string): readonly View[] {
  return views.filter((it) => it.name !== name);
}

/** The views in a stored text; what is no view is left out. */
export function parseViews(text: string | null): readonly View[] {
  let value: unknown;
  try {
    value = JSON.parse(text ?? '');
  } catch {
    return [];
  }
  if (!Array.isArray(value)) return [];
  return value.flatMap((it: unknown): View[] => {
    if (!isRecord(it)) return [];
    const { name, query } = it;
    return typeof name === 'string' && name !== '' && typeof query === 'string'
      ? [{ name, query }]
      : [];
  });
}
