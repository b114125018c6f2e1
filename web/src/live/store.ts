import type { Query, QueryClient } from '@tanstack/react-query';

import { api, data, type Instance } from '../api/client';
import { ApiError } from '../api/errors';
import { queries } from '../api/queries';
import { changeOf, merged, patched } from './changes';
import type { LiveEvent } from './events';

const KEY = queries.instances.queryKey;
const GATHER = 60; // milliseconds in which the reads that follow from events are gathered
const MANY = 12; // more workspaces than this are read as a list

/** Applies events to what was read before; everything on the screen is derived from that. */
export class LiveStore {
  readonly #client: QueryClient;
  /** The ids of the workspaces to read again. */
  readonly #instances = new Set<string>();
  /** The workspaces that are being read, with what events have said since. */
  readonly #reading = new Map<string, Partial<Instance>>();
  readonly #stale = new Map<string, readonly string[]>();
  #scheduled = false;

  constructor(client: QueryClient) {
    this.#client = client;
  }

  /** Change at once what the events say, and read again what they only make out of date. */
  apply(events: readonly LiveEvent[]): void {
    const before: readonly Instance[] | undefined = this.#client.getQueryData(KEY);
    let list = before;
    for (const event of events) {
      const { everything, patch, instance, stale } = changeOf(event);
      if (everything === true) {
        this.refresh();
        return;
      }
      if (patch !== undefined) {
        if (list !== undefined) list = patched(list, patch.id, patch.fields);
        Object.assign(this.#reading.get(patch.id) ?? {}, patch.fields);
      }
      if (instance !== undefined) this.#instances.add(instance);
      for (const key of stale) this.#stale.set(key.join('\0'), key);
    }
    if (list !== undefined && list !== before) this.#client.setQueryData(KEY, [...list]);
    this.#schedule();
  }

  /** Read everything that somebody looks at. */
  refresh(): void {
    this.#instances.clear();
    this.#stale.clear();
    void this.#client.invalidateQueries();
  }

  /** Read what could not be read while the daemon was away. */
  resume(): void {
    const predicate = ({ state }: Query) => state.status === 'error';
    void this.#client.refetchQueries({ type: 'active', predicate });
    if (this.#instances.size > 0) this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      if (!this.#read()) this.#schedule();
    }, GATHER);
  }

  /**
   * Read what is out of date, and say whether that is everything. What is being read waits: the
   * answer on its way may be older than the event, and restarting it might never end.
   */
  #read(): boolean {
    for (const [text, queryKey] of this.#stale) {
      if (this.#client.isFetching({ queryKey }) > 0) continue;
      this.#stale.delete(text);
      void this.#client.invalidateQueries({ queryKey });
    }
    if (this.#client.isFetching({ queryKey: KEY, exact: true }) > 0) return false;
    const ids = [...this.#instances].filter((id) => !this.#reading.has(id));
    for (const id of ids) this.#instances.delete(id);
    const complete = this.#stale.size === 0 && this.#instances.size === 0;
    if (this.#client.getQueryData(KEY) === undefined) return complete;
    if (ids.length > MANY) {
      void this.#client.invalidateQueries({ queryKey: KEY, exact: true });
    } else if (ids.length > 0) void this.#readEach(ids);
    return complete;
  }

  async #readEach(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#reading.set(id, {});
    const answers = await Promise.all(ids.map(async (id) => [id, await read(id)] as const));
    this.#client.setQueryData(KEY, (list: Instance[] | undefined) => {
      if (list === undefined) return undefined;
      let next: readonly Instance[] = list;
      for (const [id, instance] of answers) {
        if (instance === undefined) continue;
        next = merged(next, id, instance && { ...instance, ...this.#reading.get(id) });
      }
      return [...next];
    });
    for (const [id, instance] of answers) {
      this.#reading.delete(id);
      if (instance === undefined) this.#instances.add(id);
    }
  }
}

/** The workspace as it is now, null if there is none, undefined if the daemon did not answer. */
async function read(id: string): Promise<Instance | null | undefined> {
  try {
    return await data(api.GET('/api/v1/instances/{name}', { params: { path: { name: id } } }));
  } catch (error) {
    return error instanceof ApiError && error.status === 404 ? null : undefined;
  }
}
