import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { LiveConnection } from '../src/live/connection';
import type { LiveEvent } from '../src/live/events';

class FakeSocket {
  static all: FakeSocket[] = [];
  onopen: () => void = () => undefined;
  onclose: () => void = () => undefined;
  onmessage: (message: { data: string }) => void = () => undefined;
  closed = false;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  close(): void {
    this.closed = true;
    this.onclose();
  }

  receive(number: number): void {
    const id = `evt_${number}`;
    const fact = { id, event: 'x', at: '', actor: '', subject: '', data: {} };
    this.onmessage({ data: JSON.stringify(fact) });
  }
}

const newest = (): FakeSocket => {
  const socket = FakeSocket.all.at(-1);
  if (socket === undefined) throw new Error('it never connected');
  return socket;
};

describe('the event connection', () => {
  let received: LiveEvent[][];
  let changes: string[];
  let connection: LiveConnection;

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('WebSocket', FakeSocket);
    FakeSocket.all = [];
    received = [];
    changes = [];
    connection = new LiveConnection('ws://here/ws', 'evt_4', {
      heard: (events) => received.push([...events]),
      changed: (liveness) => changes.push(liveness),
    });
    connection.open();
  });

  afterEach(() => {
    connection.close();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('starts after the newest event of the page', () => {
    expect(newest().url).toBe('ws://here/ws?last_event_id=evt_4');
  });

  it('resumes after the last received event', () => {
    newest().onopen();
    newest().receive(5);
    newest().receive(9);
    newest().onclose();
    vi.advanceTimersByTime(1000);
    expect(newest().url).toBe('ws://here/ws?last_event_id=evt_9');
    expect(changes).toEqual(['live', 'cut']);
  });

  it('delivers frames that arrive together in one call', async () => {
    newest().receive(5);
    newest().receive(6);
    await Promise.resolve();
    expect(received.map((events) => events.map((it) => it.id))).toEqual([['evt_5', 'evt_6']]);
  });

  it('reconnects after growing delays, and at once when it is opened again', () => {
    for (let tries = 0; tries < 40; tries += 1) {
      newest().onclose();
      vi.advanceTimersByTime(5_000);
    }
    expect(FakeSocket.all.length).toBe(41);
    newest().onclose();
    connection.open();
    expect(FakeSocket.all.length).toBe(42);
    connection.open();
    expect(FakeSocket.all.length).toBe(42);
  });

  it('does not reconnect after it was closed', () => {
    connection.close();
    vi.advanceTimersByTime(60_000);
    connection.open();
    expect(FakeSocket.all.length).toBe(1);
  });
});
