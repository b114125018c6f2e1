import type { QueryClient } from '@tanstack/react-query';

import { api, data, type Instance } from '../api/client';
import { ApiError } from '../api/errors';
import { queries } from '../api/queries';
import { changeOf, merged, patched } from './changes';
import type { LiveEvent } from './events';

const GATHER = 60; // milliseconds in which questions that follow from events are gathered
const MANY = 12; // more workspaces than this are asked for as a list

/** Applies events to what was read before; everything on the screen is derived from that. */
export class LiveStore {
  readonly #client: QueryClient;
  readonly #instances = new Set<string>();
  readonly #stale = new Map<string, readonly string[]>();
  #gathering = false;

  constructor(client: QueryClient) {
    this.#client = client;
  }

  /** Change at once what the events say, and ask for what they only make out of date. */
  apply(events: readonly LiveEvent[]): void {
    const key = queries.instances.queryKey;
    const before: readonly Instance[] | undefined = this.#client.getQueryData(key);
    let list = before;
    for (const event of events) {
      const change = changeOf(event);
      if (change.everything === true) {
        this.refresh();
        return;
      }
      if (change.patch !== undefined && list !== undefined) {
        list = patched(list, change.patch.name, change.patch.fields);
      }
      if (change.instance !== undefined) this.#instances.add(change.instance);
      for (const stale of change.stale) this.#stale.set(stale.join('\0'), stale);
    }
    if (list !== undefined && list !== before) this.#client.setQueryData(key, [...list]);
    if (this.#gathering) return;
    this.#gathering = true;
    setTimeout(() => void this.#ask(), GATHER);
  }

  /** Ask for everything that somebody looks at. */
  refresh(): void {
    this.#instances.clear();
    this.#stale.clear();
    void this.#client.invalidateQueries();
  }

  async #ask(): Promise<void> {
    const names = [...this.#instances];
    const stale = [...this.#stale.values()];
    this.#gathering = false;
    this.#instances.clear();
    this.#stale.clear();
    for (const queryKey of stale) void this.#client.invalidateQueries({ queryKey });
    const key = queries.instances.queryKey;
    if (this.#client.getQueryData(key) === undefined) return;
    if (names.length > MANY) {
      await this.#client.invalidateQueries({ queryKey: key, exact: true });
      return;
    }
    const found = await Promise.all(names.map(async (name) => [name, await look(name)] as const));
    this.#client.setQueryData(key, (list: Instance[] | undefined) => {
      if (list === undefined) return undefined;
      let next: readonly Instance[] = list;
      for (const [name, seen] of found) if (seen !== undefined) next = merged(next, name, seen);
      return [...next];
    });
  }
}

/** The workspace as it is now, null where there is none, undefined where nobody could say. */
async function look(name: string): Promise<Instance | null | undefined> {
  try {
    return await data(api.GET('/api/v1/instances/{name}', { params: { path: { name } } }));
  } catch (error) {
    return error instanceof ApiError && error.status === 404 ? null : undefined;
  }
}
