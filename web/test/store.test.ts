import { QueryClient, QueryObserver } from '@tanstack/react-query';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { api, type Instance } from '../src/api/client';
import { Unreachable } from '../src/api/errors';
import { queries } from '../src/api/queries';
import type { LiveEvent } from '../src/live/events';
import { LiveStore } from '../src/live/store';

vi.mock('../src/api/client', () => ({
  api: { GET: vi.fn() },
  data: async (call: Promise<{ data: unknown }>) => (await call).data,
}));

const event = (name: string, data: Record<string, unknown> = {}): LiveEvent => ({
  id: 'evt_7',
  event: name,
  at: '2026-01-01T00:00:00Z',
  actor: 'ada',
  subject: 'mine',
  data: { workspace: 'ws_1', ...data },
});
const workspace = (state: Instance['state'], type = 'small') =>
  ({ name: 'mine', workspace: 'ws_1', state, instance_type: type }) as Instance;
const KEY = queries.instances.queryKey;

describe('the live store', () => {
  let client: QueryClient;
  let store: LiveStore;
  let answers: ((answer: unknown) => void)[];
  /** A request that the test answers. */
  const pending = () => new Promise((answer) => answers.push(answer));
  const answer = async (index: number, value: unknown) => {
    answers[index]?.(value);
    await vi.advanceTimersByTimeAsync(100);
  };
  const shown = () => client.getQueryData<Instance[]>(KEY)?.map((it) => it.state);

  beforeEach(() => {
    vi.useFakeTimers();
    answers = [];
    client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
    store = new LiveStore(client);
    vi.mocked(api.GET).mockImplementation(pending as never);
  });

  afterEach(() => {
    client.clear();
    vi.useRealTimers();
  });

  it('reads a list again if an event came during its first read', async () => {
    const volumes = new QueryObserver(client, { queryKey: ['volumes'], queryFn: pending });
    volumes.subscribe(() => undefined);
    store.apply([event('volume_state_changed')]);
    await vi.advanceTimersByTimeAsync(1000);
    await answer(0, 'from before the event');
    await answer(1, 'from after the event');
    expect(volumes.getCurrentResult().data).toBe('from after the event');
  });

  it('lets a slow read end while events keep coming, and reads once more', async () => {
    client.setQueryData(['volumes'], 'old');
    const volumes = new QueryObserver(client, {
      queryKey: ['volumes'],
      queryFn: pending,
      staleTime: Infinity,
    });
    volumes.subscribe(() => undefined);
    for (let round = 0; round < 5; round += 1) {
      store.apply([event('volume_state_changed')]);
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(answers).toHaveLength(1);
    await answer(0, 'newer');
    expect(volumes.getCurrentResult().data).toBe('newer');
    await answer(1, 'newest');
    expect(volumes.getCurrentResult().data).toBe('newest');
    expect(answers).toHaveLength(2);
  });

  it('keeps what an event said while an older answer was on its way', async () => {
    client.setQueryData(KEY, [workspace('running')]);
    store.apply([event('instance_asked', { verb: 'hibernate', state: 'hibernating' })]);
    await vi.advanceTimersByTimeAsync(100);
    store.apply([event('instance_state_changed', { state: 'hibernated' })]);
    await answer(0, { data: workspace('hibernating', 'large') });
    expect(shown()).toEqual(['hibernated']);
    expect(client.getQueryData<Instance[]>(KEY)?.[0]?.instance_type).toBe('large');
    await answer(1, { data: workspace('hibernated') });
    expect(shown()).toEqual(['hibernated']);
  });

  it('reads a workspace again if an event came while the list was read', async () => {
    const list = new QueryObserver(client, { queryKey: KEY, queryFn: pending });
    list.subscribe(() => undefined);
    store.apply([event('instance_state_changed', { state: 'stopped' })]);
    await vi.advanceTimersByTimeAsync(100);
    await answer(0, [workspace('running')]);
    await answer(1, { data: workspace('stopped') });
    expect(shown()).toEqual(['stopped']);
  });

  it('changes the workspace of the event, whoever else has one of that name', async () => {
    const rows = ['ada', 'bob'].map((who) => ({
      ...workspace('running'),
      workspace: `ws_${who}`,
      full_name: `mine--${who}`,
    }));
    client.setQueryData(KEY, rows);
    store.apply([event('instance_state_changed', { workspace: 'ws_bob', state: 'stopped' })]);
    expect(shown()).toEqual(['running', 'stopped']);
    await vi.advanceTimersByTimeAsync(100);
    expect(vi.mocked(api.GET).mock.lastCall?.[1]).toEqual({ params: { path: { name: 'ws_bob' } } });
    await answer(0, { data: { ...rows[1], state: 'stopped' } });
    expect(shown()).toEqual(['running', 'stopped']);
  });

  it('appends what somebody launches under a name that is taken', async () => {
    const own = { ...workspace('running'), full_name: 'mine--ada' };
    client.setQueryData(KEY, [own]);
    store.apply([
      event('instance_asked', { workspace: 'ws_2', verb: 'launch', state: 'launching' }),
    ]);
    await vi.advanceTimersByTimeAsync(100);
    await answer(0, {
      data: { ...workspace('launching'), workspace: 'ws_2', full_name: 'mine--bob' },
    });
    expect(shown()).toEqual(['running', 'launching']);
  });

  it('reads what it could not read while the daemon was away', async () => {
    client.setQueryData(KEY, [workspace('running')]);
    const costs = new QueryObserver(client, {
      queryKey: ['costs'],
      queryFn: vi.fn().mockRejectedValueOnce(new Unreachable()).mockResolvedValue('read'),
    });
    costs.subscribe(() => undefined);
    vi.mocked(api.GET).mockRejectedValueOnce(new Unreachable());
    store.apply([event('instance_repriced')]);
    await vi.advanceTimersByTimeAsync(1000);
    store.resume();
    await vi.advanceTimersByTimeAsync(100);
    await answer(0, { data: workspace('running', 'large') });
    expect(client.getQueryData<Instance[]>(KEY)?.[0]?.instance_type).toBe('large');
    expect(costs.getCurrentResult().data).toBe('read');
  });
});
